"""Promises of labels learned at several widths: any cut, any order, a head that stays behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from engine.events import Event, Progressed
from engine.layers.layer_map import apply_map
from engine.specs import LoraBankAdapter, QatTraining
from engine.specs.bit_policy import SwitchableBits
from engine.training.bit_policy import BitPolicy, build_bit_policy
from engine.training.cascade import find_rule
from engine.training.distances import divergence
from engine.training.loop import Place, train
from engine.training.parameter_groups import build_optimizer, build_scheduler
from engine.training.step import StepResult, StepRunner
from tests.engine.tiny_layers import disturb, integer, quantize
from tests.engine.training.test_labeled import HEADS, FakeRows, Tiny, make_spec
from tests.tolerances import assert_near

WIDTHS = (5, 3)


class WideTiny(Tiny):
    """A model with layers of several widths, its own the lowest."""

    def __init__(self, kind: str, head: str) -> None:
        with patch("tests.engine.training.test_labeled.quantize", _quantize_wide):
            super().__init__(kind, head)

    def bits(self, spec: QatTraining) -> BitPolicy:
        """Return the spec's policy."""
        policy = build_bit_policy(
            spec.bit_policy, self.layers, integer(), total_steps=spec.max_steps or 1, seed=3
        )
        assert policy is not None
        return policy

    def step(self, policy: SwitchableBits, *, microbatch: int = 6) -> tuple[StepResult, dict]:
        """Return a step's losses and gradients; nothing moves."""
        spec = make_spec(
            per_device_train_batch_size=microbatch,
            gradient_accumulation_steps=6 // microbatch,
            bit_policy=policy,
        )
        optimizer = build_optimizer(self.layers, spec, self.head)
        learner = self.learner(spec)
        runner = StepRunner(
            learner, self.layers, optimizer, max_grad_norm=None,
            scheduler=build_scheduler(optimizer, spec, 5), cascade=find_rule(policy),
        )  # fmt: skip
        seen: dict[str, Tensor] = {}

        def watch(**_: Any) -> None:
            named = {name: value.grad for name, value in self.trained().items()}
            seen.update({n: grad.clone() for n, grad in named.items() if grad is not None})

        with patch.object(optimizer, "step", watch), patch.object(runner.scheduler, "step", watch):
            result = runner.run(next(learner.iter_steps(0)), self.bits(spec).configurations(1))
        seen.pop("head/qa_outputs.bias", None)  # a shift of all places changes no softmax
        return result, seen

    def train_widths(
        self, spec: QatTraining, folder: Path, *, listener: Any = None, resume_from: Any = None
    ) -> None:
        """Train by the spec's policy."""
        folder.mkdir(exist_ok=True)
        train(
            self.learner(spec), self.layers, spec, place=Place(folder, "this", resume_from),
            listener=listener or (lambda _: None), bit_policy=self.bits(spec),
        )  # fmt: skip

    def logits_at(self, spec: QatTraining, width: int) -> Tensor:
        """Return what the model says to its rows at a width."""
        apply_map(self.layers, self.bits(spec).maps[width])
        batch = FakeRows("span-qa").batch(torch.arange(6))
        with torch.no_grad():
            found = self.model(batch["input_ids"], attention_mask=batch["attention_mask"])
        return found.logits


def _quantize_wide(model: Any, quantizer: Any, adapter: Any) -> Any:
    bank = LoraBankAdapter(r=adapter.r, lora_alpha=adapter.lora_alpha)
    layers = quantize(model, quantizer, bank, widths=WIDTHS)
    for width in WIDTHS:
        for layer in layers.values():
            layer.set_bits(width)
        disturb(layers)
    return layers


@pytest.mark.parametrize("on", ["both", "logits"])
@pytest.mark.parametrize(("kind", "head"), HEADS)
def test_neither_cut_nor_order_changes_a_gradient(kind: str, head: str, on: str) -> None:
    """In one or three microbatches, from high or from low, losses and gradients are the same."""
    tiny = WideTiny(kind, head)
    down = SwitchableBits(widths=WIDTHS, cascade_on=on, cascade_weight=0.6)
    up = down.model_copy(update={"order": "low-to-high"})
    whole, expected = tiny.step(down)
    free, _ = tiny.step(down.model_copy(update={"cascade_weight": 0.0}))
    assert whole.losses[0] == free.losses[0]
    assert whole.losses[1] != free.losses[1]
    for policy, microbatch in ((down, 2), (up, 6), (up, 3)):
        result, found = tiny.step(policy, microbatch=microbatch)
        losses = result.losses if policy is down else result.losses[::-1]
        assert losses == pytest.approx(whole.losses, rel=1e-4)
        assert sorted(found) == sorted(expected)
        for name, value in expected.items():
            assert_near(found[name], value)


def test_classes_are_followed_as_divergence() -> None:
    """A lower width's loss is its share of its own and the divergence from the higher's logits."""
    tiny, spec = WideTiny("bert", "classification"), make_spec()
    policy = SwitchableBits(widths=WIDTHS, cascade_weight=0.25, cascade_temperature=3.0)
    batch = tiny.rows.batch(torch.arange(6))
    spec = make_spec(bit_policy=policy)
    said = []
    for width in WIDTHS:
        apply_map(tiny.layers, tiny.bits(spec).maps[width])
        with torch.no_grad():
            said.append(tiny.model(**batch))
    expected = 0.75 * said[1].loss + 0.25 * divergence(said[1].logits, said[0].logits, 3.0)
    assert tiny.step(policy)[0].losses == pytest.approx([said[0].loss.item(), expected.item()])


def test_a_number_is_followed_by_its_squared_difference() -> None:
    """A regression's lower width is drawn to the higher one's number."""
    tiny = WideTiny("bert", "classification")
    tiny.model.classifier = torch.nn.Linear(tiny.model.classifier.in_features, 1)
    tiny.model.config.num_labels = tiny.model.num_labels = 1
    tiny.model.config.problem_type = "regression"
    batch = tiny.rows.batch(torch.arange(6))
    spec = make_spec(bit_policy=SwitchableBits(widths=WIDTHS, cascade_weight=1))
    batches = tiny.rows.batch
    said = []
    for width in WIDTHS:
        apply_map(tiny.layers, tiny.bits(spec).maps[width])
        with torch.no_grad():
            said.append(tiny.model(batch["input_ids"], attention_mask=batch["attention_mask"]))
    off = (said[1].logits - said[0].logits).square().mean().item()

    def numbers(places: Tensor) -> dict[str, Tensor]:
        found = batches(places)
        return found | {"labels": found["labels"].float()}

    with patch.object(tiny.rows, "batch", numbers):
        result, _ = tiny.step(SwitchableBits(widths=WIDTHS, cascade_weight=1))
    assert result.losses[1] == pytest.approx(off, rel=1e-4)


@pytest.mark.parametrize("order", ["high-to-low", "one-after-another"])
def test_a_resumed_training_ends_where_it_would_have(tmp_path: Path, order: str) -> None:
    """From a checkpoint in the middle, every width and the head end bit for bit the same."""
    policy = SwitchableBits(widths=WIDTHS, order=order)
    spec = make_spec(bit_policy=policy, save_steps=3, weight_decay=0.1)
    whole, again = WideTiny("bert", "classification"), WideTiny("bert", "classification")
    again.model.load_state_dict(whole.model.state_dict())
    whole.train_widths(spec, tmp_path)
    torch.rand(5)
    again.train_widths(spec, tmp_path, resume_from=tmp_path / "checkpoint-00000003.safetensors")
    expected = whole.trained()
    assert "head/classifier.weight" in expected
    for name, value in again.trained().items():
        assert torch.equal(value, expected[name]), name


def test_a_finished_width_keeps_its_head(tmp_path: Path) -> None:
    """One after another, the first width answers bit for bit as when it was finished.

    The head that all widths share moves in the first stage and no more.
    """
    tiny = WideTiny("bert", "classification")
    policy = SwitchableBits(widths=WIDTHS, order="one-after-another")
    spec = make_spec(bit_policy=policy, max_steps=6, weight_decay=0.1)
    start = tiny.head["classifier.weight"].detach().clone()
    seen: dict[int, Tensor] = {}
    heads: dict[int, Tensor] = {0: start}

    def listen(event: Event) -> None:
        if isinstance(event, Progressed):
            seen[event.done] = tiny.logits_at(spec, 5)
            heads[event.done] = tiny.head["classifier.weight"].detach().clone()

    lower = tiny.logits_at(spec, 3)
    tiny.train_widths(spec, tmp_path, listener=listen)
    assert not torch.equal(seen[2], seen[3])
    assert all(torch.equal(seen[step], seen[3]) for step in (4, 5, 6))
    assert not torch.equal(heads[0], heads[3])
    assert all(torch.equal(heads[step], heads[3]) for step in (4, 5, 6))
    assert not torch.equal(tiny.logits_at(spec, 3), lower)
