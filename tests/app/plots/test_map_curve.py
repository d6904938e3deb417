"""Promises of the figure of a score against the mean bits of layer maps."""

from __future__ import annotations

import math
from typing import Any

from app.plots.map_curve import draw
from app.plots.map_points import MapPoints, list_metrics, read_points
from app.tables.map_table import list_table
from app.text import maps as text
from tasks.store.map_scores import TrainedPoint
from tasks.store.records import MapScoreRecord, ScoreRecord

BENCHMARK = "text/bundled:python-docs"
KEY = f"{BENCHMARK}|perplexity"
MAPS: list[dict[str, Any]] = [
    {"map": "uniform", "bits": 8},
    {"map": "uniform", "bits": 4},
    {"map": "layers", "name": "<b>mine</b>"},
    {"map": "random", "widths": [8, 4]},
    {"map": "uniform", "bits": 16},
]
BITS = (8.0, 4.0, 4.6, 6.0, 16.0)
VALUES = (18.6, 21.9, 20.2, 20.9, 18.5)
BASELINE = ScoreRecord(1, BENCHMARK, "perplexity", 18.42, 0.3, 4080, "lower", limited=True)


def make(place: int, metric: str = "perplexity", value: float | None = None) -> MapScoreRecord:
    """Return a score of the map at a place."""
    label = MAPS[place].get("name", f"{BITS[place]:g} bits")
    height = VALUES[place] if value is None else value
    return MapScoreRecord(
        7, place, label, BITS[place], BITS[place] + 0.25, BENCHMARK, metric, height, 0.31, 4080,
        "lower", limited=True,
    )  # fmt: skip


def train(run_id: int, bits: int, value: float) -> TrainedPoint:
    """Return a run that was trained at one width."""
    score = ScoreRecord(run_id, BENCHMARK, "perplexity", value, 0.3, 4080, "lower", limited=True)
    return TrainedPoint(run_id, f"static {bits}", bits, (score,), "W<4>, QAT")


def read(*places: int, **beside: Any) -> MapPoints:
    """Read the perplexities of the maps at these places."""
    return read_points([make(place) for place in places], MAPS, KEY, **beside)


def test_one_width_for_all_layers_is_a_line_by_rising_bits() -> None:
    """Maps asked for in any order are joined from the lowest width upwards, with error bars."""
    [line] = draw(read(0, 1), empty="")["data"]
    assert (line["name"], line["mode"]) == (text.UNIFORM, "lines+markers")
    assert (line["x"], line["y"]) == ([4.0, 8.0], [21.9, 18.6])
    assert line["error_y"]["array"] == [0.31, 0.31]


def test_named_and_random_maps_are_single_marks() -> None:
    """A hybrid map and widths drawn at random stand apart from the line, by mean bits."""
    traces = {trace["name"]: trace for trace in draw(read(0, 1, 2, 3), empty="")["data"]}
    assert traces[text.NAMED]["mode"] == traces[text.RANDOM]["mode"] == "markers"
    assert (traces[text.NAMED]["x"], traces[text.RANDOM]["x"]) == ([4.6], [6.0])
    assert traces[text.NAMED]["marker"]["symbol"] != traces[text.RANDOM]["marker"]["symbol"]


def test_names_are_shown_as_they_are() -> None:
    """What looks like a tag in a map's name is no tag in the figure."""
    [trace] = draw(read(2), empty="")["data"]
    assert trace["text"][0].startswith("<b>&lt;b&gt;mine&lt;/b&gt;</b>")


def test_runs_trained_alone_are_hollow_and_name_their_run() -> None:
    """Independently trained points lie beside the curve, without a line; 16 bits are left out."""
    trained = (train(4, 4, 21.5), train(5, 8, 18.5), train(6, 16, 18.3))
    figure = draw(read(0, 1, trained=trained), empty="")
    hollow = next(trace for trace in figure["data"] if trace["name"] == text.TRAINED)
    assert (hollow["x"], hollow["customdata"]) == ([4, 8], [4, 5])
    assert hollow["mode"] == "markers"
    assert hollow["marker"]["symbol"].endswith("-open")
    assert "W&lt;4&gt;, QAT" in hollow["text"][0]
    assert text.TRAINED_LABEL.format(count=2) in figure["meta"]["aria"]


def test_sixteen_bits_are_lines_across() -> None:
    """The baseline and the model's own 16 bits squeeze nothing: they are lines, not points."""
    figure = draw(read(0, 1, 4, baseline=[BASELINE]), empty="")
    lines = [each for each in figure["data"] if each["mode"] == "lines"]
    assert [each["y"] for each in lines] == [[18.42, 18.42], [18.5, 18.5]]
    assert ["18.42" in lines[0]["name"], "18.50" in lines[1]["name"]] == [True, True]
    low, high = figure["layout"]["xaxis"]["range"]
    assert (low < 4, high > 8, high < 9) == (True, True, True)


def test_another_score_is_not_mixed_in() -> None:
    """Only the chosen benchmark and metric are drawn, of maps and of runs trained alone."""
    scores = [make(0), make(0, "kl_divergence", 0.004), make(1, "kl_divergence", 0.2)]
    assert list(list_metrics(scores)) == [KEY, f"{BENCHMARK}|kl_divergence"]
    found = read_points(scores, MAPS, f"{BENCHMARK}|kl_divergence", trained=[train(4, 4, 21.5)])
    assert [point.score.bits for point in found.points] == [4.0, 8.0]
    assert found.alone == ()


def test_a_share_that_is_nothing_has_no_logarithm() -> None:
    """Perplexity is drawn on a logarithmic axis, but not where a score is 0."""
    assert draw(read(0, 1), empty="")["layout"]["yaxis"]["type"] == "log"
    found = read_points([make(0, value=0.0), make(1)], MAPS, KEY)
    assert draw(found, empty="")["layout"]["yaxis"]["type"] == "linear"


def test_the_axis_says_on_how_much_it_was_measured() -> None:
    """Limit and number of samples stand at the axis, in what a mark says, and for the ear."""
    figure = draw(read(0, 1), empty="")
    basis = "limit, n = 4\u202f080"
    assert figure["layout"]["yaxis"]["title"]["text"].endswith(f"<br>{basis}")
    assert figure["data"][0]["text"][0].endswith(f"<br>{basis}")
    assert basis in figure["meta"]["aria"]


def test_a_score_that_is_no_number_is_not_drawn() -> None:
    """It is no mark that breaks the line, and what is told of it names it."""
    found = read_points([make(0), make(1, value=math.nan), make(4)], MAPS, KEY)
    figure = draw(found, empty="")
    assert figure["data"][0]["x"] == [8.0]
    assert "4 bits not a number" in figure["meta"]["aria"]
    assert [score.label for score in found.undrawn] == ["4 bits"]


def test_nothing_yet_says_why() -> None:
    """Without a score there is a sentence instead of axes."""
    figure = draw(read(trained=[train(4, 4, 21.5)]), empty="Wait.")
    assert (figure["data"], figure["meta"]["empty"], figure["meta"]["aria"]) == (
        [],
        "Wait.",
        "Wait.",
    )


def test_the_table_has_every_score_with_its_error() -> None:
    """Maps stand in the order asked, then what was trained alone, then the baseline."""
    scores = [make(0), make(0, "kl_divergence", 0.004), make(1)]
    table = list_table(scores, trained=[train(4, 4, 21.5)], baseline=[BASELINE])
    assert table["columns"][-2:] == [
        "Perplexity ↓ (limit, n = 4\u202f080)",
        "KL divergence ×10⁻³ ↓ (limit, n = 4\u202f080)",
    ]
    assert [row[0] for row in table["rows"]] == [
        "8 bits",
        "4 bits",
        "static 4 (run 4, trained alone: W<4>, QAT)",
        text.BASELINE_ROW,
    ]
    assert table["rows"][0][1:] == ["8.00", "8.25", "18.60 ± 0.31", "4.00 ± 310.00"]
    assert table["rows"][1][-1] == "–"
