"""Promises of learning labels: any cut of a batch has its gradients, and the head trains along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.events import Event, MetricPoint
from engine.layers.rank_groups import group_adapters
from engine.layers.swap import Layers
from engine.models.conv1d import replace_conv1d
from engine.models.heads import list_trained
from engine.specs import ElasticLoraAdapter, NoAdapter, NormalFloatQuantizer, QatTraining
from engine.training.labeled import LabeledLearner
from engine.training.loop import Place, train
from engine.training.parameter_groups import build_optimizer, build_scheduler, named_trainables
from engine.training.rank_policy import RankPolicy
from engine.training.step import StepRunner
from tests.engine.tiny_layers import disturb, gradients_of, integer, lora, quantize, some_tokens
from tests.tiny_heads import make_kind
from tests.tolerances import assert_near

LENGTHS = torch.tensor([9, 4, 6, 11, 5, 7])


class FakeRows:
    """Six rows of tokens with labels of a head's kind."""

    def __init__(self, head: str) -> None:
        self.lengths = LENGTHS
        self._head = head
        self._tokens = some_tokens(6, 11).clamp(min=4)

    def batch(self, places: Tensor) -> dict[str, Tensor]:
        lengths = self.lengths[places]
        mask = (torch.arange(int(lengths.max())) < lengths.unsqueeze(1)).long()
        tokens = self._tokens[places, : mask.shape[1]] * mask
        batch = {"input_ids": tokens, "attention_mask": mask}
        if self._head == "classification":
            return batch | {"labels": places % 2}
        if self._head == "span-qa":
            return batch | {"start_positions": places % 3, "end_positions": 3 - places % 3}
        written = (torch.arange(7) < (places % 4 + 2).unsqueeze(1)).long()
        texts = self._tokens[places, :7].masked_fill(written == 0, -100)
        return batch | {"labels": texts}


def make_spec(**values: Any) -> QatTraining:
    defaults: dict[str, Any] = {
        "objective": "task", "learning_rate": 1e-2, "range_learning_rate": 1e-3, "max_steps": 5,
        "per_device_train_batch_size": 3, "warmup_ratio": 0.0,
    }  # fmt: skip
    return QatTraining(**defaults | values)


class Tiny:
    """A model with quantized layers, its rows, and what trains of it."""

    def __init__(self, kind: str, head: str, **given: Any) -> None:
        self.model: Any = make_kind(kind, head)
        self.model.config.pad_token_id = 0
        replace_conv1d(self.model)
        self.layers: Layers = quantize(
            self.model, given.get("quantizer") or integer(), given.get("adapter") or lora()
        )
        self.rows = FakeRows(head)
        self.head = list_trained(self.model, head, ())  # type: ignore[arg-type]

    def learner(self, spec: QatTraining) -> LabeledLearner:
        return LabeledLearner(self.model, spec, self.rows, seed=3, head=self.head)

    def runner(self, spec: QatTraining) -> StepRunner[Any]:
        optimizer = build_optimizer(self.layers, spec, self.head)
        scheduler = build_scheduler(optimizer, spec, 5)
        return StepRunner(
            self.learner(spec), self.layers, optimizer, scheduler=scheduler, max_grad_norm=1.0
        )

    def train(self, spec: QatTraining, folder: Path, **given: Any) -> list[Event]:
        events: list[Event] = []
        folder.mkdir(parents=True, exist_ok=True)
        place = Place(folder, "this", given.get("resume_from"))
        train(
            self.learner(spec), self.layers, spec,
            place=place, listener=events.append, policy=given.get("policy"),
        )  # fmt: skip
        return events

    def trained(self) -> dict[str, nn.Parameter]:
        return named_trainables(self.layers, self.head)


HEADS = [
    ("bert", "classification"),
    ("deberta-v2", "span-qa"),
    ("gpt2", "classification"),
    ("t5 gated", "seq2seq"),
    ("bart", "seq2seq"),
]


def slow(tiny: Tiny, head: str) -> tuple[float, dict[str, Tensor]]:
    """Return loss and gradients of all six rows, by autograd through the rounding.

    Rows with spans go one by one: Transformers lets an answer lie in what a row is filled up with.
    """
    rows = torch.arange(6)
    parts = torch.split(rows, 1) if head == "span-qa" else [rows]
    loss = sum(tiny.model(**tiny.rows.batch(part)).loss for part in parts) / len(parts)
    loss.backward()
    return loss.item(), take_gradients(tiny)


def take_gradients(tiny: Tiny) -> dict[str, Tensor]:
    """Take the gradients of layers and head."""
    found = gradients_of(tiny.layers)
    for name, value in tiny.head.items():
        assert value.grad is not None
        found[f"head/{name}"], value.grad = value.grad, None
    return found


@pytest.mark.parametrize(("kind", "head"), HEADS)
@pytest.mark.parametrize("microbatch", [6, 3, 2, 1])
def test_the_cut_of_a_batch_does_not_matter(kind: str, head: str, microbatch: int) -> None:
    """In one to six microbatches, loss and gradients are those of the whole batch."""
    tiny = Tiny(kind, head)
    disturb(tiny.layers)
    spec = make_spec(
        per_device_train_batch_size=microbatch, gradient_accumulation_steps=6 // microbatch
    )
    runner = tiny.runner(spec)
    expected_loss, expected = slow(tiny, head)
    microbatches = next(tiny.learner(spec).iter_steps(0))
    assert len(microbatches) == 6 // microbatch
    assert runner.backward(microbatches) == pytest.approx(expected_loss, rel=1e-5)
    found = take_gradients(tiny)
    assert sorted(found) == sorted(expected)
    expected.pop("head/qa_outputs.bias", None)  # a shift of all places changes no softmax
    for key, value in expected.items():
        assert_near(found[key], value)


@pytest.mark.parametrize(("kind", "head"), HEADS)
def test_adapters_ranges_and_the_head_train_and_nothing_else(
    tmp_path: Path, kind: str, head: str
) -> None:
    """After a training every adapter and the head have moved, and the body is what it was."""
    tiny = Tiny(kind, head)
    before = {name: value.detach().clone() for name, value in tiny.model.named_parameters()}
    tiny.train(make_spec(), tmp_path)
    trained = {id(value) for value in tiny.trained().values()}
    assert (head == "seq2seq") == (not tiny.head)
    for name, value in tiny.model.named_parameters():
        moved = not torch.equal(value, before[name])
        # what no row reaches (an output under attention to itself alone) may stay
        assert not moved or id(value) in trained, name
        if name.endswith("adapter.b") or name in tiny.head:
            assert moved, name
    assert not tiny.model.training


def test_rows_are_learned_by_heart(tmp_path: Path) -> None:
    """Forty steps on six rows at two bits take the loss well below its start."""
    tiny = Tiny("bert", "classification", quantizer=NormalFloatQuantizer(bits=2, group_size=16))
    events = tiny.train(make_spec(max_steps=40, per_device_train_batch_size=6), tmp_path)
    losses = [e.value for e in events if isinstance(e, MetricPoint) and e.key == "train/loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_a_head_trains_without_adapters(tmp_path: Path) -> None:
    """With ranges and a head alone, both move, at the rates of their groups."""
    tiny = Tiny("bert", "classification", adapter=NoAdapter())
    assert set(tiny.head) == {"classifier.weight", "classifier.bias"}
    before = tiny.head["classifier.weight"].detach().clone()
    events = tiny.train(make_spec(lr_scheduler_type="constant"), tmp_path)
    assert not torch.equal(tiny.head["classifier.weight"], before)
    rates = {e.key: e.value for e in events if isinstance(e, MetricPoint) and "rate" in e.key}
    assert rates["train/learning_rate"] == 1e-2


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_resumed_training_ends_where_it_would_have(tmp_path: Path, step: int) -> None:
    """From the checkpoint after any step, layers and head end bit for bit the same."""
    whole = Tiny("bert", "classification")
    start = {name: value.detach().clone() for name, value in whole.model.named_parameters()}
    stopped = Tiny("bert", "classification")
    stopped.train(make_spec(max_steps=step + 1, save_steps=step, lr_scheduler_type="constant"),
                  tmp_path / "stopped")  # fmt: skip
    again = Tiny("bert", "classification")
    again.model.load_state_dict(start)
    spec = make_spec(lr_scheduler_type="constant")
    whole.train(spec, tmp_path / "whole")
    torch.rand(5)
    again.train(
        spec,
        tmp_path / "again",
        resume_from=tmp_path / "stopped" / f"checkpoint-{step:08d}.safetensors",
    )
    expected = whole.trained()
    assert {"head/classifier.weight", "head/classifier.bias"} <= set(expected)
    for name, value in again.trained().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("rank_policy", ["uniform", "sandwich"])
def test_elastic_adapters_train_under_a_head(tmp_path: Path, rank_policy: str) -> None:
    """Rank policies draw their configurations for an encoder-decoder's stacks as for any model."""
    adapter = ElasticLoraAdapter(rank_space=(4, 2), rank_policy=rank_policy, grouping="block")
    tiny = Tiny("bart", "seq2seq", adapter=adapter)
    groups = group_adapters(tiny.layers, adapter)
    policy = RankPolicy(groups, adapter, 1)
    before = {name: value.detach().clone() for name, value in tiny.trained().items()}
    tiny.train(make_spec(), tmp_path, policy=policy)
    assert groups.space.groups[:3] == ("encoder block 0", "encoder block 1", "block 0")
    moved = [n for n, value in tiny.trained().items() if not torch.equal(value, before[n])]
    assert sum(".b[0:2]" in name for name in moved) == len(tiny.layers)


def test_rows_of_like_length_stand_together() -> None:
    """Every row is seen once per pass, and the tokens counted are those without padding."""
    tiny = Tiny("bert", "classification")
    learner = tiny.learner(make_spec(num_train_epochs=2, max_steps=None))
    assert learner.total_steps == 4
    steps = learner.iter_steps(0)
    passes = [next(steps) for _ in range(2)]
    assert sum(map(learner.count_tokens, passes)) == int(LENGTHS.sum())
    widths = {part.batch["input_ids"].shape[1] for parts in passes for part in parts}
    assert widths == {11, 6}
