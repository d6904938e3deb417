"""From a sensitivity run and a budget to a layer map, with what it weighs and what it may lose.

The arithmetic is `engine.allocation`'s, the scores are read by `score_tables`. Start with
`solve_map`.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from engine.allocation.budgets import limit_bits
from engine.allocation.choices import LayerChoices, Limits, Table, build_table
from engine.allocation.exact import solve_exactly
from engine.allocation.frontier import Solution, build_frontier
from engine.allocation.fusion import list_fusion_groups
from engine.allocation.ledger import Ledger, write_ledger
from engine.allocation.stored import stored_bits
from engine.errors import SpecError
from engine.estimates.selection import list_selected
from engine.layer_maps.layer_map import LayerMap, Rounding
from engine.models.shapes import LayerShape
from engine.specs.layer_bits import LayerBits, list_named
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer
from tasks.desk import Desk
from tasks.errors import WrongState
from tasks.map_corrections import build_basis, learn_correction
from tasks.map_subjects import build_subject
from tasks.score_tables import ScoreTable, load_scores
from tasks.solve_requests import Bounds, SolveRequest


@dataclass(frozen=True)
class ExpectedLoss:
    """What a map is expected to lose against the start.

    Attributes:
        value: The sum of its layers' losses, corrected where it can be.
        low: Lower end of the 95 % interval; None where nothing is known of how sums are off.
        high: Upper end.
        corrected_by: Measured maps of the same scores behind the correction.
        gap: What the map may lose more than the best of its size, at most; corrected alike.
        next_gain: What the next MiB would save, corrected alike; None where nothing is left.
        obstacle: Why a run with this map does not measure what is predicted; empty where it does.
    """

    value: float
    low: float | None = None
    high: float | None = None
    corrected_by: int = 0
    gap: float = 0.0
    next_gain: float | None = None
    obstacle: str = ""


@dataclass(frozen=True)
class SolvedMap:
    """A layer map for a budget.

    Attributes:
        request: What was asked.
        table: The scores it rests on, with a note where they are not whole.
        solution: Widths, summed loss, its bound, and what the next MiB would save.
        ledger: What the model weighs with it.
        prediction: What the whole map is expected to lose.
        layer_map: The map, with the model it is for.
    """

    request: SolveRequest
    table: ScoreTable
    solution: Solution
    ledger: Ledger
    prediction: ExpectedLoss
    layer_map: LayerMap

    @property
    def counts(self) -> dict[int, int]:
        """How many layers have each width, the highest first."""
        found = Counter(self.solution.widths.values())
        return {width: found[width] for width in sorted(found, reverse=True)}


def solve_map(desk: Desk, request: SolveRequest) -> SolvedMap:
    """Return the map that loses least within a budget.

    Layers without a score keep the width they started at, and count in the budget with it.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it has no scores (yet).
        SpecError: At "sensitivity", "metric", "widths", "pins", "limits", "groups" or "budget", in
            one sentence; a budget that is too small with the smallest possible.
        ModelError: When its model cannot be found.
    """
    scores = load_scores(desk, request.sensitivity, request.metric)
    if not scores.scores:
        raise WrongState(f"{scores.note}; there is nothing to choose widths by")
    quantizer = cast(WeightQuantizer, scores.spec.quantizer)
    table = build_table(_list_choices(scores, request, quantizer), _read_limits(scores, request))
    limit = limit_bits(request.budget, table, other_bytes=_count_others(scores, quantizer))
    solution = _solve(table, limit, is_exact=request.exact)
    ledger = write_ledger(scores.shapes, quantizer, solution.widths, adapter=scores.spec.adapter)
    layers = {name: LayerBits(bits) for name, bits in solution.widths.items()}
    return SolvedMap(
        request=request,
        table=scores,
        solution=solution,
        ledger=ledger,
        prediction=_predict(desk, scores, solution),
        layer_map=LayerMap(layers, scores.spec.model.source, _describe_rounding(quantizer)),
    )


def _predict(desk: Desk, scores: ScoreTable, solution: Solution) -> ExpectedLoss:
    """Predict what a map loses as a whole, as a bit map of these scores does."""
    subject = build_subject(desk.settings, scores.spec, scores.spec)
    names = tuple(layer.name for layer in list_selected(subject, scores.shapes))
    basis = build_basis(scores, subject, names)
    corrector = learn_correction(desk.database, basis)
    loss, saved = solution.loss, solution.next_gain
    value, low, high = corrector.correct(loss, scores.find_error(solution.widths) or 0.0)
    return ExpectedLoss(
        value,
        low,
        high,
        corrected_by=corrector.num_pairs,
        gap=corrector.correct_saving(loss, max(0.0, loss - solution.bound)),
        next_gain=None if saved is None else corrector.correct_saving(loss, saved),
        obstacle=basis.obstacle,
    )


def _solve(table: Table, limit: int, *, is_exact: bool) -> Solution:
    return solve_exactly(table, limit) if is_exact else build_frontier(table).solve(limit)


def _list_choices(
    scores: ScoreTable, request: SolveRequest, quantizer: WeightQuantizer
) -> list[LayerChoices]:
    """Return what each layer can be given: what it was scored at, or the width it keeps."""
    _check_widths(scores, request)
    pins = _find_bounds("pins", request.pins, scores)
    shapes = {layer.name: layer for layer in scores.shapes.layers}
    return [
        _describe_choices(shapes[name], quantizer, _list_own(name, scores, request, pins.get(name)))
        for name in scores.starts
    ]


def _list_own(
    name: str, scores: ScoreTable, request: SolveRequest, pin: int | None
) -> Mapping[int, tuple[float, float | None]]:
    """Return a layer's scores at the widths it may have; nothing is known to be lost without any.

    A layer without a score has its pin, else the width it starts at.
    """
    own = scores.scores.get(name)
    if own is None:
        return {scores.starts[name] if pin is None else pin: (0.0, 0.0)}
    if not request.widths:
        return own
    found = {bits: own[bits] for bits in own if bits in request.widths or bits == pin}
    if not found:
        has = ", ".join(map(str, sorted(own)))
        raise SpecError.at("widths", f"{name} was scored at none of them; it has {has}")
    return found


def _describe_choices(
    layer: LayerShape,
    quantizer: WeightQuantizer,
    scores: Mapping[int, tuple[float, float | None]],
) -> LayerChoices:
    widths = tuple(sorted(scores))
    return LayerChoices(
        name=layer.name,
        num_weights=layer.num_weights,
        widths=widths,
        losses=tuple(scores[width][0] for width in widths),
        stored_bits=tuple(stored_bits(layer, quantizer, width) for width in widths),
    )


def _check_widths(scores: ScoreTable, request: SolveRequest) -> None:
    """Refuse a width that no layer was scored at."""
    known = {bits for own in scores.scores.values() for bits in own}
    unknown = next((bits for bits in request.widths if bits not in known), None)
    if unknown is not None:
        has = ", ".join(map(str, sorted(known)))
        raise SpecError.at(
            "widths", f"run {scores.run.id} scored no layer at {unknown} bits; it has {has}"
        )


def _read_limits(scores: ScoreTable, request: SolveRequest) -> Limits:
    """Return pins, limits and groups by layer; units of several layers are groups as well."""
    names = tuple(scores.starts)
    least, most = (
        {name: bits for name, bits in found.items() if name in scores.scores}
        for found in (
            _find_bounds("least", request.least, scores),
            _find_bounds("most", request.most, scores),
        )
    )
    return Limits(
        pins=_find_bounds("pins", request.pins, scores),
        least=least,
        most=most,
        groups=(*scores.groups, *(list_fusion_groups(names) if request.fuse else ())),
    )


def _find_bounds(field: str, bounds: Bounds, scores: ScoreTable) -> dict[str, int]:
    """Return the width of every layer that a pattern names; the last pattern holds."""
    found: dict[str, int] = {}
    names = tuple(scores.starts)
    for pattern, bits in bounds.items():
        named = list_named(names, pattern)
        if not named:
            close = difflib.get_close_matches(pattern, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"layers are named like {names[0]}"
            raise SpecError.at(field, f"run {scores.run.id} has no layer {pattern[:80]!r}; {hint}")
        found |= dict.fromkeys(named, bits)
    return found


def _describe_rounding(quantizer: WeightQuantizer) -> Rounding:
    """Return the scales a map is made for, where a format asks for them."""
    return Rounding(quantizer.shared_weights, is_symmetric=not quantizer.has_zero_points)


def _count_others(scores: ScoreTable, quantizer: WeightQuantizer) -> int:
    """Return the bytes of a model besides the layers of the map."""
    whole = dict.fromkeys(scores.starts, BITS_UNQUANTIZED)
    ledger = write_ledger(scores.shapes, quantizer, whole, adapter=scores.spec.adapter)
    layers = {layer.name: layer for layer in scores.shapes.layers}
    return ledger.total - sum(
        stored_bits(layers[name], quantizer, BITS_UNQUANTIZED) // 8 for name in whole
    )
