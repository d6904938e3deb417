"""Promises of the figure of a score against effective bits."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from app.plots.quality_against_bits import draw
from app.plots.quality_points import QualityAgainstBits, read_points
from app.text import leaderboard as text
from tasks.store import leaderboard
from tasks.store.records import LeaderboardRow
from tests.filled import Filled
from tests.store_samples import BENCHMARK

PERPLEXITY = f"{BENCHMARK}|perplexity"


@pytest.fixture
def rows(filled: Filled) -> Sequence[LeaderboardRow]:
    """Return the finished runs of the setting that has a baseline."""
    found = leaderboard.list_rows(filled.services.database)
    return [row for row in found if row.baseline_run_id is not None]


@pytest.fixture
def found(rows: Sequence[LeaderboardRow]) -> QualityAgainstBits:
    """Return what the figure of perplexity shows."""
    return read_points(rows, PERPLEXITY)


def test_every_compressed_run_is_a_point(found: QualityAgainstBits, filled: Filled) -> None:
    """The baseline is a line, not a point; all others are there with error and bits."""
    assert len(found.points) == 7
    assert filled.samples.baseline not in {point.run_id for point in found.points}
    assert found.baseline == 18.42
    assert all(point.error and point.bits < 9 for point in found.points)


def test_front_improves_with_every_bit(found: QualityAgainstBits) -> None:
    """Along the front, more bits always mean a better score."""
    front = [found.points[place] for place in found.front]
    assert [point.score for point in front] == sorted((p.score for p in front), reverse=True)
    assert {point.group for point in front} >= {"QAT with absorbable LoRA"}


def test_markers_carry_their_run(found: QualityAgainstBits) -> None:
    """A click on a marker knows its run; methods differ in color and in symbol."""
    figure = draw(found)
    markers = [trace for trace in figure["data"] if trace["mode"] == "markers"]
    ids = {run_id for trace in markers for run_id in trace["customdata"]}
    assert ids == {point.run_id for point in found.points}
    for part in ("color", "symbol"):
        assert len({trace["marker"][part] for trace in markers}) == len(markers)
    assert all(len(trace["error_y"]["array"]) == len(trace["x"]) for trace in markers)


def test_names_are_text_in_hover_labels(found: QualityAgainstBits) -> None:
    """A name with tags is escaped, because Plotly reads a few of them."""
    written = json.dumps(draw(found))
    assert "<img" not in written
    assert "&lt;img" in written


def test_axes_say_what_they_measure(
    rows: Sequence[LeaderboardRow], found: QualityAgainstBits
) -> None:
    """Axes have titles, units and directions; perplexity is logarithmic, a share in percent."""
    layout = draw(found)["layout"]
    assert layout["xaxis"]["title"] == text.BITS_AXIS
    assert layout["yaxis"]["type"] == "log"
    assert text.LOWER in layout["yaxis"]["title"]["text"]
    share = draw(read_points(rows, f"{BENCHMARK}|top1_agreement"))
    assert share["layout"]["yaxis"]["type"] == "linear"
    assert "(%)" in share["layout"]["yaxis"]["title"]["text"]
    assert max(max(trace["y"]) for trace in share["data"]) > 90


def test_baseline_line_lies_at_its_score(found: QualityAgainstBits) -> None:
    """The dashed line is drawn at the baseline's score."""
    [shape] = draw(found)["layout"]["shapes"]
    assert shape["y0"] == shape["y1"] == 18.42


def test_nothing_to_draw_says_so() -> None:
    """Without runs there are no traces and a sentence."""
    figure = draw(read_points((), PERPLEXITY))
    assert figure["data"] == []
    assert figure["meta"]["empty"] == text.FIGURE_EMPTY
