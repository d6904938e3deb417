"""From numbers to scores, and a model that answers without learning.

Start with `answering` and `build_score`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.data.supervised_tasks import Measured
from engine.evaluation.statistics import Mean
from engine.events import Phase, ScoreMeasured
from engine.supervised.family import Batch, Progress
from engine.supervised.token_rows import padding_id


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


def build_score(
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


def told_beyond(progress: Progress, done: int, total: int) -> Callable[[int], None]:
    """Return what tells of `done` examples and so many more."""

    def told(more: int) -> None:
        progress(done + more, total)

    return told
