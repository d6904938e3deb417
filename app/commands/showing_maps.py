"""Scores of a model at many layer maps, as a table for a terminal. Start with `describe_maps`."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.store.records import MapScoreRecord

Column = tuple[str, str]
GAP = "  "


def describe_maps(scores: Sequence[MapScoreRecord]) -> tuple[str, ...]:
    """Return lines with a row for each map and a column for each metric; none without scores."""
    if not scores:
        return ()
    columns = list(dict.fromkeys((each.benchmark, each.metric) for each in scores))
    rows = [
        ["map", "bits", "with scales", *(metric for _, metric in columns)],
        ["", "", "", *(benchmark for benchmark, _ in columns)],
        ["", "", "", *(_count(column, scores) for column in columns)],
        *(_write_row(place, columns, scores) for place in sorted({each.place for each in scores})),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return tuple(_align(row, widths) for row in rows)


def _write_row(
    place: int, columns: Sequence[Column], scores: Sequence[MapScoreRecord]
) -> list[str]:
    row = [each for each in scores if each.place == place]
    cells = {(each.benchmark, each.metric): _write(each) for each in row}
    bits = (f"{row[0].bits:.4g}", f"{row[0].effective_bits:.4g}")
    return [row[0].label, *bits, *(cells.get(column, "") for column in columns)]


def _count(column: Column, scores: Sequence[MapScoreRecord]) -> str:
    """Say on how much was measured, and whether that is all there is."""
    found = [each for each in scores if (each.benchmark, each.metric) == column]
    few, many = (pick(each.num_samples for each in found) for pick in (min, max))
    limit = ", on a limit" if any(each.limited for each in found) else ""
    return f"n={few}{'' if few == many else f' to {many}'}{limit}"


def _write(score: MapScoreRecord) -> str:
    error = "" if score.standard_error is None else f" ± {score.standard_error:.2g}"
    return f"{score.value:.5g}{error}"


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a line whose first cell begins on the left and whose others end on the right."""
    first, *others = row
    cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
    return GAP.join(cells).rstrip()
