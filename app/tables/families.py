"""Families: runs whose specs differ in width alone, each with a name of its own.

Name and seed of a run count for nothing, and neither does how widths are mixed where they are whole
or where all fractions are mixed alike. Start with `name_families`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.tables.describing import describe_family
from engine.specs import load_spec
from tasks.store.records import RunRecord

# What runs of one setting share, and what moves no number.
_NEVER_COUNTS = (
    "version",
    "name",
    "seed",
    "parent",
    "model",
    "evaluation",
    "quantizer.bits",
    "training.logging_steps",
    "training.save_steps",
)
_MIXING = "quantizer.mixing"

Values = Mapping[str, Any]


def name_families(runs: Iterable[RunRecord]) -> dict[int, str]:
    """Return each run's family, by the run's id.

    A family is called by grid, start, training and adapter; where that fits several, also by the
    values of the spec in which these differ.

    Args:
        runs: All runs of one setting, so that a name stays whatever a filter lets through.
    """
    found = {run.id: (run, _list_values(run)) for run in runs}
    mixings: dict[str, set[str]] = {}
    for run, values in found.values():
        if _is_mixed(run):
            mixings.setdefault(_write_key(_without_mixing(values)), set()).add(_write_key(values))
    families: dict[str, dict[str, Values]] = {}
    places: dict[int, tuple[str, str]] = {}
    for run_id, (run, values) in found.items():
        kept = _without_mixing(values)
        if _is_mixed(run) and len(mixings[_write_key(kept)]) > 1:
            kept = values
        title, key = describe_family(run), _write_key(kept)
        families.setdefault(title, {})[key] = kept
        places[run_id] = (title, key)
    names = {title: _tell_apart(title, members) for title, members in families.items()}
    return {run_id: names[title][key] for run_id, (title, key) in places.items()}


def _tell_apart(title: str, families: Mapping[str, Values]) -> dict[str, str]:
    """Return a name for each of the families that share a title.

    Every value they all have and differ in is said; one that some lack where that is not enough.
    """
    members = families.values()
    paths = sorted({path for values in members for path in values})
    differing = [path for path in paths if _count((path,), members) > 1]
    said = [path for path in differing if all(path in values for values in members)]
    for path in sorted(differing, key=lambda path: sum(path not in each for each in members)):
        if path not in said and _count((*said, path), members) > _count(said, members):
            said.append(path)
    return {
        key: ", ".join([title, *(_say(path, values[path]) for path in said if path in values)])
        for key, values in families.items()
    }


def _count(paths: Sequence[str], families: Iterable[Values]) -> int:
    """Return how many families these values tell apart."""
    return len({json.dumps([values.get(path) for path in paths]) for values in families})


def _say(path: str, value: Any) -> str:
    """Write one value of a spec: "iterations 5", "mixing rule sensitivity"."""
    axis, *parts = path.split(".")
    is_clear = len(parts) == 1 or (parts and axis != "training")
    name = " ".join(parts if is_clear else (axis, *parts))
    written = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{name.replace('_', ' ')} {written}"


def _list_values(run: RunRecord) -> Values:
    """Return path to value of all that tells families apart, with today's defaults."""
    try:
        spec = load_spec(run.spec).model_dump(mode="json")
    except ValueError:  # of another version
        spec = run.spec
    values = dict(_flatten("", spec))
    return {path: value for path, value in values.items() if not _is_below(path, _NEVER_COUNTS)}


def _flatten(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Yield every value that is there, with its path from the top."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flatten(f"{path}.{key}" if path else key, part)
    elif value is not None:
        yield path, value


def _without_mixing(values: Values) -> Values:
    return {path: value for path, value in values.items() if not _is_below(path, (_MIXING,))}


def _is_below(path: str, above: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each}.") for each in above)


def _is_mixed(run: RunRecord) -> bool:
    bits = (run.spec.get("quantizer") or {}).get("bits") or 0
    return bool(bits != int(bits))


def _write_key(values: Values) -> str:
    return json.dumps(values, sort_keys=True)
