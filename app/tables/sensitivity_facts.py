"""What is said of a sensitivity run in words: what it measures and how, and what came of it.

Start with `describe_scoring`; `describe_maps` says which bit maps were made of it, and
`describe_offer` how a training run's layers are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.quantities import write_count
from app.tables.describing import describe_scored_widths
from app.tables.sections import Fact, Section, build_row
from app.text import ranks as ranks_text
from app.text import runs as runs_text
from app.text import sensitivity as text
from engine.specs import SensitivitySpec, load_spec
from engine.specs.quantizer import BITS_UNQUANTIZED
from tasks.store.bit_map_records import CheckRecord, MapItem
from tasks.store.records import RunRecord

KIND = "sensitivity"
NEEDS_TEXT = frozenset({"gradient", "ablation", "output-error"})


@dataclass(frozen=True)
class MapMade:
    """A bit map with a sensitivity run's scores, and the runs that measure it."""

    map: MapItem
    checks: tuple[CheckRecord, ...]


def describe_how(run: RunRecord) -> str:
    """Return how a sensitivity run scores what: "Gradient by layer"."""
    method = str((run.spec.get("method") or {}).get("method", ""))
    unit = text.UNITS.get(run.spec.get("unit", ""), ("", ""))[0]
    return text.SCORED_BY.format(method=text.METHODS.get(method, method), unit=unit)


def describe_scoring(run: RunRecord, parent: RunRecord | None) -> Section:
    """Return what a sensitivity run measures, how, from which start, and on which text.

    Args:
        run: The sensitivity run.
        parent: The training run whose layers it measures; None where there is none any more.
    """
    spec = load_spec(run.spec)
    assert isinstance(spec, SensitivitySpec)
    rows = [
        build_row(text.SUBJECT, _describe_subject(spec, parent)),
        build_row(text.METHOD, describe_how(run)),
        build_row(text.WIDTHS_TITLE, describe_scored_widths(run)),
        build_row(text.START_TITLE, _write_start(spec)),
    ]
    if spec.method.method in NEEDS_TEXT:
        rows.append(build_row(text.CALIBRATION, _write_calibration(spec)))
    return Section("origin", text.SCORING_TITLE, tuple(rows), "")


def describe_maps(made: Sequence[MapMade]) -> Section:
    """Return the bit maps that were made of a sensitivity run, and the runs that measure them."""
    rows = []
    for each in made:
        link = Fact(each.map.name, note=f"#{each.map.id}", href=f"/layers?map={each.map.id}")
        if not each.checks:
            rows.append(build_row(link, text.MAPS_UNMEASURED, ""))
        for place, check in enumerate(each.checks):
            run = Fact(text.TO_RUN.format(id=check.run_id), href=f"/run?id={check.run_id}")
            state = Fact(runs_text.STATES[check.state], badge=check.state)
            rows.append(build_row("" if place else link, run, state))
    return Section(
        "bit-maps",
        text.MAPS_OF_RUN,
        tuple(rows),
        text.MAPS_OF_RUN_EMPTY,
        columns=text.MAPS_OF_RUN_COLUMNS,
    )


def describe_offer(run: RunRecord) -> Section | None:
    """Return where the sensitivity of a finished training run is asked for; None for others."""
    is_rounded = (run.spec.get("quantizer") or {}).get("grid", "float") != "float"
    if run.kind != "experiment" or run.state != "succeeded" or not is_rounded:
        return None
    link = Fact(text.MEASURE, href=f"/sensitivity?run={run.id}")
    return Section(
        "measure-sensitivity", text.TITLE, (build_row(link),), "", note=text.MEASURE_NOTE
    )


def _describe_subject(spec: SensitivitySpec, parent: RunRecord | None) -> Fact:
    if spec.parent is None:
        return Fact(text.MODEL_ITSELF)
    if parent is None:
        return Fact(ranks_text.PARENT_GONE.format(id=spec.parent))
    return Fact(parent.name, note=f"#{parent.id}", href=f"/run?id={parent.id}")


def _write_start(spec: SensitivitySpec) -> str:
    start = str(spec.start_bits)
    named = text.START_ALL_UNROUNDED if spec.start_bits == BITS_UNQUANTIZED else text.START_ALL
    written = named.format(bits=start)
    if spec.start_map:
        written += text.START_LINES[len(spec.start_map) != 1].format(count=len(spec.start_map))
    return written


def _write_calibration(spec: SensitivitySpec) -> str:
    data: Any = spec.calibration.data
    source = str(data.source).removeprefix("bundled:")
    parts = " ".join(str(part) for part in (source, data.config, data.split) if part)
    return text.CALIBRATION_VALUE.format(
        count=write_count(spec.calibration.num_samples),
        length=write_count(spec.calibration.max_length),
        data=parts,
    )
