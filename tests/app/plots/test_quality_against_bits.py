"""Promises of the figure of a score against effective bits."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.plots.quality_against_bits import draw
from app.plots.quality_points import Look, QualityAgainstBits, read_points
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


def _with_grid(row: LeaderboardRow, grid: str) -> dict[str, Any]:
    """Return the run's spec on another grid, as far as the figure reads it."""
    quantizer = row.run.spec["quantizer"]
    return {**row.run.spec, "quantizer": {"grid": grid, "bits": quantizer.get("bits", 16)}}


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


@pytest.mark.parametrize(
    ("value", "heights", "axis"),
    [
        (-0.002, [-2.0], "linear"),
        (0.0, [0.0], "linear"),
        (0.004, [4.0], "log"),
        (math.nan, [], "log"),
        (math.inf, [], "log"),
    ],
)
def test_a_line_of_16_bits_may_lie_anywhere(
    rows: Sequence[LeaderboardRow], *, value: float, heights: list[float], axis: str
) -> None:
    """A divergence of nothing or less has a line, on an axis that can show it; none has none."""
    found = read_points(rows, f"{BENCHMARK}|kl_divergence")
    layout = draw(replace(found, baseline=None, tuned=value))["layout"]
    assert [shape["y0"] for shape in layout["shapes"]] == heights
    assert len(layout["annotations"]) == len(heights)
    assert layout["yaxis"]["type"] == axis
    assert draw(replace(found, baseline=value, tuned=None))["layout"]["yaxis"] == layout["yaxis"]


def test_numbers_to_100_are_drawn_as_they_are(rows: Sequence[LeaderboardRow]) -> None:
    """One score above 1 takes percent from all of the figure."""
    found = read_points(rows, f"{BENCHMARK}|top1_agreement")
    points = (replace(found.points[0], score=84.0), *found.points[1:])
    figure = draw(replace(found, metric="f1", points=points))
    assert "%" not in json.dumps([figure["layout"], [t.get("text") for t in figure["data"]]])
    assert max(max(trace["y"]) for trace in figure["data"]) == 84.0


def test_groups_never_look_alike(found: QualityAgainstBits) -> None:
    """However many methods there are, no two have the same color and symbol."""
    points = tuple(replace(found.points[0], group=f"method {number}") for number in range(40))
    groups = {point.group: number for number, point in enumerate(points)}
    data = draw(replace(found, points=points, groups=groups, front=()))["data"]
    assert len({(t["marker"]["color"], t["marker"]["symbol"]) for t in data}) == 40


@pytest.mark.parametrize("look", [Look(), Look(families=True)])
def test_a_filter_changes_no_color(rows: Sequence[LeaderboardRow], look: Look) -> None:
    """A group keeps color and symbol when others are hidden, preset or not."""
    dressed = [
        replace(row, run=replace(row.run, spec=_with_grid(row, "normal-float"), preset=None))
        if number % 2
        else row
        for number, row in enumerate(rows)
    ]
    whole = read_points(dressed, PERPLEXITY, look=look, members=dressed)
    assert len(whole.groups) > 3
    for row in dressed:
        alone = read_points([row], PERPLEXITY, look=look, members=dressed)
        assert alone.groups.items() <= whole.groups.items()


def test_nothing_to_draw_says_so() -> None:
    """Without runs there are no traces and a sentence."""
    figure = draw(read_points((), PERPLEXITY))
    assert figure["data"] == []
    assert figure["meta"]["empty"] == text.FIGURE_EMPTY
