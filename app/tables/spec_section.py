"""The resolved spec of a run: every value and where it came from. Start with `describe_spec`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from app.tables.sections import Fact, FactRow, Section, Tool, build_row
from app.text import run as text
from engine.specs import ResolvedSpec, iter_provenance, load_spec
from engine.specs.resolve import INHERITED
from tasks.store.records import RunRecord

if TYPE_CHECKING:
    from engine.specs import ExperimentSpec

_TAKEN_OVER = frozenset({*INHERITED, "evaluation", "seed"})


def describe_spec(run: RunRecord) -> Section:
    """Return the spec as a table; what nobody chose is folded away."""
    address = f"/api/v1/runs/{run.id}/spec.yaml"
    return Section(
        "spec",
        text.SPEC,
        tuple(_list_rows(run)),
        "",
        columns=text.SPEC_COLUMNS,
        note=text.SPEC_NOTE,
        tools=(
            Tool("copy", text.COPY_YAML, address, done=text.COPIED),
            Tool("download", text.DOWNLOAD_YAML, address),
        ),
        fold=dict(text.FOLD),
    )


def _list_rows(run: RunRecord) -> list[FactRow]:
    rows = []
    for path, value, origin in _iter_values(run):
        hint = text.ORIGIN_HINTS[origin].format(preset=run.preset)
        badge = Fact(text.ORIGINS[origin], badge=origin, title=hint)
        rows.append(
            build_row(
                Fact(path, mono=True),
                Fact(_write(value), mono=True),
                badge,
                quiet=origin in ("default", "parent"),
            )
        )
    return rows


def _iter_values(run: RunRecord) -> Iterator[tuple[str, Any, str]]:
    """Yield path, value and origin; what a run took over from the one it builds on says so."""
    spec = load_spec(run.spec)
    # Provenance asks a spec for nothing but its values, whatever its kind.
    resolved = ResolvedSpec(cast("ExperimentSpec", spec), run.asked, run.preset)
    builds_on = run.kind != "experiment" and run.spec.get("parent") is not None
    for path, value, origin in iter_provenance(resolved):
        is_taken_over = builds_on and path.partition(".")[0] in _TAKEN_OVER
        yield path, value, "parent" if is_taken_over and origin == "default" else origin


def _write(value: Any) -> str:
    if value is None or value == "":
        return text.EMPTY_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        joint = "; " if any(isinstance(item, dict) for item in value) else ", "
        return joint.join(map(_write_item, value))
    return str(value)


def _write_item(item: Any) -> str:
    """Write one of a list: a layer map as what it says of itself."""
    if not isinstance(item, dict):
        return str(item)
    return " ".join(_write(value) for value in item.values() if value not in ("", [], None))
