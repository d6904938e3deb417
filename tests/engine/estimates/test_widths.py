"""Promises of estimates where widths change: counted as the training carries them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.estimates import Estimate, PastRun, SpeedBasis, estimate, learn_speed
from engine.estimates.widths import count_kept, count_passes, find_training
from engine.estimates.workload import count_workload
from engine.layers.layer_map import LayerSetting
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ExperimentSpec, MapEvaluationSpec, ModelSpec, resolve, resolve_child
from engine.specs.presets import PRESETS
from engine.training.bit_policy import BitPolicy
from engine.training.cascade import Cascade, find_rule
from engine.training.range_test import STAGE
from engine.training.range_test import count_trial_steps as real_trial_steps

STEPS = 12
ORDERS = ("high-to-low", "low-to-high", "sandwich", "one-after-another")


@pytest.fixture(scope="module")
def shapes() -> ModelShapes:
    return read_shapes(ModelSpec(), data_folder=Path())


def spec_of(*overrides: str, policy: dict[str, Any], adapter: str = "lora-bank") -> ExperimentSpec:
    values = {
        "preset": "qat-lora",
        "quantizer": {"bits": 4},
        "adapter": {"kind": adapter},
        "training": {"bit_policy": policy, "max_steps": STEPS, "objective": "task"},
    }
    return resolve(values, overrides).spec


def switchable(
    *overrides: str, order: str = "high-to-low", weight: float = 0.5, **others: Any
) -> ExperimentSpec:
    policy = {"policy": "switchable", "widths": [8, 6, 5, 4], "order": order}
    return spec_of(*overrides, policy=policy | {"cascade_weight": weight} | others)


def predict(spec: Any, shapes: ModelShapes, speed: SpeedBasis | None = None) -> Estimate:
    return estimate(spec, shapes, speed=speed or SpeedBasis())


def carried_out(spec: ExperimentSpec) -> tuple[int, int, int]:
    """Return what a training does: passes that train, passes that only ask, most outputs kept."""
    training = find_training(spec)
    assert training is not None
    policy = training.bit_policy
    maps = {width: {"layer": LayerSetting(bits=width)} for width in policy.list_widths()}
    only_followed = () if spec.trains_unrounded else (16,)
    real = BitPolicy(policy, maps, (("layer",),), (1,), STEPS, seed=1, only_followed=only_followed)
    trained = asked = most = 0
    for step in range(1, STEPS + 1):
        configurations = real.configurations(step)
        trained += len(configurations)
        most = max(most, *(len(each.follows) for each in configurations))
        cascade = Cascade(find_rule(policy), configurations)
        for place in range(len(configurations)):
            for settings in cascade.list_missing(place):
                asked += 1
                cascade.add(settings, [])
            cascade.lesson(place)
            cascade.finish(place)
    return trained, asked, most


@pytest.mark.parametrize("weight", [0.5, 0.0])
@pytest.mark.parametrize("order", ORDERS)
def test_passes_are_those_of_the_training(order: str, weight: float) -> None:
    """Every order counts as many passes, asked teachers and kept outputs as it carries out."""
    spec = switchable(order=order, weight=weight)
    training = find_training(spec)
    assert training is not None
    passes = count_passes(spec, training)
    counted = (STEPS * passes.trained, STEPS * passes.asked, passes.followed)
    assert counted == carried_out(spec)
    work = count_workload(spec)
    tokens = training.per_device_train_batch_size * training.max_length
    assert (work.train_tokens, work.asked_tokens) == tuple(
        tokens * each for each in carried_out(spec)[:2]
    )


@pytest.mark.parametrize("weight", [0.5, 0.0])
@pytest.mark.parametrize("order", ["high-to-low", "low-to-high", "sandwich"])
def test_a_width_that_nothing_trains_at_is_only_asked(order: str, weight: float) -> None:
    """Without adapters 16 bits counts as a teacher's pass, or as none where nobody follows."""
    policy = {"policy": "switchable", "widths": [16, 8, 6, 4], "order": order}
    spec = spec_of(policy=policy | {"cascade_weight": weight}, adapter="none")
    training = find_training(spec)
    assert training is not None
    passes = count_passes(spec, training)
    assert (STEPS * passes.trained, STEPS * passes.asked, passes.followed) == carried_out(spec)


@pytest.mark.parametrize(
    "policy",
    [
        {"policy": "cyclic", "num_cycles": 3},
        {"policy": "random", "widths": [8, 4]},
        {"policy": "curriculum", "widths": [8, 4]},
    ],
    ids=lambda policy: policy["policy"],
)
def test_one_width_a_step_takes_no_longer(shapes: ModelShapes, policy: dict[str, Any]) -> None:
    """Policies with one width in each step train as long as a fixed one; all ranges count."""
    changing = predict(spec_of(policy=policy), shapes)
    fixed = predict(spec_of(policy={"policy": "fixed"}), shapes)
    assert changing.seconds_parts == fixed.seconds_parts
    assert changing.memory_parts["trained"] > fixed.memory_parts["trained"]


def test_ranks_multiply_widths() -> None:
    """A sandwich of ranks is trained at each of a step's widths."""
    spec = spec_of(
        "adapter.rank_policy=sandwich",
        policy={"policy": "switchable", "widths": [8, 4], "order": "low-to-high"},
        adapter="elastic-lora",
    )
    training = find_training(spec)
    assert training is not None
    assert count_passes(spec, training) == (6, 3, 3)


def test_a_bank_holds_a_pair_for_every_width(shapes: ModelShapes) -> None:
    """Pairs and ranges of all widths train with gradient and moments; a shared pair counts once."""
    one = predict(spec_of(policy={"policy": "fixed"}), shapes).memory_parts["trained"]
    assert predict(switchable(), shapes).memory_parts["trained"] == 4 * one
    shared = switchable()
    shared = shared.model_copy(
        update={"adapter": spec_of(policy={"policy": "fixed"}, adapter="lora").adapter}
    )
    assert one < predict(shared, shapes).memory_parts["trained"] < 4 * one


def test_frozen_rounded_weights_are_kept_and_rounded_once(shapes: ModelShapes) -> None:
    """Beside parallel adapters with still ranges every width is rounded once and kept; else not."""
    beside = ("adapter.placement=parallel", "training.range_learning_rate=0")
    once, ever = switchable(*beside), switchable("adapter.placement=parallel")
    assert (count_workload(once).roundings, count_workload(ever).roundings) == (4, 4 * STEPS)
    assert (count_kept(once), count_kept(ever)) == (4, 1)
    kept, anew = predict(once, shapes), predict(ever, shapes)
    assert kept.memory_parts["rounded_weights"] == 4 * anew.memory_parts["rounded_weights"]
    assert kept.memory_parts["weight_gradients"] == 0 < anew.memory_parts["weight_gradients"]
    assert kept.seconds_parts["train"] < anew.seconds_parts["train"]


def test_what_is_followed_is_kept(shapes: ModelShapes) -> None:
    """Outputs of higher widths take memory for each that is followed, in what is followed."""
    hidden = 4 * 256 * 576 * 4  # windows, tokens, hidden size, bytes
    followed = {
        on: predict(switchable(cascade_on=on), shapes).memory_parts["followed"]
        for on in ("logits", "hidden-states", "both")
    }
    assert followed == {
        "logits": 3 * hidden,
        "hidden-states": 3 * 30 * hidden,
        "both": 3 * 31 * hidden,
    }
    assert predict(switchable(weight=0.0), shapes).memory_parts["followed"] == 0
    rounded = predict(switchable("quantizer.exclude=[]"), shapes).memory_parts["followed"]
    assert rounded == 3 * hidden // 576 * shapes.vocab_size


def test_a_range_test_is_counted(shapes: ModelShapes) -> None:
    """Trials of all widths are charged at the training's own speed, as a stage of that name."""
    policy = {"policy": "cyclic", "num_cycles": 3, "range_test": True, "range_test_steps": 6}
    spec = spec_of(policy=policy)
    found = predict(spec, shapes)
    trials = real_trial_steps(spec_of(policy=policy).training.bit_policy)
    assert found.seconds_parts[STAGE] == pytest.approx(
        found.seconds_parts["train"] * trials / STEPS
    )
    assert (
        STAGE not in predict(spec_of(policy=policy | {"range_test": False}), shapes).seconds_parts
    )


def test_past_runs_of_another_order_are_comparable(shapes: ModelShapes) -> None:
    """A width that is asked costs a third of one that is trained, whichever order was measured."""
    past = PastRun(switchable(order="low-to-high"), {"train": 100.0, "evaluate": 1.0})
    speed = learn_speed([past])
    again = predict(switchable(order="low-to-high"), shapes, speed)
    assert again.seconds_parts["train"] == pytest.approx(100)
    other = predict(switchable(order="high-to-low"), shapes, speed)
    assert other.seconds_parts["train"] == pytest.approx(
        80
    )  # four passes, not four and three thirds


def test_what_measures_a_trained_run_is_not_charged_for_its_training(shapes: ModelShapes) -> None:
    """A run that measures another holds the widths of its spec and trains nothing."""
    spec = resolve_child(
        MapEvaluationSpec, switchable(), {"parent": 1, "maps": [{"map": "uniform", "bits": 4}]}
    )
    assert find_training(spec) is None
    assert (count_workload(spec).train_tokens, count_workload(spec).roundings) == (0, 0)
    found = predict(spec, shapes)
    assert found.seconds_parts["train"] == found.memory_parts["weight_gradients"] == 0
    trained = predict(switchable(), shapes).memory_parts["trained"]
    assert 5 * found.memory_parts["trained"] == trained


@pytest.mark.parametrize("name", [preset.name for preset in PRESETS])
def test_every_preset_is_estimated(name: str, tmp_path: Path) -> None:
    """Each preset shows numbers: bytes, memory and time, none of them nothing."""
    spec = resolve({"preset": name}).spec
    found = predict(spec, read_shapes(spec.model, data_folder=tmp_path))
    assert 0 < found.total_bytes <= found.original_bytes * 1.2
    assert found.peak_memory_bytes > found.original_bytes
    assert 0 < found.seconds_low < found.seconds < found.seconds_high
