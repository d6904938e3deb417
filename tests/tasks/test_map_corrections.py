"""What measured maps teach: the same to solving and to bit maps, each once, and never the wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from engine.events import ScoreMeasured, SensitivityScored
from engine.specs import resolve
from tasks.bit_map.changing import change_map
from tasks.bit_map.checking import verify
from tasks.bit_map.opening import open_map
from tasks.bit_map.predicting import MapPrediction
from tasks.bit_map.viewing import CheckView, view_state
from tasks.lease import claim_run
from tasks.solve_requests import read_request
from tasks.solving import ExpectedLoss, solve_map
from tasks.store.bit_maps import delete_map
from tasks.store.recording import Batch, finish, write_batch
from tasks.store.runs import get_run, list_runs
from tasks.submit import Desk, submit, submit_sensitivity
from tests.bit_map_samples import list_layers, save_model
from tests.store_samples import BENCHMARK
from tests.tasks.builders import make_scored, make_trained

LAYERS = list_layers(2)
WIDTHS = (8, 4, 3, 2)
UPPER = [name for name in LAYERS if ".0." in name]


@pytest.fixture
def model(desk: Desk) -> str:
    """A model of two blocks."""
    return str(save_model(desk.settings.data_folder / "models" / "two", num_blocks=2))


@pytest.fixture
def run_id(desk: Desk, model: str) -> int:
    """Its sensitivity run."""
    return make_scored(desk, score(), model={"source": model}, widths=list(WIDTHS))


def score(
    layers: Sequence[str] = LAYERS, *, metric: str = "kl_divergence", base: float = 0.01
) -> list[SensitivityScored]:
    return [
        SensitivityScored(name, bits, metric, base * 4.0 ** (4 - bits), 1e-4, 32)
        for name in layers
        for bits in WIDTHS
    ]


def measure(desk: Desk, run_id: int, **values: float) -> None:
    """End a run with these metrics of its text."""
    held = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert held is not None
    scores = [
        ScoreMeasured(BENCHMARK, metric, value, 0.001, 100, "lower", limited=True)
        for metric, value in values.items()
    ]
    finish(desk.database, held, Batch(scores=scores), ending="succeeded", columns={})


def open_scored(desk: Desk, run_id: int, **values: Any) -> int:
    return open_map(desk, {"sensitivity": run_id, **values}).record.id


def set_all(desk: Desk, map_id: int, bits: int) -> None:
    edits = [{"edit": "set", "pattern": "*", "bits": bits}]
    revision = view_state(desk, map_id).revision
    change_map(desk, map_id, {"revision": revision, "client": "a", "edits": edits})


def predict(desk: Desk, map_id: int) -> MapPrediction:
    found = view_state(desk, map_id).prediction
    assert found is not None
    return found


def check_of(desk: Desk, map_id: int) -> CheckView:
    return view_state(desk, map_id).checks[-1]


def solve(desk: Desk, run_id: int) -> ExpectedLoss:
    """Predict the map that has 4 bits everywhere."""
    request = read_request({"sensitivity": run_id, "budget": "4.4", "widths": [4]})
    return solve_map(desk, request).prediction


def test_solving_and_maps_learn_the_same(desk: Desk, run_id: int) -> None:
    """A map that lost twice its sum raises both alike, and narrows them; so are gap and gain."""
    map_id = open_scored(desk, run_id)
    before, sum_before = predict(desk, map_id), 14 * 0.01
    measure(desk, verify(desk, map_id), kl_divergence=2 * sum_before)
    after, solved = predict(desk, map_id), solve(desk, run_id)
    assert (after.corrected_by, solved.corrected_by) == (1, 1)
    assert (after.value, after.low, after.high) == (solved.value, solved.low, solved.high)
    assert None not in (before.value, before.low, before.high, after.low, after.high)
    assert before.value < after.value < 2 * sum_before  # type: ignore[operator]
    assert after.high / after.low < before.high / before.low  # type: ignore[operator]
    ratio = after.next_gain / before.next_gain  # type: ignore[operator]
    assert ratio == pytest.approx(after.value / before.value, rel=0.15)  # type: ignore[operator]


def test_gap_and_gain_are_corrected_as_the_value_is(desk: Desk, run_id: int) -> None:
    """A gap is what would be predicted less: with the best map's loss it makes up the value."""
    map_id = open_scored(desk, run_id)
    for bits in (2, 3):
        set_all(desk, map_id, bits)
        loss = 14 * 0.01 * 4.0 ** (4 - bits)
        measure(desk, verify(desk, map_id), kl_divergence=3 * loss)
    edits = [{"edit": "set", "layers": [LAYERS[6]], "bits": 8}]
    asked = {"revision": view_state(desk, map_id).revision, "client": "a", "edits": edits}
    change_map(desk, map_id, asked)
    found = predict(desk, map_id)
    assert found.gap is not None
    assert found.value is not None
    assert found.next_gain is not None
    loss = 13 * 0.04 + 0.01 / 256
    assert found.value > 2 * loss
    assert 0 < found.gap < found.value
    plain_gain = (0.04 - 0.01) * 8 * 2**20 / 64**2
    assert found.next_gain <= found.value < plain_gain


def test_one_map_is_one_lesson(desk: Desk, run_id: int) -> None:
    """Measured maps are not measured again; the same widths of two maps count once."""
    first, second = open_scored(desk, run_id), open_scored(desk, run_id)
    measured = verify(desk, first)
    measure(desk, measured, kl_divergence=0.3)
    assert verify(desk, first) == measured
    measure(desk, verify(desk, second), kl_divergence=0.2)
    assert predict(desk, first).corrected_by == 1
    set_all(desk, second, 3)
    measure(desk, verify(desk, second), kl_divergence=0.9)
    assert predict(desk, first).corrected_by == 2


def test_what_was_learned_outlives_its_map(desk: Desk, run_id: int) -> None:
    """Deleting a map leaves the correction of others with its scores as it was."""
    first, second = open_scored(desk, run_id), open_scored(desk, run_id)
    measure(desk, verify(desk, first), kl_divergence=0.3)
    before = predict(desk, second)
    delete_map(desk.database, first)
    assert (predict(desk, second), before.corrected_by) == (before, 1)


def test_a_failed_measurement_is_asked_again(desk: Desk, run_id: int) -> None:
    """It is no measurement."""
    map_id = open_scored(desk, run_id)
    failed = verify(desk, map_id)
    held = claim_run(desk.database, desk.settings, "host/0", run_id=failed)
    assert held is not None
    finish(desk.database, held, Batch(), ending="cancelled", columns={})
    assert verify(desk, map_id) != failed


@pytest.mark.parametrize(
    ("measured", "stands"),
    [
        ({}, False),
        ({"kl_divergence": math.nan, "perplexity": math.inf}, False),
        ({"kl_divergence": math.nan, "perplexity": 30.0}, True),
        ({"kl_divergence": 0.3}, True),
    ],
)
def test_a_measurement_without_a_number_is_asked_again(
    desk: Desk, run_id: int, measured: dict[str, float], stands: bool
) -> None:
    """A run that succeeded stands where it tells what was predicted, or a perplexity."""
    map_id = open_scored(desk, run_id)
    first = verify(desk, map_id)
    measure(desk, first, **measured)
    assert (verify(desk, map_id) == first) is stands


def test_a_map_of_another_setting_teaches_nothing(desk: Desk, model: str, run_id: int) -> None:
    """Of other inputs or another text the measured loss is another one."""
    clean = open_scored(desk, run_id)
    for values in (
        {"quantizer": {"grid": "integer", "inputs": {"rounding": "layer"}}},
        {"evaluation": {"max_length": 64}},
    ):
        asked = {"preset": "rtn", "model": {"source": model}, **values}
        run = submit(desk, resolve(asked)).id
        other = open_map(desk, {"run": run, "sensitivity": run_id})
        measure(desk, verify(desk, other.record.id), kl_divergence=5.0)
        assert check_of(desk, other.record.id).measured == 5.0
    assert predict(desk, clean).corrected_by == 0
    assert solve(desk, run_id).corrected_by == 0


def test_a_lesson_is_of_the_scores_there_are_now(desk: Desk, model: str) -> None:
    """A map predicted from half the scores teaches nothing, and the truth once all are there."""
    run = submit_sensitivity(desk, {"model": {"source": model}, "widths": list(WIDTHS)})
    held = claim_run(desk.database, desk.settings, "host/0", run_id=run.id)
    assert held is not None
    write_batch(desk.database, held, Batch(sensitivity_scores=score(UPPER)))
    map_id = open_scored(desk, run.id)
    measure(desk, verify(desk, map_id), kl_divergence=0.14)
    assert predict(desk, map_id).corrected_by == 0
    finish(desk.database, held, Batch(sensitivity_scores=score()), ending="succeeded", columns={})
    found = predict(desk, map_id)
    assert found.corrected_by == 1
    assert found.value == pytest.approx(0.14, rel=0.1)


def test_log_perplexity_is_learned_against_the_baseline(desk: Desk, model: str) -> None:
    """No run writes it; maps and solving have it of both runs' perplexity."""
    scores = score(metric="log_perplexity")
    method = {"method": "ablation"}
    run_id = make_scored(desk, scores, model={"source": model}, widths=list(WIDTHS), method=method)
    map_id = open_scored(desk, run_id)
    measured = verify(desk, map_id)
    measure(desk, measured, perplexity=10 * math.exp(0.4), kl_divergence=7.0)
    waiting = check_of(desk, map_id)
    assert waiting.measured is None
    assert waiting.note == "The 16-bit run of this setting has not been measured yet."
    (baseline,) = (run for run in list_runs(desk.database) if run.is_baseline)
    measure(desk, baseline.id, perplexity=10.0)
    check, found, solved = check_of(desk, map_id), predict(desk, map_id), solve(desk, run_id)
    assert check.measured == pytest.approx(0.4)
    assert check.note == ""
    assert (found.value, found.corrected_by) == (solved.value, 1)
    assert solved.corrected_by == 1


def test_scores_with_adapters_are_not_those_of_the_model(desk: Desk) -> None:
    """It is said; there is no interval, and a measurement stands alone with its reason."""
    trained = make_trained(desk.database, desk.settings, preset="qat-lora")
    layers = list_layers(30)
    run_id = make_scored(desk, score(layers), parent=trained, widths=list(WIDTHS))
    map_id = open_scored(desk, run_id)
    said = f"Scored with the adapters of run {trained}; bit maps measure the model without them."
    found = predict(desk, map_id)
    assert (found.note, found.low, found.high) == (said, None, None)
    measured = verify(desk, map_id)
    measure(desk, measured, kl_divergence=1.0, perplexity=30.0)
    check = check_of(desk, map_id)
    assert (check.measured, check.note, check.perplexity) == (None, said, 30.0)
    solved = solve(desk, run_id)
    assert (solved.low, solved.corrected_by, solved.obstacle) == (None, 0, said)


@pytest.mark.parametrize(
    ("values", "metric", "reason"),
    [
        (
            {"start_bits": 2, "method": {"method": "ablation"}},
            "kl_divergence",
            "Losses count from a start map of 2 bits, not from",
        ),
        ({}, "weight_error", "A map's run measures divergence and perplexity of text, not weight"),
    ],
)
def test_what_cannot_be_compared_says_why(
    desk: Desk, model: str, *, values: dict[str, Any], metric: str, reason: str
) -> None:
    """Other starts and other metrics have no measured loss beside the predicted one."""
    scores = [each for each in score(metric=metric) if each.bits != 2]
    asked = {"model": {"source": model}, "widths": [8, 4, 3], **values}
    map_id = open_scored(desk, make_scored(desk, scores, **asked))
    measure(desk, verify(desk, map_id), kl_divergence=1.0)
    check = check_of(desk, map_id)
    assert check.measured is None
    assert check.note.startswith(reason)
    assert get_run(desk.database, check.run).state == "succeeded"


def test_a_run_without_the_metric_says_so(desk: Desk, run_id: int) -> None:
    """Nothing is left open silently."""
    map_id = open_scored(desk, run_id)
    measure(desk, verify(desk, map_id), kl_divergence=math.inf)
    assert check_of(desk, map_id).note == "The run measured no finite kl_divergence."
