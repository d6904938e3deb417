"""Promises of the training curves."""

from __future__ import annotations

from dataclasses import replace

from app.plots.training_curves import TrainingCurves, draw, read_curves
from app.text import run as text
from app.theme import BITS_COLORS
from tasks.store import measurements, runs
from tasks.store.records import MetricSeries
from tests.filled import Filled


def read(filled: Filled, run_id: int) -> TrainingCurves:
    """Return the curves of a run of the filled store."""
    database = filled.services.database
    return read_curves(runs.get_run(database, run_id), measurements.list_series(database, run_id))


def test_panels_stand_above_each_other(filled: Filled) -> None:
    """Loss, learning rates and throughput share the step axis and do not overlap."""
    curves = read(filled, filled.samples.qat)
    assert [panel.title for panel in curves.panels] == [
        text.LOSS_AXIS,
        text.RATE_AXIS,
        text.THROUGHPUT_AXIS,
    ]
    layout = draw(curves, log_scale=False)["layout"]
    domains = [layout[axis]["domain"] for axis in ("yaxis", "yaxis2", "yaxis3")]
    assert all(bottom < top for bottom, top in domains)
    assert domains[0][0] > domains[1][1]
    assert domains[1][0] > domains[2][1]
    assert layout["xaxis"]["title"] == text.STEP_AXIS


def test_two_learning_rates_share_a_panel(filled: Filled) -> None:
    """Rates of adapters and ranges can be compared on one axis, by name and color."""
    traces = draw(read(filled, filled.samples.qat), log_scale=False)["data"]
    rates = [trace for trace in traces if trace["yaxis"] == "y2"]
    assert {trace["name"] for trace in rates} == {
        "Learning rate, adapters",
        "Learning rate, ranges",
    }
    assert len({trace["line"]["color"] for trace in traces}) == len(traces)


def test_log_scale_leaves_throughput_alone(filled: Filled) -> None:
    """The switch makes loss and rates logarithmic; zoom is kept apart for each."""
    curves = read(filled, filled.samples.qat)
    plain, logarithmic = (draw(curves, log_scale=on)["layout"] for on in (False, True))
    types = [logarithmic[axis]["type"] for axis in ("yaxis", "yaxis2", "yaxis3")]
    assert types == ["log", "log", "linear"]
    assert plain["yaxis"]["type"] == "linear"
    assert plain["uirevision"] != logarithmic["uirevision"]


def test_thinned_curves_say_so(filled: Filled) -> None:
    """A curve of which only some points are shown names both counts."""
    run = runs.get_run(filled.services.database, filled.samples.qat)
    long = MetricSeries("train/loss", tuple(range(1000)), (1.0,) * 1000, 41_216)
    curves = read_curves(run, [long])
    assert "41\u202f216" in curves.note
    assert draw(curves, log_scale=False)["layout"]["annotations"][0]["text"] == curves.note
    assert read_curves(run, [replace(long, num_points=1000)]).note == ""


def test_empty_states_say_why(filled: Filled) -> None:
    """No curves: the run trains nothing, has not begun, or ended before its first step."""
    database = filled.services.database
    waiting = replace(runs.get_run(database, filled.samples.qat), state="queued")
    cases = {
        text.NO_TRAINING: runs.get_run(database, filled.samples.rtn[4]),
        text.NO_CURVES_YET: waiting,
        text.NO_CURVES_ENDED: replace(waiting, state="failed"),
    }
    for sentence, run in cases.items():
        figure = draw(read_curves(run, ()), log_scale=True)
        assert figure["data"] == []
        assert figure["meta"]["empty"] == sentence


def make(key: str, *values: float) -> MetricSeries:
    """Return a curve with a point at every step."""
    return MetricSeries(key, tuple(range(1, len(values) + 1)), values, len(values))


def test_the_width_of_each_step_lies_over_the_loss(filled: Filled) -> None:
    """A cyclic run's widths are steps on an axis of their own, right of the loss."""
    run = runs.get_run(filled.services.database, filled.samples.qat)
    loss, bits = make("train/loss", 3, 2, 1), make("train/bits", 4, 6, 8)
    figure = draw(read_curves(run, [loss, bits]), log_scale=True)
    width, lost = figure["data"]
    assert (width["name"], width["y"]) == (text.BITS_CURVE, [4, 6, 8])
    assert width["line"]["shape"] == "hv"
    assert (width["yaxis"], lost["yaxis"]) == ("y9", "y")
    axis = figure["layout"]["yaxis9"]
    assert (axis["overlaying"], axis["side"]) == ("y", "right")
    assert axis["domain"] == figure["layout"]["yaxis"]["domain"]
    assert text.BITS_CURVE in figure["meta"]["aria"]


def test_a_width_that_never_changes_is_not_drawn(filled: Filled) -> None:
    """Where every step trains the same widths, a flat line would say nothing."""
    run = runs.get_run(filled.services.database, filled.samples.qat)
    curves = read_curves(run, [make("train/loss", 3, 2), make("train/bits", 6, 6)])
    assert [trace["name"] for trace in draw(curves, log_scale=False)["data"]] == ["Loss"]


def test_each_width_has_a_thin_loss_of_its_own_color(filled: Filled) -> None:
    """A switchable run's widths stand in the loss panel, the highest first, below the mean."""
    run = runs.get_run(filled.services.database, filled.samples.qat)
    series = [make(f"train/loss_{bits}bit", 3, 2) for bits in (4, 8)]
    traces = draw(read_curves(run, [*series, make("train/loss", 3, 2)]), log_scale=False)["data"]
    assert [trace["name"] for trace in traces] == ["Loss at 8 bits", "Loss at 4 bits", "Loss"]
    assert [trace["line"]["color"] for trace in traces[:2]] == [BITS_COLORS[8], BITS_COLORS[4]]
    assert traces[0]["line"]["width"] < traces[2]["line"]["width"]


def test_a_range_test_stands_below_with_its_own_steps(filled: Filled) -> None:
    """The trial's losses share no step with the training's, and what they led to is said."""
    run = runs.get_run(filled.services.database, filled.samples.qat)
    trial = [make("range_test/loss_3bit", 5, 5), make("range_test/loss_4bit", 5, 4)]
    training = [make("train/loss", 3, 2), make("train/bits", 5, 6)]
    curves = read_curves(run, [*trial, make("range_test/lowest_bits", 4), *training])
    figure = draw(curves, log_scale=False)
    layout = figure["layout"]
    tried = [trace for trace in figure["data"] if trace["xaxis"] == "x2"]
    assert [trace["name"] for trace in tried] == ["Trial at 4 bits", "Trial at 3 bits"]
    assert layout["xaxis2"]["anchor"] == tried[0]["yaxis"] == "y2"
    assert layout["yaxis2"]["domain"][1] < layout["xaxis"]["position"]
    sentence = text.TRIAL_FOUND.format(bits=4)
    assert [note["text"] for note in layout["annotations"]] == [sentence]
    assert sentence in figure["meta"]["aria"]


def test_only_a_range_test_says_where_cycles_begin(filled: Filled) -> None:
    """The lowest width among logged steps is no finding: an untold one is left out."""
    run = runs.get_run(filled.services.database, filled.samples.qat)
    trial, bits = make("range_test/loss_3bit", 5, 5), make("train/bits", 5, 6)
    assert read_curves(run, [trial, make("train/loss", 3, 2), bits]).trial == ""
