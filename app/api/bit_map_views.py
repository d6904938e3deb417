"""From what `tasks.bit_map` tells of a map to what the API answers. Start with `describe_state`."""

from __future__ import annotations

from app.api.bit_map_replies import (
    BitMapItemReply,
    BitMapLayerReply,
    BitMapReply,
    BudgetReply,
    CheckReply,
    LedgerReply,
    MapPredictionReply,
    PresetReply,
    SensitivitySourceReply,
    SolutionReply,
    StateReply,
    VersionReply,
)
from engine.specs import PRESETS, IntegerQuantizer
from tasks.bit_map.ground import Ground
from tasks.bit_map.predicting import MapPrediction
from tasks.bit_map.scoring import Scored
from tasks.bit_map.viewing import (
    SolutionView,
    StateView,
    Workplace,
    list_notes,
    open_workplace,
    view_place,
)
from tasks.desk import Desk
from tasks.store.bit_map_records import MapItem


def describe_state(view: StateView) -> StateReply:
    """Return what an edit answers."""
    content = view.content
    return StateReply(
        revision=view.revision,
        name=view.name,
        bits=list(content.widths),
        pinned=sorted(content.pins),
        least=dict(content.least),
        most=dict(content.most),
        fused=content.fused,
        budget=None if content.budget is None else BudgetReply.model_validate(content.budget),
        can_undo=view.can_undo,
        can_redo=view.can_redo,
        ledger=LedgerReply.model_validate(view.ledger),
        prediction=describe_prediction(view.prediction),
        checks=[CheckReply.model_validate(each) for each in view.checks],
        versions=[VersionReply.model_validate(each) for each in view.versions],
        scores=view.scores,
        note=view.note,
    )


def describe_prediction(found: MapPrediction | None) -> MapPredictionReply | None:
    """Return a prediction as it is answered."""
    if found is None:
        return None
    return MapPredictionReply.model_validate(vars(found) | {"next_layers": list(found.next_layers)})


def describe_map(desk: Desk, map_id: int, *, note: str = "") -> BitMapReply:
    """Return the whole view of a map.

    Raises:
        MapNotFound: When there is no such map.
    """
    place = open_workplace(desk, map_id)
    ground, scored = place.ground, place.scored
    notes = [note, *list_notes(desk, place)]
    view = view_place(desk, place, note=" ".join(each for each in notes if each))
    groups = {at: number for number, group in enumerate(ground.groups) for at in group}
    layers = [
        BitMapLayerReply(
            name=layer.name,
            **vars(cell),
            num_weights=layer.num_weights,
            group=groups.get(at),
            scores=scored.scored.get(at, {}) if isinstance(scored, Scored) else {},
        )
        for at, (layer, cell) in enumerate(zip(ground.layers, ground.cells, strict=True))
    ]
    return BitMapReply(
        id=place.record.id,
        name=place.record.name,
        model=ground.spec.model.source,
        quantizer_words=describe_quantizer(ground),
        sensitivity=_describe_source(place),
        widths=list(place.widths),
        blocks=list(ground.blocks),
        kinds=list(ground.kinds),
        layers=layers,
        presets=[PresetReply(name=each.name, title=each.title) for each in PRESETS],
        state=describe_state(view),
    )


def describe_item(record: MapItem) -> BitMapItemReply:
    """Return a map as it stands in a list."""
    return BitMapItemReply(
        id=record.id,
        name=record.name,
        model=record.model,
        revision=record.revision,
        sensitivity_run=record.sensitivity_run_id,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def describe_solution(found: SolutionView) -> SolutionReply:
    """Return a budget tried out."""
    return SolutionReply(
        bits=list(found.widths),
        ledger=LedgerReply.model_validate(found.ledger),
        prediction=describe_prediction(found.prediction),
    )


def describe_quantizer(ground: Ground) -> str:
    """Return how weights are rounded in words: "integer, asymmetric, groups of 64"."""
    quantizer = ground.quantizer
    words = [quantizer.grid.replace("-", " ")]
    if isinstance(quantizer, IntegerQuantizer):
        words.append(quantizer.symmetry)
    shared = quantizer.shared_weights
    return ", ".join([*words, "whole rows" if shared is None else f"groups of {shared}"])


def _describe_source(place: Workplace) -> SensitivitySourceReply | None:
    scored = place.scored
    if not isinstance(scored, Scored):
        return None
    return SensitivitySourceReply(
        run=scored.run_id,
        method=scored.method,
        metric=scored.metric,
        unit_word=scored.unit,
        is_complete=scored.is_complete,
        note=scored.note,
    )
