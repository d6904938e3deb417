"""The whole estimate: its parts add up, and its interval tells how well it is founded."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from engine.estimates import Estimate, PastRun, SpeedBasis, estimate, learn_speed
from engine.estimates.workload import count_workload
from engine.initialize import moment_size
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import (
    ExperimentSpec,
    ModelSpec,
    RankEvaluationSpec,
    resolve,
    resolve_child,
)


@pytest.fixture(scope="module")
def shapes() -> ModelShapes:
    return read_shapes(ModelSpec(), data_folder=Path())


def spec_of(*overrides: str, preset: str = "qat-lora") -> ExperimentSpec:
    return resolve({"preset": preset}, overrides).spec


def predict(shapes: ModelShapes, *overrides: str, speed: SpeedBasis | None = None) -> Estimate:
    return estimate(spec_of(*overrides), shapes, speed=speed or SpeedBasis())


def test_parts_add_up(shapes: ModelShapes) -> None:
    """Totals are the sums of their parts, and all of it can be written as JSON."""
    found = predict(shapes)
    assert found.total_bytes == sum(found.size_parts.values())
    assert found.peak_memory_bytes == sum(found.memory_parts.values())
    assert found.seconds == pytest.approx(sum(found.seconds_parts.values()))
    assert found.seconds_low < found.seconds < found.seconds_high
    assert min(found.memory_parts.values()) >= 0
    assert json.loads(json.dumps(asdict(found)))["basis"] == found.basis


def test_bundled_model_size(shapes: ModelShapes) -> None:
    """The bundled model at 3 bits in groups of 64 weighs what a run of it measured."""
    assert predict(shapes).total_bytes == 100_446_336


def test_measuring_sensitivity_takes_time(shapes: ModelShapes) -> None:
    """Only widths that are yet to be measured cost time, more of it for more windows."""
    mixing = "quantizer.mixing.rule=sensitivity"
    whole, published = predict(shapes, mixing), predict(shapes, "quantizer.bits=2.5")
    assert "sensitivity" not in {**whole.seconds_parts, **published.seconds_parts}
    few, many = (
        predict(shapes, "quantizer.bits=2.5", mixing, f"quantizer.mixing.num_samples={count}")
        for count in (8, 64)
    )
    assert 0 < few.seconds_parts["sensitivity"] < many.seconds_parts["sensitivity"]
    assert many.seconds == pytest.approx(sum(many.seconds_parts.values()))


def test_a_search_takes_the_widths_of_its_training(shapes: ModelShapes) -> None:
    """A run that only measures a trained one is not charged for sensitivity."""
    spec = spec_of("quantizer.bits=2.5", "quantizer.mixing.rule=sensitivity", preset="qat-nls")
    child = resolve_child(RankEvaluationSpec, spec, {"parent": 1, "ranks": [16] * 30})
    assert count_workload(spec).sensitivity_tokens == 32 * 256
    assert count_workload(child).sensitivity_tokens == 0


def test_memory_grows_with_what_is_asked(shapes: ModelShapes) -> None:
    """Longer windows, larger microbatches, accumulation and higher ranks need more memory."""
    base = predict(shapes).peak_memory_bytes
    for more in (
        "training.max_length=512",
        "training.per_device_train_batch_size=8",
        "training.gradient_accumulation_steps=2",
        "adapter.r=64",
        "training.max_steps=400",
    ):
        assert predict(shapes, more).peak_memory_bytes >= base
    baseline = estimate(spec_of(preset="baseline"), shapes, speed=SpeedBasis())
    assert baseline.peak_memory_bytes < base


def test_frozen_codebooks_need_no_gradient_of_weights(shapes: ModelShapes) -> None:
    """Training beside NormalFloat weights keeps no gradient of them, and takes less time."""
    beside = ("adapter.placement=parallel",)
    integer = predict(shapes, *beside)
    codebook = predict(shapes, *beside, "quantizer={grid: normal-float, bits: 3}")
    assert integer.memory_parts["weight_gradients"] > 0
    assert codebook.memory_parts["weight_gradients"] == 0
    assert codebook.seconds_parts["train"] < integer.seconds_parts["train"]


def test_sensitivity_holds_a_number_for_every_weight(shapes: ModelShapes) -> None:
    """Squared gradients of all quantized weights are kept while their text is read."""
    found = predict(shapes, "quantizer={bits: 2.5, mixing: {rule: sensitivity}}")
    assert found.memory_parts["sensitivity"] == 4 * 30 * 576 * (576 * 2 + 192 * 2 + 1536 * 3)
    assert predict(shapes, "quantizer.bits=2.5").memory_parts["sensitivity"] == 0


def test_a_data_aware_start_holds_moments_and_goes_in_rounds(
    shapes: ModelShapes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moments are four matrices a block here, shared inputs once; rounds and parts take longer."""
    start = ("initialization.method=data-aware", "adapter.placement=parallel")
    found = predict(shapes, *start)
    per_block = 3 * 576**2 + 1536**2
    assert found.memory_parts["calibration"] == 4 * 30 * per_block
    assert predict(shapes).memory_parts["calibration"] == 0
    longer = predict(shapes, *start, "initialization.iterations=6")
    monkeypatch.setattr(moment_size, "MOMENT_BYTES", 10 * 4 * per_block)
    in_parts = predict(shapes, *start)
    assert in_parts.memory_parts["calibration"] == 10 * 4 * per_block
    assert in_parts.seconds_parts["initialize"] > found.seconds_parts["initialize"]
    assert longer.seconds_parts["initialize"] > found.seconds_parts["initialize"]


def test_gpu_counts_the_device_alone(shapes: ModelShapes) -> None:
    """On a GPU neither the interpreter nor mapped files count, and weights take 16 bits."""
    found = predict(shapes, speed=SpeedBasis(device="cuda"))
    assert found.memory_parts["interpreter"] == 0
    assert found.memory_parts["base_weights"] == 2 * shapes.num_parameters
    assert found.seconds < predict(shapes).seconds


def test_rule_of_thumb_is_wide(shapes: ModelShapes) -> None:
    """Without a run the interval spans a factor of nine and says why."""
    found = predict(shapes)
    assert found.seconds_high / found.seconds_low == pytest.approx(9)
    assert found.basis == "a rule of thumb; no run here yet"


def test_past_runs_are_followed(shapes: ModelShapes) -> None:
    """A run as long as the past ones is predicted to take as long, with a narrower interval."""
    spec = spec_of("training.max_steps=10")
    stages = {"load": 4.0, "teach": 11.0, "initialize": 1.0, "train": 50.0, "evaluate": 5.0}
    widths = []
    for num_runs in (1, 3):
        speed = learn_speed([PastRun(spec, stages)] * num_runs)
        found = estimate(spec, shapes, speed=speed)
        assert found.seconds_parts["load"] == pytest.approx(4.0)
        assert found.seconds_parts["train"] == pytest.approx(50.0)
        assert found.seconds_parts["evaluate"] == pytest.approx(5.0)
        widths.append(found.seconds_high / found.seconds_low)
    assert widths[1] < widths[0] < 9
    assert found.basis == "3 runs of this model on this device"
    longer = estimate(spec_of("training.max_steps=20"), shapes, speed=speed)
    assert longer.seconds_parts["train"] == pytest.approx(100.0)


def test_untrained_runs_say_nothing_of_training(shapes: ModelShapes) -> None:
    """Runs without training found the evaluation, but leave training to the rule of thumb."""
    run = PastRun(spec_of(preset="rtn"), {"load": 4.0, "evaluate": 5.0})
    found = predict(shapes, speed=learn_speed([run] * 3))
    assert found.basis == "3 runs of this model on this device; training by a rule of thumb"
    assert found.seconds_high / found.seconds_low == pytest.approx(9)
    same = estimate(spec_of(preset="rtn"), shapes, speed=learn_speed([run] * 3))
    assert same.seconds_high / same.seconds_low < 2


def test_more_cores_are_faster(shapes: ModelShapes) -> None:
    """The rule of thumb knows the machine's cores."""
    few = predict(shapes, speed=SpeedBasis(num_cores=2))
    many = predict(shapes, speed=SpeedBasis(num_cores=16))
    assert many.seconds_parts["train"] < few.seconds_parts["train"] / 4


def test_nothing_learned_from_nothing() -> None:
    """No runs, or runs without the stage, leave a speed unknown."""
    assert learn_speed([], num_cores=4) == SpeedBasis(num_cores=4)
    run = PastRun(spec_of(preset="rtn"), {"evaluate": 0.0})
    assert learn_speed([run]) == replace(SpeedBasis(), num_runs=1)


def test_workload_by_steps() -> None:
    """Steps, microbatch, accumulation and window length give the tokens exactly."""
    work = count_workload(
        spec_of(
            "training.max_steps=5",
            "training.per_device_train_batch_size=2",
            "training.gradient_accumulation_steps=3",
            "training.max_length=128",
            "evaluation.limit=4",
            "evaluation.max_length=64",
            "training.objective=task",
        )
    )
    assert (work.train_steps, work.train_tokens) == (5, 5 * 6 * 128)
    assert work.evaluate_tokens == work.teach_tokens == 4 * 64
    assert not work.is_guess


def test_workload_by_epochs(tmp_path: Path) -> None:
    """Epochs over a file follow its size; over a hub data set the length is a guess."""
    path = tmp_path / "text.txt"
    path.write_text("word " * 20_000)
    short = count_workload(spec_of(f"training.data.source={path}"))
    twice = count_workload(spec_of(f"training.data.source={path}", "training.num_train_epochs=2.0"))
    assert not short.is_guess
    assert twice.train_steps == pytest.approx(2 * short.train_steps, abs=1)
    hub = spec_of("training.data.source=org/name")
    assert count_workload(hub).is_guess


def test_guessed_text_widens_the_interval(shapes: ModelShapes) -> None:
    """A text of unknown length is told and makes the interval wider."""
    found = predict(shapes, "training.data.source=org/name")
    assert found.basis.endswith("the length of the text is a guess")
    assert found.seconds_high / found.seconds_low > 9


def test_light() -> None:
    """Estimating loads neither torch nor transformers."""
    code = (
        "import sys, engine.layer_fit; from engine.estimates import estimate, SpeedBasis; "
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
