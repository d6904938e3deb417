"""What training sees, and in which order: windows of text or the examples of a task.

Every batch is a function of seed and step alone. Examples are grouped by length, so that little is
filled up. Start with `TrainingData`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from engine.data.example_windows import EncodedExamples, length_grouped_order
from engine.data.windows import iter_batches
from engine.specs import QatTraining
from engine.teacher.targets import Targets
from engine.training.objectives import IGNORED, Answers


@dataclass(frozen=True)
class Microbatch:
    """Rows computed at once.

    Attributes:
        tokens: (B, T) int64; short rows are filled up on the right.
        answers: For the N positions that count, row by row: all B·T of them where `kept` is None.
        kept: (B, T) bool, the positions that count: those with something to learn, and none where
            a row was filled up; None where all do.
        num_tokens: Real tokens, for the speed; None for all of them.
    """

    tokens: Tensor
    answers: Answers
    kept: Tensor | None = None
    num_tokens: int | None = None


@dataclass(frozen=True)
class TrainingData:
    """What is trained on.

    Attributes:
        windows: (N, T) int64 on the CPU.
        targets: The teacher's, for the rows of `windows`; None without distillation.
        total_steps: Optimizer steps to take, from `count_steps`.
        seed: Seed of the order.
        examples: The same rows as examples with their lengths; None for full windows of text.
    """

    windows: Tensor
    targets: Targets | None
    total_steps: int
    seed: int
    examples: EncodedExamples | None = None


def count_steps(spec: QatTraining, num_windows: int) -> int:
    """Return the optimizer steps the spec asks for on that many windows."""
    if spec.max_steps is not None:
        return spec.max_steps
    return max(1, math.ceil(num_windows * spec.num_train_epochs / batch_size(spec)))


def batch_size(spec: QatTraining) -> int:
    """Return the windows per optimizer step."""
    return spec.per_device_train_batch_size * spec.gradient_accumulation_steps


def count_tokens(microbatches: Sequence[Microbatch]) -> int:
    """Return how many tokens of a step are real."""
    return sum(
        each.tokens.numel() if each.num_tokens is None else each.num_tokens for each in microbatches
    )


def used_windows(spec: QatTraining, windows: Tensor, *, total_steps: int, seed: int) -> Tensor:
    """Return the windows that so many steps will see, in the order of the text."""
    total = total_steps * batch_size(spec)
    if total >= len(windows):
        return windows
    places = torch.arange(len(windows)).unsqueeze(1)
    seen = next(iter_batches(places, batch_size=total, seed=seed)).flatten()
    return windows[seen.sort().values]


def iter_steps(
    spec: QatTraining, data: TrainingData, start: int, device: torch.device
) -> Iterator[list[Microbatch]]:
    """Yield the microbatches of each step after `start`; a function of seed and step alone."""
    places = torch.arange(len(data.windows)).unsqueeze(1)
    size = batch_size(spec)
    order = None
    if data.examples is not None:
        order = by_length(data.examples.lengths, seed=data.seed, size=size)
    for rows in iter_batches(places, batch_size=size, seed=data.seed, start=start, order=order):
        yield [
            _microbatch(data, part, device)
            for part in torch.split(rows.flatten(), spec.per_device_train_batch_size)
        ]


def by_length(lengths: Tensor, *, seed: int, size: int) -> Callable[[int], Tensor]:
    """Return what maps an epoch to its order: rows of like length together.

    Args:
        lengths: (N,) int64.
        seed: Seed of the order.
        size: Rows per optimizer step.
    """
    return partial(_by_length, lengths, seed, size)


def _by_length(lengths: Tensor, seed: int, size: int, epoch: int) -> Tensor:
    return length_grouped_order(lengths, seed=seed, epoch=epoch, batch_size=size)


def _microbatch(data: TrainingData, rows: Tensor, device: torch.device) -> Microbatch:
    tokens = data.windows[rows]
    labels = torch.full_like(tokens, IGNORED)
    labels[:, :-1] = tokens[:, 1:]
    kept = num_tokens = None
    if data.examples is not None:
        lengths, starts = data.examples.lengths[rows], data.examples.label_starts[rows]
        longest = int(lengths.max()) - 1  # the last token is predicted and predicts nothing
        tokens, labels = tokens[:, :longest], labels[:, :longest]
        num_tokens = int(lengths.sum()) - len(lengths)
        predicted = torch.arange(1, longest + 1)
        kept = (predicted >= starts.unsqueeze(1)) & (predicted < lengths.unsqueeze(1))  # (B, T)
    answers = Answers(
        _flatten(labels, kept).to(device),
        *(_flatten_targets(data.targets, rows, kept, device) if data.targets else (None, None)),
    )
    kept = None if kept is None else kept.to(device)
    return Microbatch(tokens.to(device), answers, kept, num_tokens)


def _flatten_targets(
    targets: Targets, rows: Tensor, kept: Tensor | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the teacher's (n, K) tokens and log-probabilities of the positions that count."""
    width = None if kept is None else kept.shape[1]
    indices = _flatten(targets.indices[rows][:, :width], kept).to(device, torch.int64)
    log_probs = _flatten(targets.log_probs[rows][:, :width], kept).to(device, torch.float32)
    return indices, log_probs


def _flatten(values: Tensor, kept: Tensor | None) -> Tensor:
    """Put the positions of (B, T, ...) that count in a row."""
    return values.flatten(0, 1) if kept is None else values[kept]
