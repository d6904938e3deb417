"""The mirror: hub data sets kept in a folder, for machines without the hub.

Laid out as `ORG/NAME/CONFIG/SPLIT.jsonl` or `.parquet`; CONFIG may be left out in the spec where
there is only one. Start with `find_in_mirror`.
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
    folder = mirror / spec.source
    if not _is_inside(folder, mirror) or not folder.is_dir():
        return None
    configs = sorted(path.name for path in folder.iterdir() if path.is_dir())
    config = spec.config or (configs[0] if len(configs) == 1 else None)
    if config not in configs:
        asked = f"no configuration {spec.config!r}" if spec.config else "several configurations"
        raise DataError(
            f"{spec.source} has {asked} in the mirror; choose one of "
            f"{', '.join(configs) or 'none'}",
            field=f"{field}.config",
        )
    files = {path.stem: path for path in sorted((folder / config).iterdir()) if _is_data(path)}
    if spec.split not in files:
        raise DataError(
            f"{spec.source} ({config}) has no split {spec.split!r} in the mirror; it has "
            f"{', '.join(files) or 'none'}",
            field=f"{field}.split",
        )
    return files[spec.split]


def _is_data(path: Path) -> bool:
    return path.suffix in SUFFIXES


def _is_inside(folder: Path, mirror: Path) -> bool:
    """Whether the data set's name stays inside the mirror (no "..", no absolute path)."""
    return folder.resolve().is_relative_to(mirror.resolve()) and folder != mirror
