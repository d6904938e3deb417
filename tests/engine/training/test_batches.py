"""Promises of the rows training sees: examples count by their real tokens, however they are cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.data.example_windows import EncodedExamples
from engine.teacher.targets import Targets
from engine.training.batches import Microbatch, TrainingData, count_tokens, iter_steps
from engine.training.objectives import IGNORED, Answers, build_mix, reference_loss
from engine.training.parameter_groups import build_optimizer, build_scheduler
from engine.training.step import StepRunner
from tests.engine.tiny_layers import disturb, gradients_of, some_tokens
from tests.engine.training.tiny_training import Tiny, make_spec, make_training
from tests.tolerances import assert_near

LENGTHS = torch.tensor([16, 7, 9, 4, 12, 5])
STARTS = torch.tensor([1, 3, 8, 2, 6, 1])


def ragged(tiny: Tiny) -> TrainingData:
    """Return the tiny windows as examples of different lengths."""
    tokens = some_tokens(6, 16)
    for row, length in enumerate(LENGTHS.tolist()):
        tokens[row, length:] = 0
    examples = EncodedExamples(tokens, LENGTHS, STARTS)
    return TrainingData(tokens, tiny.data.targets, 3, 3, examples)


def seen(data: TrainingData, steps: int) -> list[list[int]]:
    """Return the labels of each row of the first steps, in order."""
    batches = iter_steps(make_spec(), data, 0, torch.device("cpu"))
    rows = []
    for _ in range(steps):
        for part in next(batches):
            assert part.kept is not None
            counts = part.kept.sum(dim=1).tolist()
            rows += [labels.tolist() for labels in part.answers.labels.split(counts)]
    return rows


def test_an_epoch_learns_every_example_once_from_its_start(tmp_path: Path) -> None:
    """Three batches of two have the labels of the six examples, none before its start or after."""
    data = ragged(make_training(tmp_path, steps=3))
    expected = [
        tokens[start:length].tolist()
        for tokens, length, start in zip(data.windows, LENGTHS, STARTS, strict=True)
    ]
    assert sorted(seen(data, 3)) == sorted(expected)


def test_a_batch_is_no_wider_than_its_longest_example(tmp_path: Path) -> None:
    """Rows are filled up to the longest of their microbatch, and tokens are counted as real."""
    data = ragged(make_training(tmp_path, steps=3))
    batches = iter_steps(make_spec(), data, 0, torch.device("cpu"))
    microbatches = [part for _ in range(3) for part in next(batches)]
    for part in microbatches:
        assert part.kept is not None
        last = part.kept.any(dim=0).nonzero().max()
        assert part.tokens.shape[1] == int(last) + 1
    assert count_tokens(microbatches) == int((LENGTHS - 1).sum())


def make_runner(tiny: Tiny, objective: str) -> StepRunner[Microbatch]:
    """Build a runner of that objective."""
    spec = make_spec(objective=objective, warmup_ratio=0.0)
    optimizer = build_optimizer(tiny.layers, spec)
    return StepRunner(
        tiny.learner(spec),
        tiny.layers,
        optimizer,
        scheduler=build_scheduler(optimizer, spec, 3),
        max_grad_norm=None,
    )


@pytest.mark.parametrize("objective", ["task", "distillation", "both"])
@pytest.mark.parametrize("microbatch", [6, 2, 1])
def test_the_loss_counts_real_positions_however_a_batch_is_cut(
    tmp_path: Path, objective: str, microbatch: int
) -> None:
    """Examples in one, three or six pieces have the loss and gradients of each row alone.

    A row weighs by its labels; what comes before an answer is learned by neither loss.
    """
    tiny = make_training(tmp_path, steps=3)
    disturb(tiny.layers)
    data = ragged(tiny)
    values = {
        "per_device_train_batch_size": microbatch,
        "gradient_accumulation_steps": 6 // microbatch,
    }
    microbatches = next(iter_steps(make_spec(**values), data, 0, torch.device("cpu")))
    loss = make_runner(tiny, objective).backward(microbatches)
    found = gradients_of(tiny.layers)
    expected_loss = slow_loss(tiny, data, objective)
    for layer in tiny.layers.values():
        for parameter in layer.parameters():
            parameter.grad = None
    expected_loss.backward()
    assert loss == pytest.approx(expected_loss.item(), rel=1e-5)
    for name, value in gradients_of(tiny.layers).items():
        assert_near(found[name], value)


def slow_loss(tiny: Tiny, data: TrainingData, objective: str) -> Tensor:
    """Return the loss row by row, each without filling, by the model's own forward."""
    mix = build_mix(make_spec(objective=objective))
    num_labels = int((LENGTHS - STARTS).sum())
    targets = data.targets
    assert isinstance(targets, Targets)
    total = torch.zeros(())
    for row, (length, start) in enumerate(zip(LENGTHS.tolist(), STARTS.tolist(), strict=True)):
        tokens = data.windows[row, :length].unsqueeze(0)
        logits = tiny.model(input_ids=tokens, use_cache=False).logits[0]
        if mix.task:
            labels = torch.full((length,), IGNORED)
            labels[start - 1 : length - 1] = tokens[0, start:]
            loss = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
            total = total + mix.task * loss / num_labels
        if mix.distillation:
            learned = slice(start - 1, length - 1)
            answers = reference_answers(targets, row, learned)
            only = mix._replace(task=0.0)
            share = (length - start) / num_labels
            total = total + reference_loss(logits[learned], answers, only) * share
    return total


def reference_answers(targets: Targets, row: int, learned: slice) -> Answers:
    """Return the teacher's answers of the positions of one row that are learned."""
    indices = targets.indices[row, learned].long()
    return Answers(
        torch.full((len(indices),), IGNORED), indices, targets.log_probs[row, learned].float()
    )
