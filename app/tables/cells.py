"""One cell of a table: the value to sort by, the text to read, and what stands beside it.

Start with `Cell`; the makers below it know which quantity is written how.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from app.quantities import (
    MIB,
    NOTHING,
    is_correlation,
    is_share,
    write_count,
    write_fixed,
    write_number,
    write_score,
)
from tasks.store.records import ScoreRecord

Tone = Literal["", "better", "worse"]


@dataclass(frozen=True)
class Cell:
    """What one row says in one column.

    Attributes:
        value: For sorting and for files; None where nothing was measured.
        text: As a person reads it.
        note: A smaller second line, such as the sample count.
        tone: Whether the number is better or worse than the baseline; never the only sign of it.
        error: One standard error of a score, in the unit of the value.
        num_samples: What a score rests on.
    """

    value: str | float | None
    text: str
    note: str = ""
    tone: Tone = ""
    error: float | None = None
    num_samples: int | None = None


EMPTY = Cell(None, NOTHING)


def text_cell(text: str) -> Cell:
    """Hold a text that is its own value."""
    return Cell(text, text or NOTHING)


def number_cell(value: float | None, decimals: int) -> Cell:
    """Hold a number with so many decimals."""
    return EMPTY if value is None else Cell(value, write_fixed(value, decimals))


def size_cell(size_bytes: float | None) -> Cell:
    """Hold a size in MiB."""
    return EMPTY if size_bytes is None else number_cell(size_bytes / MIB, 1)


def share_cell(part: float | None, whole: float | None) -> Cell:
    """Hold a share of a whole in percent."""
    return EMPTY if part is None or not whole else number_cell(100 * part / whole, 1)


def list_numbers(scores: Iterable[ScoreRecord | None]) -> tuple[float | None, ...]:
    """Return the scores and their errors, which are read in one unit where they stand together."""
    return tuple(number for s in scores if s for number in (s.value, s.standard_error))


def score_cell(score: ScoreRecord | None, *, beside: Collection[float | None] = ()) -> Cell:
    """Hold a score with its standard error and count, in the unit of those `beside` it."""
    if score is None:
        return EMPTY
    text = write_score(score.metric, score.value, score.standard_error, beside=beside)
    return Cell(
        score.value,
        text,
        f"n = {write_count(score.num_samples)}",
        error=score.standard_error,
        num_samples=score.num_samples,
    )


def delta_cell(
    score: ScoreRecord | None,
    baseline: ScoreRecord | None,
    *,
    beside: Collection[float | None] = (),
) -> Cell:
    """Hold the difference to the baseline: points for a share, ratio and difference otherwise.

    The value is the ratio for perplexity-like scores and the difference for shares and
    correlations. The unit is that of the scores and errors `beside` them.
    """
    if score is None or baseline is None:
        return EMPTY
    difference = score.value - baseline.value
    tone = _tone(difference, score.direction)
    if is_share(score.metric, (score.value, baseline.value, *beside)):
        return Cell(difference, f"{_arrow(difference)} {_signed(100 * difference)} pp", "", tone)
    if is_correlation(score.metric):
        sign = _sign(difference)
        written = write_score(score.metric, abs(difference))
        return Cell(difference, f"{_arrow(difference)} {sign}{written}", "", tone)
    ratio = score.value / baseline.value if baseline.value else math.inf
    note = f"{_sign(difference)}{write_number(abs(difference))}"
    return Cell(ratio, f"{_arrow(difference)} × {write_number(ratio, 4)}", note, tone)


def _tone(difference: float, direction: str) -> Tone:
    if difference == 0 or math.isnan(difference):
        return ""
    return "better" if (difference < 0) == (direction == "lower") else "worse"


def _arrow(difference: float) -> str:
    if difference == 0 or math.isnan(difference):
        return "="
    return "▲" if difference > 0 else "▼"


def _sign(difference: float) -> str:
    return "−" if difference < 0 else "+"


def _signed(difference: float) -> str:
    return f"{_sign(difference)}{write_fixed(abs(difference), 2)}"
