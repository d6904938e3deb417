"""Promises of steps in which lower widths follow higher ones: plain gradients, in any order."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from engine.layers.head import SplitModel
from engine.layers.layer_map import apply_map
from engine.layers.swap import Layers
from engine.specs.bit_policy import SwitchableBits
from engine.training.batches import Microbatch, iter_steps
from engine.training.cascade import find_rule
from engine.training.distances import divergence, state_distance
from engine.training.objectives import Answers, build_mix, reference_loss
from engine.training.parameter_groups import (
    build_optimizer,
    build_scheduler,
    named_trainables,
)
from engine.training.step import StepResult, StepRunner
from tests.engine.tiny_layers import disturb, integer, lora
from tests.engine.training.tiny_training import Tiny, make_spec, make_training
from tests.tolerances import assert_near

WIDTHS = (5, 4, 3)
FOLLOWED = ["logits", "hidden-states", "both"]
KINDS = {
    "plain head": {},
    "rounded head": {"quantizer": integer(bits=3, embeddings=True)},
    "tied rounded head": {"quantizer": integer(bits=3, embeddings=True), "tied": True},
    "parallel": {"adapter": lora().model_copy(update={"placement": "parallel"})},
}


def make(folder: Path, kind: str = "plain head") -> Tiny:
    """Return a training at three widths with ranges and adapters away from their start."""
    tiny = make_training(folder, steps=3, widths=WIDTHS, **KINDS[kind])
    for width in WIDTHS:
        policy = tiny.bit_policy(make_spec(bit_policy=SwitchableBits(widths=WIDTHS)))
        assert policy is not None
        apply_map(tiny.layers, policy.maps[width])
        disturb(tiny.layers)
    return tiny


def cut(tiny: Tiny, *rows: int) -> list[Microbatch]:
    """Return the first step's four windows in microbatches of so many rows each."""
    spec = make_spec(per_device_train_batch_size=1, gradient_accumulation_steps=sum(rows))
    singles = iter(next(iter_steps(spec, tiny.data, 0, torch.device("cpu"))))
    return [join(list(islice(singles, count))) for count in rows]


def join(parts: list[Microbatch]) -> Microbatch:
    """Return full windows as one microbatch."""
    answers = [
        torch.cat([getattr(part.answers, name) for part in parts])
        for name in ("labels", "indices", "log_probs")
    ]
    return Microbatch(torch.cat([part.tokens for part in parts]), Answers(*answers))


def take_step(
    tiny: Tiny, policy: SwitchableBits, *, rows: tuple[int, ...] = (4,)
) -> tuple[StepResult, dict[str, Tensor]]:
    """Return a step's losses and gradients; nothing moves."""
    spec = make_spec(bit_policy=policy)
    optimizer = build_optimizer(tiny.layers, spec)
    runner = StepRunner(
        tiny.learner(spec), tiny.layers, optimizer, max_grad_norm=None,
        scheduler=build_scheduler(optimizer, spec, 10), cascade=find_rule(policy),
    )  # fmt: skip
    seen: dict[str, Tensor] = {}

    def watch(**_: Any) -> None:
        for name, value in named_trainables(tiny.layers).items():
            if value.grad is not None:
                seen[name] = value.grad.clone()

    bits = tiny.bit_policy(spec)
    assert bits is not None
    with patch.object(optimizer, "step", watch), patch.object(runner.scheduler, "step", watch):
        result = runner.run(cut(tiny, *rows), bits.configurations(1))
    return result, seen


def slow_step(tiny: Tiny, policy: SwitchableBits) -> tuple[list[float], dict[str, Tensor]]:
    """Return the same by autograd through the model's own forward, width by width."""
    (part,) = cut(tiny, 4)
    bits = tiny.bit_policy(make_spec(bit_policy=policy))
    assert bits is not None
    said: list[tuple[Tensor, list[Tensor]]] = []
    losses = []
    for width in policy.widths:
        apply_map(tiny.layers, bits.maps[width])
        found = tiny.model(input_ids=part.tokens, use_cache=False, output_hidden_states=True)
        logits = found.logits.flatten(0, 1)
        states = [each.flatten(0, 1) for each in found.hidden_states[1:]]
        loss = reference_loss(logits, part.answers, build_mix(make_spec()))
        if said:
            off = sum(_distance(policy, (logits, states), teacher) for teacher in said) / len(said)
            loss = (1 - policy.cascade_weight) * loss + policy.cascade_weight * off
        (loss / len(policy.widths)).backward()
        losses.append(loss.item())
        said.append((logits.detach(), [each.detach() for each in states]))
    return losses, _take_gradients(tiny.layers)


def _distance(policy: SwitchableBits, mine: tuple, theirs: tuple) -> Tensor:
    of_logits = divergence(mine[0], theirs[0], policy.cascade_temperature)
    of_states = state_distance(mine[1], theirs[1])
    both = (of_logits + of_states) / 2
    return {"logits": of_logits, "hidden-states": of_states, "both": both}[policy.cascade_on]


def _take_gradients(layers: Layers) -> dict[str, Tensor]:
    found = {}
    for name, value in named_trainables(layers).items():
        if value.grad is not None:
            found[name], value.grad = value.grad, None
    return found


@pytest.mark.parametrize("on", FOLLOWED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_steps_gradients_are_those_of_autograd(tmp_path: Path, kind: str, on: str) -> None:
    """For every head and whatever is followed, losses and gradients equal the slow way's."""
    tiny = make(tmp_path, kind)
    policy = SwitchableBits(widths=WIDTHS, cascade_weight=0.4, cascade_on=on)
    losses, expected = slow_step(tiny, policy)
    result, found = take_step(tiny, policy)
    assert result.losses == pytest.approx(losses, rel=1e-4)
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert_near(found[name], value)


@pytest.mark.parametrize("on", FOLLOWED)
def test_the_order_of_widths_changes_no_gradient(tmp_path: Path, on: str) -> None:
    """High to low and low to high have the same losses and gradients."""
    tiny = make(tmp_path)
    down, up = (
        take_step(tiny, SwitchableBits(widths=WIDTHS, cascade_on=on, order=order))
        for order in ("high-to-low", "low-to-high")
    )
    assert up[0].losses == pytest.approx(down[0].losses[::-1], rel=1e-6)
    assert sorted(up[1]) == sorted(down[1])
    for name, value in down[1].items():
        assert_near(up[1][name], value)


@pytest.mark.parametrize("on", FOLLOWED)
@pytest.mark.parametrize("kind", ["plain head", "tied rounded head"])
def test_the_cut_of_a_batch_changes_no_gradient(tmp_path: Path, kind: str, on: str) -> None:
    """In one, two or four microbatches, also unequal ones, losses and gradients are the same."""
    tiny = make(tmp_path, kind)
    policy = SwitchableBits(widths=WIDTHS, cascade_on=on)
    whole, expected = take_step(tiny, policy)
    for rows in ((2, 2), (1, 1, 1, 1), (1, 3)):
        result, found = take_step(tiny, policy, rows=rows)
        assert result.losses == pytest.approx(whole.losses, rel=1e-5)
        for name, value in expected.items():
            assert_near(found[name], value)


def test_only_the_cascade_ties_widths_together(tmp_path: Path) -> None:
    """At weight 0 the losses are those of each width alone; at 1 the lower are distances alone."""
    tiny = make(tmp_path)
    alone = [take_step(tiny, SwitchableBits(widths=(width,)))[0].loss for width in WIDTHS]
    free, _ = take_step(tiny, SwitchableBits(widths=WIDTHS, cascade_weight=0))
    assert list(free.losses) == alone
    bound, gradients = take_step(tiny, SwitchableBits(widths=WIDTHS, cascade_weight=1))
    assert bound.losses[0] == alone[0]
    assert all(loss < 0.5 * own for loss, own in zip(bound.losses[1:], alone[1:], strict=True))
    assert any("/ranges.3." in name and value.any() for name, value in gradients.items())


@pytest.mark.parametrize(
    ("order", "passes"), [("high-to-low", 3), ("low-to-high", 5), ("sandwich", 3)]
)
def test_trained_passes_are_their_own_teachers(tmp_path: Path, order: str, passes: int) -> None:
    """High to low no pass is repeated; low to high each higher width is asked once beforehand."""
    tiny = make(tmp_path)
    hidden = SplitModel.hidden
    with patch.object(SplitModel, "hidden", autospec=True, side_effect=hidden) as asked:
        take_step(tiny, SwitchableBits(widths=WIDTHS, order=order))
    probes = 1  # a learner checks its model once
    assert asked.call_count == passes + probes
