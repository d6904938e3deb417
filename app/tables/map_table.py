"""What a trained model scored at every layer map, as a table. Start with `list_table`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.plots.map_points import key_of, list_metrics, write_basis, write_value
from app.quantities import NOTHING, is_share, unit_of, write_number
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
            title = text.TRAINED_ROW.format(name=run.name, id=run.run_id, summary=run.summary)
            rows.append(([title, str(run.bits), NOTHING], _by_key(run.scores)))
    if baseline:
        rows.append(([text.BASELINE_ROW, *[str(BITS_UNQUANTIZED)] * 2], _by_key(baseline)))
    kept = [(name, found) for name, found in rows if any(key in found for key in titles)]
    columns = [
        _build_column(key, title, [found for _, found in kept]) for key, title in titles.items()
    ]
    return {
        "columns": [text.MAP, text.BITS, text.EFFECTIVE_BITS, *(column[0] for column in columns)],
        "rows": [
            [*name, *(column[place] for column in columns)]
            for place, (name, _) in enumerate(kept, start=1)
        ],
    }


def _build_column(key: str, title: str, rows: Sequence[Scores]) -> list[str]:
    """Return a score's column, header first; where samples differ, each cell says how many."""
    known = [found[key] for found in rows if key in found]
    numbers = [number for each in known for number in (each.value, each.standard_error)]
    first = known[0]
    unit = "" if is_share(first.metric, numbers) else unit_of(first.metric, numbers)
    arrow = "↓" if first.direction == "lower" else "↑"
    bases = {write_basis([score]) for score in known}
    is_shared = len(bases) == 1
    header = f"{title} {unit}".rstrip() + f" {arrow}" + (f" ({bases.pop()})" if is_shared else "")
    cells = []
    for found in rows:
        score = found.get(key)
        written = NOTHING if score is None else write_value(score, beside=numbers)
        if score is not None and not is_shared:
            written += f" ({write_basis([score])})"
        cells.append(written)
    return [header, *cells]


def _by_key(scores: Sequence[MapScoreRecord] | Sequence[ScoreRecord]) -> Scores:
    return {key_of(score): score for score in scores}
