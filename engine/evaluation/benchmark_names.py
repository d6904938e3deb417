"""Which benchmarks lm-eval knows, found in its files without loading it.

lm-eval describes each task in a YAML file; reading all of them properly takes it many seconds, so
the names are picked out by their keys once and kept in the data folder. The benchmarks every form
offers need no reading at all. Start with `check_benchmarks`.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from engine.errors import Problem

FIELD = "evaluation.benchmarks"
HARNESS = "lm_eval"
WELL_KNOWN: Mapping[str, str] = MappingProxyType(
    {
        "openbookqa": "openbookqa/openbookqa.yaml",
        "arc_challenge": "arc/arc_challenge.yaml",
        "arc_easy": "arc/arc_easy.yaml",
        "winogrande": "winogrande/default.yaml",
        "hellaswag": "hellaswag/hellaswag.yaml",
        "gsm8k": "gsm8k/gsm8k.yaml",
    }
)
_NAME = r"""["']?([\w.:+/()-]+)["']?[ \t]*(?:#.*)?$"""
_SINGLE = re.compile(rf"""^["']?(task|group|tag)["']?:[ \t]*{_NAME}""", re.MULTILINE)
_LISTED_TAGS = re.compile(r"""^["']?tag["']?:[ \t]*(?:#.*)?\n((?:[ \t]*-[^\n]*(?:\n|$))+)""", re.M)
_INLINE_TAGS = re.compile(r"""^["']?tag["']?:[ \t]*\[([^\]]*)\]""", re.MULTILINE)


def check_benchmarks(names: Sequence[str], *, data_folder: Path) -> tuple[Problem, ...]:
    """Return one problem for each name lm-eval does not know, with the nearest it does.

    Where lm-eval is not installed, nothing is known to be wrong and the worker checks again.
    """
    unknown = [name for name in names if name not in WELL_KNOWN]
    if not unknown or harness_folder() is None:
        return ()
    known = list_benchmarks(data_folder=data_folder)
    return tuple(_unknown(name, known) for name in unknown if name not in known)


def list_benchmarks(*, data_folder: Path) -> dict[str, str]:
    """Return every task, group and tag with its file below lm-eval's tasks.

    The file is "" where a name stands for several files. Empty where lm-eval is not installed.
    """
    folder = harness_folder()
    if folder is None:
        return {}
    version = harness_version()
    cache = data_folder / "cache" / "lm-eval" / f"benchmarks-{version}.json"
    known = _read(cache, version)
    if known is None:
        known = dict(sorted(_scan(folder)))
        _write(cache, {"version": version, "benchmarks": known})
    return known


def harness_version() -> str:
    """Return lm-eval's version."""
    return importlib.metadata.version(HARNESS)


def harness_folder() -> Path | None:
    """Return the folder of lm-eval's task files, or None where it is not installed."""
    try:
        found = importlib.util.find_spec(HARNESS)
    except ValueError:  # stands in sys.modules without a spec
        return None
    if found is None or not found.submodule_search_locations:
        return None
    return Path(next(iter(found.submodule_search_locations))) / "tasks"


def _unknown(name: str, known: Mapping[str, str]) -> Problem:
    close = difflib.get_close_matches(name, [*WELL_KNOWN, *known], n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}?" if close else f"well known are {', '.join(WELL_KNOWN)}"
    return Problem(FIELD, f"lm-eval {harness_version()} has no benchmark {name!r}; {hint}")


def _scan(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield names with their file; a later pair of the same name holds.

    Tasks and groups stand in .yaml files, tags also in the files without ending those include.
    """
    tags: set[str] = set()
    files: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in ("", ".yaml")):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        place = path.relative_to(folder).as_posix()
        for key, name in _SINGLE.findall(text):
            if key == "tag":
                tags.add(name)
            elif path.suffix:
                files.setdefault(name, place if key == "task" else "")
        for listed in (*_LISTED_TAGS.findall(text), *_INLINE_TAGS.findall(text)):
            tags.update(re.findall(r"[\w.:+/()-]+", re.sub(r"(?m)^[ \t]*-[ \t]", " ", listed)))
    yield from dict.fromkeys(tags, "").items()
    yield from files.items()


def _read(cache: Path, version: str) -> dict[str, str] | None:
    """Return what was kept for this version, or None."""
    try:
        kept = json.loads(cache.read_text(encoding="utf-8"))
        if kept["version"] != version:
            return None
        return {str(name): str(place) for name, place in kept["benchmarks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(cache: Path, values: Mapping[str, object]) -> None:
    """Keep the names for next time; a folder that cannot be written only costs time."""
    fresh = cache.with_suffix(".part")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(values), encoding="utf-8")
        fresh.replace(cache)
    except OSError:
        return
