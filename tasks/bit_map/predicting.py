"""What a map is expected to lose: the sum of its layers' scores, corrected by what was measured.

What measured maps teach is `tasks.map_corrections`'. Start with `predict`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.errors import SpecError
from tasks.bit_map.content import Content
from tasks.bit_map.ground import COLUMN
from tasks.bit_map.ledger import count_stored_bits
from tasks.bit_map.scoring import Scored
from tasks.bit_map.solving import find_frontier
from tasks.map_corrections import Corrector


@dataclass(frozen=True)
class Expected:
    """A sum of scores, before any correction.

    Attributes:
        value: What is lost against the start map.
        standard_error: Of the sum.
        num_guessed: Layers at a width that nobody scored.
    """

    value: float
    standard_error: float
    num_guessed: int


@dataclass(frozen=True)
class MapPrediction:
    """What a map is expected to lose; fields as in the answer of the interface.

    `gap` and `next_gain` are corrected as `value` is: each is what would be predicted less.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    corrected_by: int
    gap: float | None
    next_gain: float | None
    next_layers: tuple[str, ...]
    note: str


def expect(scored: Scored, content: Content) -> Expected:
    """Add up the scores of a map's layers; those of a layer without any are left out.

    Errors of units are taken to be independent, those within one to go together.
    """
    rows = np.arange(len(content.widths))
    columns = np.array([COLUMN[bits] for bits in content.widths])
    values = scored.values[rows, columns]
    has_score = ~np.isnan(values)
    by_unit = np.bincount(scored.unit_of, weights=scored.errors[rows, columns])
    guessed = has_score & ~scored.known[rows, columns]
    return Expected(
        value=float(values[has_score].sum()),
        standard_error=float(np.sqrt((by_unit**2).sum())),
        num_guessed=int(guessed.sum()),
    )


def predict(scored: Scored, content: Content, corrector: Corrector) -> MapPrediction:
    """Say what a map is expected to lose, how much less the best of its size, what more room gives.

    Interval and value are those of the correction; where the sum of the scores is no loss, nothing
    is corrected and no interval is given.
    """
    expected = expect(scored, content)
    value, low, high = corrector.correct(expected.value, expected.standard_error)
    note = _write_note(scored, expected)
    gap: float | None = None
    gain: float | None = None
    layers: tuple[str, ...] = ()
    try:
        solution = find_frontier(scored, content).solve(
            count_stored_bits(scored.ground, content.widths)
        )
        room = max(0.0, expected.value - solution.bound)
        gap = corrector.correct_saving(expected.value, room)
        if solution.next_gain is not None:
            gain = corrector.correct_saving(solution.loss, solution.next_gain)
        layers = solution.best_next
    except SpecError as error:
        note = f"{note} Nothing can be solved: {error}.".strip()
    return MapPrediction(
        metric=scored.metric,
        value=value,
        low=low,
        high=high,
        corrected_by=corrector.num_pairs,
        gap=gap,
        next_gain=gain,
        next_layers=layers,
        note=note,
    )


def _write_note(scored: Scored, expected: Expected) -> str:
    """Say what the prediction leaves open."""
    said = []
    lacking = len(scored.lacking)
    if lacking:
        who = "1 layer has" if lacking == 1 else f"{lacking} layers have"
        said.append(f"{who} no score and {'counts' if lacking == 1 else 'count'} as no loss.")
    if expected.num_guessed:
        who = "1 layer is" if expected.num_guessed == 1 else f"{expected.num_guessed} layers are"
        said.append(f"{who} at a width that was not scored; its loss is a guess.")
    return " ".join((*said, *scored.remarks))
