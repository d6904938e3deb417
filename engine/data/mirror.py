"""The mirror: hub data sets kept in a folder, for machines without the hub.

Laid out as `ORG/NAME/CONFIG/SPLIT.jsonl` or `.parquet`; CONFIG may be left out in the spec where
there is only one. `find_in_mirror` gives one split's file, `find_splits` all of a data set's.
"""

from __future__ import annotations

from pathlib import Path

from engine.data.text_files import SUFFIXES
from engine.errors import DataError
from engine.specs import DataSpec


def find_in_mirror(spec: DataSpec, *, field: str, mirror: Path) -> Path | None:
    """Return the file that holds the data set's split, or None when the mirror lacks the data set.

    Raises:
        DataError: When the data set is there but not the configuration or split; lists what is.
    """
    files = find_splits(spec.source, spec.config, field=field, mirror=mirror)
    if files is not None and spec.split not in files:
        config = spec.config or next(iter(files.values())).parent.name if files else spec.config
        raise DataError(
            f"{spec.source} ({config}) has no split {spec.split!r} in the mirror; it has "
            f"{', '.join(files) or 'none'}",
            field=f"{field}.split",
        )
    return None if files is None else files[spec.split]


def find_splits(
    source: str, config: str | None, *, field: str, mirror: Path
) -> dict[str, Path] | None:
    """Return the files of a data set by split, or None when the mirror lacks the data set.

    Raises:
        DataError: When the data set is there but not the configuration; lists what is.
    """
    folder = mirror / source
    if not _is_inside(folder, mirror) or not folder.is_dir():
        return None
    configs = list_configs(source, mirror)
    config_there = config or (configs[0] if len(configs) == 1 else None)
    if config_there not in configs:
        asked = f"no configuration {config!r}" if config else "several configurations"
        raise DataError(
            f"{source} has {asked} in the mirror; choose one of {', '.join(configs) or 'none'}",
            field=f"{field}.config",
        )
    there = sorted((folder / config_there).iterdir())
    return {path.stem: path for path in there if path.suffix in SUFFIXES}


def list_configs(source: str, mirror: Path) -> tuple[str, ...]:
    """Return the configurations of a data set in the mirror, sorted; none where it lacks it."""
    folder = mirror / source
    if not _is_inside(folder, mirror) or not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))


def _is_inside(folder: Path, mirror: Path) -> bool:
    """Whether the data set's name stays inside the mirror (no "..", no absolute path)."""
    return folder.resolve().is_relative_to(mirror.resolve()) and folder != mirror
