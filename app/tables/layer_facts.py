"""What is said of one layer: its head, its weights, the runs it was in, its place in bit maps.

Start with `describe_head`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.plots.layer_map import place_layer
from app.quantities import NOTHING, write_count, write_number, write_score
from app.tables.metrics import name_metric, order_of_metric
from app.tables.sections import Fact, Section, build_row
from app.tables.sensitivity_table import address_of_layer
from app.text import ranks as ranks_text
from app.text import sensitivity as text
from engine.sensitivity.layer_facts import LayerFact
from engine.specs.quantizer import BITS_UNQUANTIZED
from tasks.store.records import RunRecord, ScoreRecord


@dataclass(frozen=True)
class InRun:
    """A layer in a run: how many bits it had, None where that cannot be told, and the scores."""

    run: RunRecord
    bits: int | None
    scores: tuple[ScoreRecord, ...]


@dataclass(frozen=True)
class InMap:
    """A layer in a bit map, as it stands now."""

    map_id: int
    name: str
    bits: int
    is_pinned: bool


def describe_head(run: RunRecord, name: str, names: Sequence[str], maps: Sequence[InMap]) -> Any:
    """Return the head of a layer's page.

    Args:
        run: Which the address names.
        name: Of the layer.
        names: All layers in the model's order.
        maps: Bit maps the layer is in; the newest is the way back.
    """
    place = list(names).index(name)
    return {
        "crumbs": [*_list_crumbs(run), *_list_map_crumbs(maps)],
        "name": name,
        "sub": _describe_place(name),
        "previous": _describe_beside(run, names, place - 1),
        "next": _describe_beside(run, names, place + 1),
    }


def describe_missing(run: RunRecord | None, title: str, hint: str) -> dict[str, Any]:
    """Return the head of a page that has no layer to show."""
    return {"crumbs": _list_crumbs(run), "missing": {"title": title, "hint": hint}}


def describe_weights(fact: LayerFact | None, run_id: int | None) -> Section:
    """Return shape, range and spread of a layer's weights, as a run read them."""
    if fact is None:
        return Section("weights", text.FACTS, (), text.NO_FACTS)
    span = text.RANGE_VALUE.format(low=write_number(fact.minimum), high=write_number(fact.maximum))
    rows = [
        build_row(text.SHAPE, " × ".join(map(write_count, fact.shape))),
        build_row(text.COUNT, write_count(fact.num_weights)),
        build_row(text.RANGE, span),
        build_row(text.MEAN, write_number(fact.mean_absolute)),
        build_row(text.DEVIATION, write_number(fact.standard_deviation)),
    ]
    if fact.rank is not None:
        rows.append(build_row(text.RANK, str(fact.rank)))
    note = text.FACTS_OF.format(id=run_id) if run_id is not None else ""
    return Section("weights", text.FACTS, tuple(rows), "", note=note)


def describe_history(found: Sequence[InRun], most: int) -> Section:
    """Return which width a layer had in each run and what that scored, the newest first."""
    rows = tuple(
        build_row(
            Fact(each.run.name, note=f"#{each.run.id}", href=f"/run?id={each.run.id}"),
            _write_bits(each.bits),
            _write_best(each.scores),
        )
        for each in found
    )
    return Section(
        "history",
        text.HISTORY,
        rows,
        text.HISTORY_EMPTY,
        columns=text.HISTORY_COLUMNS,
        numbers=(1, 2),
        note=text.HISTORY_NOTE.format(count=most),
    )


def describe_maps(found: Sequence[InMap]) -> Section:
    """Return which width a layer has in each bit map."""
    rows = tuple(
        build_row(
            Fact(each.name, note=f"#{each.map_id}", href=f"/layers?map={each.map_id}"),
            _write_bits(each.bits),
            text.PINNED if each.is_pinned else "",
        )
        for each in found
    )
    return Section(
        "in-maps", text.MAPS, rows, text.MAPS_EMPTY, columns=text.MAPS_COLUMNS, numbers=(1,)
    )


def _list_crumbs(run: RunRecord | None) -> list[dict[str, str]]:
    crumbs = [{"text": text.HEAD["runs"], "href": "/runs"}]
    if run is not None:
        crumbs.append({"text": run.name, "href": f"/run?id={run.id}"})
    return crumbs


def _list_map_crumbs(maps: Sequence[InMap]) -> list[dict[str, str]]:
    return [{"text": each.name, "href": f"/layers?map={each.map_id}"} for each in maps[:1]]


def _describe_beside(run: RunRecord, names: Sequence[str], place: int) -> dict[str, str] | None:
    if not 0 <= place < len(names):
        return None
    return {"name": names[place], "href": address_of_layer(run.id, names[place])}


def _describe_place(name: str) -> str:
    kind, block = place_layer(name)
    if block == ranks_text.OUTSIDE:
        return text.OUTSIDE
    return text.PLACE.format(kind=kind, block=block)


def _write_bits(bits: int | None) -> str:
    if bits is None:
        return NOTHING
    return text.UNROUNDED if bits >= BITS_UNQUANTIZED else str(bits)


def _write_best(scores: Sequence[ScoreRecord]) -> Fact:
    """Return the run's first score after training."""
    final = [score for score in scores if score.phase == "final"]
    if not final:
        return Fact(NOTHING)
    score = min(final, key=lambda each: ("/" not in each.benchmark, order_of_metric(each.metric)))
    written = write_score(score.metric, score.value, score.standard_error)
    return Fact(written, note=name_metric(score.metric))
