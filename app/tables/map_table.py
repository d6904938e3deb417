"""What a trained model scored at every layer map, as a table. Start with `list_table`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.plots.map_points import key_of, list_metrics
from app.quantities import NOTHING, is_share, unit_of, write_number, write_score
from app.text import maps as text
from engine.specs.quantizer import BITS_UNQUANTIZED
from tasks.store.map_scores import TrainedPoint
from tasks.store.records import MapScoreRecord, ScoreRecord

Scores = Mapping[str, MapScoreRecord | ScoreRecord]


def list_table(
    scores: Sequence[MapScoreRecord],
    *,
    trained: Sequence[TrainedPoint] = (),
    baseline: Sequence[ScoreRecord] = (),
) -> dict[str, Any]:
    """Return a row for every map in the order asked, then runs trained alone, then the baseline.

    Args:
        scores: What an evaluation of maps measured so far.
        trained: Runs that were trained at one width each.
        baseline: The final scores of the baseline.

    Returns:
        Columns and rows of text, a column for each score with its error.
    """
    titles = list_metrics(scores)
    places = dict.fromkeys(score.place for score in scores)
    rows: list[tuple[list[str], Scores]] = []
    for place in places:
        own = [score for score in scores if score.place == place]
        widths = (own[0].bits, own[0].effective_bits)
        rows.append(([own[0].label, *(write_number(bits, 3) for bits in widths)], _by_key(own)))
    for run in trained:
        if run.bits < BITS_UNQUANTIZED:
            title = text.TRAINED_ROW.format(name=run.name, id=run.run_id)
            rows.append(([title, str(run.bits), NOTHING], _by_key(run.scores)))
    if baseline:
        rows.append(([text.BASELINE_ROW, *[str(BITS_UNQUANTIZED)] * 2], _by_key(baseline)))
    kept = [(name, found) for name, found in rows if any(key in found for key in titles)]
    numbers = {key: _list_numbers(key, [found for _, found in kept]) for key in titles}
    columns = [_title(key, title, scores, numbers[key]) for key, title in titles.items()]
    return {
        "columns": [text.MAP, text.BITS, text.EFFECTIVE_BITS, *columns],
        "rows": [
            [*name, *(_write(found.get(key), numbers[key]) for key in titles)]
            for name, found in kept
        ],
    }


def _by_key(scores: Sequence[MapScoreRecord] | Sequence[ScoreRecord]) -> Scores:
    return {key_of(score): score for score in scores}


def _list_numbers(key: str, rows: Sequence[Scores]) -> tuple[float | None, ...]:
    """Return all scores and errors of a column, which are written in one unit."""
    known = [found[key] for found in rows if key in found]
    return tuple(number for each in known for number in (each.value, each.standard_error))


def _title(
    key: str, title: str, scores: Sequence[MapScoreRecord], numbers: Sequence[float | None]
) -> str:
    score = next(each for each in scores if key_of(each) == key)
    unit = "" if is_share(score.metric, numbers) else unit_of(score.metric, numbers)
    return f"{title} {unit}".rstrip() + (" ↓" if score.direction == "lower" else " ↑")


def _write(score: MapScoreRecord | ScoreRecord | None, beside: Sequence[float | None]) -> str:
    if score is None:
        return NOTHING
    return write_score(score.metric, score.value, score.standard_error, beside=beside)
