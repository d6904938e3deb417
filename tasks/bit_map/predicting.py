"""What a map is expected to lose: the sum of its layers' scores, corrected by what was measured.

Losses of single layers do not simply add up; how far they do is learned from maps with the same
scores that were measured. Start with `predict`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf, isfinite, log

import numpy as np

from engine.allocation.correction import Correction, learn
from engine.errors import SpecError
from tasks.bit_map.content import Content
from tasks.bit_map.ground import COLUMN
from tasks.bit_map.ledger import count_stored_bits
from tasks.bit_map.scoring import COMPARABLE, Scored
from tasks.bit_map.solving import find_frontier
from tasks.desk import Desk
from tasks.store.bit_map_checks import PERPLEXITY, list_measured
from tasks.store.bit_map_records import CheckRecord


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
    """What a map is expected to lose; fields as in the answer of the interface."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    corrected_by: int
    gap: float | None
    next_gain: float | None
    next_layers: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Corrected:
    """What was learned from measured maps, and of how many."""

    correction: Correction
    count: int


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


def learn_correction(desk: Desk, scored: Scored) -> Corrected:
    """Learn from every measured map that has the same scores."""
    checks = list_measured(desk.database, sensitivity_run_id=scored.run_id, metric=scored.metric)
    pairs = []
    for check in checks:
        measured = find_measured(check)
        if measured is not None and measured[0] > 0 and (check.uncorrected or 0) > 0:
            pairs.append((float(check.uncorrected or 0), measured[0]))
    return Corrected(learn(pairs), len(pairs))


def find_measured(check: CheckRecord) -> tuple[float, float | None] | None:
    """Return what a run measured of a map in the unit of its prediction, with its error.

    Divergence is a score of the run; of log-perplexity it is how much more the run has than the
    16-bit model in the same setting. None where it is not measured yet, or not in that unit.
    """
    if check.metric not in COMPARABLE:
        return None
    if check.metric in check.scores:
        value, error = check.scores[check.metric]
        return (value, error) if isfinite(value) else None
    own, base = check.scores.get(PERPLEXITY), check.baseline
    if check.metric == COMPARABLE[0] or own is None or base is None:
        return None
    if not (0 < own[0] < inf and 0 < base[0] < inf):
        return None
    errors = [error / value for value, error in (own, base) if error is not None]
    return log(own[0] / base[0]), hypot(*errors) if errors else None


def predict(scored: Scored, content: Content, corrected: Corrected) -> MapPrediction:
    """Say what a map is expected to lose, how much less the best of its size, what more room gives.

    Interval and value are those of the correction; where the sum of the scores is no loss, nothing
    is corrected and no interval is given.
    """
    expected = expect(scored, content)
    value, low, high = correct(scored, expected, corrected)
    note = _write_note(scored, expected)
    gap: float | None = None
    gain: float | None = None
    layers: tuple[str, ...] = ()
    try:
        solution = find_frontier(scored, content).solve(
            count_stored_bits(scored.ground, content.widths)
        )
        gap = max(0.0, expected.value - solution.bound)
        gain, layers = solution.next_gain, solution.best_next
    except SpecError as error:
        note = f"{note} Nothing can be solved: {error}.".strip()
    return MapPrediction(
        metric=scored.metric,
        value=value,
        low=low,
        high=high,
        corrected_by=corrected.count,
        gap=gap,
        next_gain=gain,
        next_layers=layers,
        note=note,
    )


def correct(
    scored: Scored, expected: Expected, corrected: Corrected
) -> tuple[float, float | None, float | None]:
    """Return value, low and high of a prediction."""
    if expected.value <= 0 or scored.metric not in COMPARABLE or scored.start_words:
        return expected.value, None, None
    found = corrected.correction.predict(expected.value, expected.standard_error)
    return found.value, found.low, found.high


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
    if scored.start_words:
        said.append(f"Losses count from {scored.start_words}, not from 16 bits.")
    return " ".join(said)
