"""Promises of one optimizer step: the gradients of the slow way, however a batch is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.errors import Diverged
from engine.training.batches import Microbatch, iter_steps
from engine.training.objectives import build_mix, reference_loss
from engine.training.parameter_groups import build_optimizer, build_scheduler, named_trainables
from engine.training.step import StepRunner
from tests.engine.tiny_layers import disturb, gradients_of, integer
from tests.engine.training.tiny_training import Tiny, make_spec, make_training
from tests.tolerances import assert_near

QUANTIZERS = {
    "asymmetric": integer(),
    "symmetric": integer(symmetric=True),
    "embeddings too": integer(embeddings=True),
}


def make_runner(tiny: Tiny) -> StepRunner[Microbatch]:
    """Build a runner at the spec's rates."""
    spec = make_spec(warmup_ratio=0.0)
    optimizer = build_optimizer(tiny.layers, spec)
    return StepRunner(
        tiny.learner(spec),
        tiny.layers,
        optimizer,
        scheduler=build_scheduler(optimizer, spec, 10),
        max_grad_norm=1.0,
    )


def cut(tiny: Tiny, *, microbatch: int) -> list[Microbatch]:
    """Return the first step's four windows in microbatches of that many."""
    spec = make_spec(
        per_device_train_batch_size=microbatch, gradient_accumulation_steps=4 // microbatch
    )
    return next(iter_steps(spec, tiny.data, 0, torch.device("cpu")))


def slow_gradients(tiny: Tiny, microbatch: Microbatch) -> tuple[float, dict[str, Tensor]]:
    """Return loss and gradients by autograd through the model's own forward."""
    logits = tiny.model(input_ids=microbatch.tokens, use_cache=False).logits.flatten(0, 1)
    loss = reference_loss(logits, microbatch.answers, build_mix(make_spec()))
    loss.backward()
    return loss.item(), gradients_of(tiny.layers)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", QUANTIZERS)
@pytest.mark.parametrize("microbatch", [4, 1])
def test_a_steps_gradients_are_those_of_autograd(
    tmp_path: Path, name: str, tied: bool, microbatch: int
) -> None:
    """For every kind of layer, in one microbatch or four, gradients equal the slow way's."""
    tiny = make_training(tmp_path, steps=3, quantizer=QUANTIZERS[name], tied=tied)
    disturb(tiny.layers)
    expected_loss, expected = slow_gradients(tiny, *cut(tiny, microbatch=4))
    loss = make_runner(tiny).backward(cut(tiny, microbatch=microbatch))
    found = gradients_of(tiny.layers)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert sorted(found) == sorted(expected)
    assert len(found) >= 3 * 14
    for key, value in expected.items():
        assert_near(found[key], value)
    assert all(layer.held is None for layer in tiny.layers.values())


def test_a_step_moves_only_adapters_and_ranges(tmp_path: Path) -> None:
    """After a step every adapter and range has moved and no other bit of the model has."""
    tiny = make_training(tmp_path, steps=3)
    before = tiny.state()
    runner = make_runner(tiny)
    for _ in range(2):  # A moves from the second step on: B starts at zero
        result = runner.run(cut(tiny, microbatch=2))
    assert result.grad_norm > 0
    trained = {id(value) for value in named_trainables(tiny.layers).values()}
    for name, value in tiny.model.named_parameters():
        assert torch.equal(value, before[name]) == (id(value) not in trained), name
        assert value.grad is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_changes_nothing(tmp_path: Path, bad: float) -> None:
    """A step that diverges says which rates to lower, and leaves parameters and moments alone."""
    tiny = make_training(tmp_path, steps=3)
    runner = make_runner(tiny)
    runner.run(cut(tiny, microbatch=2))
    tiny.model.model.norm.weight.data[0] = bad
    before = tiny.state()
    moments = {key: state["exp_avg"].clone() for key, state in runner.optimizer.state.items()}
    with pytest.raises(Diverged, match=r"training\.learning_rate or training\.range_learning_rate"):
        runner.run(cut(tiny, microbatch=2))
    for name, value in tiny.model.named_parameters():
        assert torch.equal(value.nan_to_num(), before[name].nan_to_num())
        assert value.grad is None
    for key, value in moments.items():
        assert torch.equal(runner.optimizer.state[key]["exp_avg"], value)
