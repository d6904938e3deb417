"""From numbers to scores, and a model that answers without learning.

Start with `answering` and `score_splits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.data.supervised_tasks import Measured
from engine.evaluation.statistics import Mean, mean_of
from engine.events import Phase, ScoreMeasured
from engine.supervised.family import Batch, Progress
from engine.supervised.token_rows import padding_id

Item = TypeVar("Item")
Told = Callable[[int], None]


@contextmanager
def answering(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode without gradients; it is left in the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def moved(batch: Batch, model: nn.Module) -> Batch:
    """Return a batch on the model's device."""
    device = next(model.parameters()).device
    return {name: values.to(device) for name, values in batch.items()}


def fill_of(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token rows are filled up with: the one the model knows, or else `padding_id`."""
    known = getattr(getattr(model, "config", None), "pad_token_id", None)
    return known if isinstance(known, int) else padding_id(tokenizer)


def score_splits(
    splits: Sequence[Measured[Item]],
    mark: Callable[[Measured[Item], Told], Mapping[str, Mean]],
    *,
    limit: int | None,
    phase: Phase,
    progress: Progress,
) -> tuple[ScoreMeasured, ...]:
    """Score one split after another.

    Args:
        splits: What is asked.
        mark: Answers a split, telling how many examples are done, and gives its metrics.
        limit: Examples that were let through at most.
        phase: Of the run.
        progress: Told of examples done and in all.
    """
    total = sum(len(each.examples) for each in splits)
    scores: list[ScoreMeasured] = []
    done = 0
    for each in splits:
        found = mark(each, partial(_tell, progress, done, total))
        scores += (
            _build_score(each, metric, mean, phase=phase, limit=limit)
            for metric, mean in found.items()
        )
        done += len(each.examples)
    return tuple(scores)


def mean_marks(metrics: Sequence[str], marks: Sequence[Sequence[float]]) -> dict[str, Mean]:
    """Return the mean of each metric over examples, each marked by all of them."""
    columns = torch.tensor(marks, dtype=torch.float64).unbind(dim=1)
    return {
        metric: mean_of(column.unsqueeze(1))
        for metric, column in zip(metrics, columns, strict=True)
    }


def _build_score(
    measured: Measured[Any], metric: str, mean: Mean, *, phase: Phase, limit: int | None
) -> ScoreMeasured:
    """Return a number of a split as a score that says what it was measured on."""
    return ScoreMeasured(
        benchmark=measured.name,
        metric=f"{metric}{measured.suffix}",
        value=mean.value,
        standard_error=mean.standard_error,
        num_samples=mean.num_samples,
        direction="higher",
        limited=measured.is_limited,
        phase=phase,
        details={
            "split": measured.split,
            "data": measured.source,
            "left_out": measured.left_out,
            "limit": limit,
        },
    )


def _tell(progress: Progress, before: int, total: int, more: int) -> None:
    progress(before + more, total)
