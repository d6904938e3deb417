"""The resolved spec of a run: every value and where it came from. Start with `describe_spec`."""

from __future__ import annotations

from typing import Any

from app.tables.sections import Fact, FactRow, Section, Tool, build_row
from app.text import run as text
from engine.specs import ExperimentSpec, ResolvedSpec, iter_provenance
from tasks.store.records import RunRecord


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
    spec = ExperimentSpec.model_validate(run.spec)
    rows = []
    for path, value, origin in iter_provenance(ResolvedSpec(spec, run.asked, run.preset)):
        hint = text.ORIGIN_HINTS[origin].format(preset=run.preset)
        badge = Fact(text.ORIGINS[origin], badge=origin, title=hint)
        rows.append(
            build_row(
                Fact(path, mono=True),
                Fact(_write(value), mono=True),
                badge,
                quiet=origin == "default",
            )
        )
    return rows


def _write(value: Any) -> str:
    if value is None or value == "":
        return text.EMPTY_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
