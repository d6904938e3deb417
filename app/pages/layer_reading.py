"""What a layer's page reads: which layer the address names, and all that is known of it.

How it is shown stands in `layer`. Start with `find_layer` and `read_layer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app import reports
from app.pages.run_finding import Missing, find_asked_run
from app.pages.run_sensitivity_reading import name_method
from app.plots.layer_figures import ScoreLine
from app.plots.sensitivity_scores import list_score_metrics
from app.reports import Lacking
from app.services import Services
from app.tables.layer_facts import InMap, InRun
from app.text import sensitivity as text
from engine.errors import BitdialError
from engine.layer_patterns import is_selected
from engine.sensitivity.layer_facts import LayerFacts
from engine.sensitivity.units import list_units
from engine.specs import FloatQuantizer, Subject, load_spec
from engine.specs.layer_bits import find_bits
from engine.specs.quantizer import BITS_UNQUANTIZED
from tasks.bit_map.content import read_content
from tasks.bit_map.ground import build_ground
from tasks.layer_maps import get_layer_map
from tasks.prediction import load_shapes
from tasks.store import bit_maps, measurements, runs, sensitivity_scores
from tasks.store.records import RunRecord, SensitivityScoreRecord

MOST_RUNS = 50
MOST_SEARCHED = 200
MOST_SCORED = 8
MOST_MAPS = 20
KIND = "sensitivity"


@dataclass(frozen=True)
class Found:
    """The layer an address names.

    Attributes:
        run: Which the address names.
        name: Of the layer.
        names: All layers in the model's order.
        facts: What is known of the layers' weights.
        facts_run: Who read them; None where nobody has.
    """

    run: RunRecord
    name: str
    names: tuple[str, ...]
    facts: LayerFacts | None
    facts_run: int | None


@dataclass(frozen=True)
class Lost:
    """Why there is no layer to show; the run, where there is one."""

    missing: Missing
    run: RunRecord | None = None


def find_layer(services: Services, query: Mapping[str, str]) -> Found | Lost:
    """Return the layer that `?run=` and `&name=` name, or why there is none."""
    run = find_asked_run(services, {"id": query.get("run", "")})
    if isinstance(run, Missing):
        return Lost(Missing(run.title, text.NO_RUN_HINT))
    name = query.get("name", "")
    if not name:
        return Lost(Missing(text.NO_LAYER, text.NO_LAYER_HINT), run)
    facts, owner = _find_facts(services, run)
    names = _list_names(services, run, facts)
    if name not in names:
        title = text.UNKNOWN_LAYER.format(id=run.id, name=name[:80])
        return Lost(Missing(title, text.UNKNOWN_LAYER_HINT), run)
    return Found(run, name, names, facts, owner)


def list_lines(services: Services, found: Found) -> dict[str, tuple[ScoreLine, ...]]:
    """Return what every sensitivity run of the model found of the layer, by metric."""
    lines: dict[str, list[ScoreLine]] = {}
    scored = sensitivity_scores.list_sensitivity_runs(
        services.database, model_source=source_of(found.run)
    )
    for run in scored[:MOST_SCORED]:
        unit = _find_unit(run, found)
        records = sensitivity_scores.list_scores(services.database, run.id)
        own = [score for score in records if score.unit == unit]
        for metric in list_score_metrics(own):
            line = _build_line(run, metric, own, is_part=unit != found.name)
            lines.setdefault(metric, []).append(line)
    return {metric: tuple(each) for metric, each in lines.items()}


def list_history(services: Services, found: Found) -> tuple[InRun, ...]:
    """Return the newest finished runs that round the model, with the layer's width and scores."""
    listed = []
    for run in _iter_rounded(services, source_of(found.run)):
        bits = _find_width(services, run, found.name)
        listed.append(InRun(run, bits, measurements.list_scores(services.database, run.id)))
        if len(listed) == MOST_RUNS:
            break
    return tuple(listed)


def list_places(services: Services, found: Found) -> tuple[InMap, ...]:
    """Return the bit maps of the model that have the layer; those of the run come first."""
    places: list[tuple[bool, InMap]] = []
    own = bit_maps.list_maps(services.database, model=source_of(found.run), limit=MOST_MAPS)
    for each in own:
        seen = bit_maps.get_snapshot(services.database, each.id)
        record = seen.map
        place = build_ground(record.spec, record.shapes).places.get(found.name)
        if place is None:
            continue
        content = read_content(seen.state.content)
        shown = InMap(record.id, record.name, content.widths[place], place in content.pins)
        places.append((record.sensitivity_run_id != found.run.id, shown))
    return tuple(shown for _, shown in sorted(places, key=lambda each: each[0]))


def source_of(run: RunRecord) -> str:
    """Return the model a run is about."""
    return str((run.spec.get("model") or {}).get("source", ""))


def _find_facts(services: Services, run: RunRecord) -> tuple[LayerFacts | None, int | None]:
    """Return what a run saw of its layers, or what the newest other on its model did."""
    scored = sensitivity_scores.list_sensitivity_runs(
        services.database, model_source=source_of(run)
    )
    for run_id in dict.fromkeys((run.id, *(each.id for each in scored[:MOST_SCORED]))):
        found = reports.read_facts(services, run_id)
        if not isinstance(found, Lacking):
            return found, run_id
    return None, None


def _list_names(services: Services, run: RunRecord, facts: LayerFacts | None) -> tuple[str, ...]:
    """Return the layers of a run's model, from what is known of it without loading it."""
    if facts is not None:
        return tuple(facts.layers)
    try:
        shapes = load_shapes(services.settings, load_spec(run.spec))
    except BitdialError:
        found = sensitivity_scores.list_scores(services.database, run.id)
        is_by_layer = run.spec.get("unit") == "layer"
        return tuple(dict.fromkeys(score.unit for score in found)) if is_by_layer else ()
    return tuple(layer.name for layer in shapes.own_layers)


def _find_unit(run: RunRecord, found: Found) -> str:
    """Return the unit of a sensitivity run that the layer is, or is part of."""
    units = list_units(found.names, run.spec.get("unit", "layer"))
    return next((unit for unit, layers in units.items() if found.name in layers), found.name)


def _build_line(
    run: RunRecord, metric: str, scores: list[SensitivityScoreRecord], *, is_part: bool
) -> ScoreLine:
    own = sorted((each for each in scores if each.metric == metric), key=lambda each: each.bits)
    name = text.LINE.format(method=name_method(run), id=run.id)
    if is_part:
        name = f"{name}, {text.SCORES_IN_UNIT.format(unit=own[0].unit)}"
    return ScoreLine(run.id, name, tuple(own), is_part)


def _iter_rounded(services: Services, source: str) -> Iterator[RunRecord]:
    """Yield the finished experiments that round this model, the newest first."""
    found = runs.list_runs(
        services.database, states=("succeeded",), search=source, limit=MOST_SEARCHED
    )
    for run in found:
        is_rounded = (run.spec.get("quantizer") or {}).get("grid", "float") != "float"
        if run.kind == "experiment" and is_rounded and source_of(run) == source:
            yield run


def _find_width(services: Services, run: RunRecord, name: str) -> int | None:
    """Return a layer's width in a run; None where that cannot be told."""
    spec: Subject = load_spec(run.spec)
    quantizer = spec.quantizer
    if isinstance(quantizer, FloatQuantizer):
        return BITS_UNQUANTIZED
    if not is_selected(name, quantizer.include, quantizer.exclude):
        return BITS_UNQUANTIZED
    named = find_bits(quantizer.layer_bits, name)
    if named is not None:
        return named.weights
    if not quantizer.is_mixed:
        return int(quantizer.bits)
    try:
        found = get_layer_map(services.desk, run.id).layers.get(name)
    except BitdialError:
        return None
    return None if found is None else found.weights
