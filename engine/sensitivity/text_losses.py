"""Divergence from the 16-bit model and log perplexity of calibration text, window by window.

Where the head is a frozen matrix it is passed through once (`vocabulary`). Where it is more, or is
itself switched, both distributions are computed anew as `engine.evaluation.language_modeling` does,
which is the reference. Start with `TextLosses`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.evaluation.language_modeling import PIECE_ROWS, score_hidden
from engine.layers.head import SplitModel
from engine.layers.layer_map import bypassed
from engine.layers.swap import Layers
from engine.sensitivity.vocabulary import Known, PlainHead, find_plain_head


class WindowLosses(NamedTuple):
    """What each of N windows loses, on the mean over its tokens, in nats; (N,) float64 each.

    Attributes:
        kl_divergence: Mean KL(16-bit ‖ model).
        log_perplexity: Mean negative log-likelihood.
    """

    kl_divergence: Tensor
    log_perplexity: Tensor


@dataclass(frozen=True)
class CalibrationText:
    """The text and what the 16-bit model makes of it.

    Attributes:
        windows: (N, T) int64 on the CPU.
        hidden: (N, T, D) last hidden states of the 16-bit model, on the CPU.
        batch_size: Windows computed at once.
    """

    windows: Tensor
    hidden: Tensor
    batch_size: int

    def iter_batches(self, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (B, T) tokens and (B, T, D) hidden states on a device."""
        tokens = torch.split(self.windows, self.batch_size)
        hidden = torch.split(self.hidden, self.batch_size)
        for part, states in zip(tokens, hidden, strict=True):
            yield part.to(device), states.to(device)

    def list_tokens(self, device: torch.device) -> list[Tensor]:
        """Return the (B, T) tokens of each batch on a device."""
        return [tokens.to(device) for tokens in torch.split(self.windows, self.batch_size)]


class TextLosses:
    """Measures the hidden states that a model has of the calibration text.

    In float32 whatever the model's format: a frozen matrix of 16 bits multiplies in float32 here,
    where an evaluation rounds each logit to 16 bits. Kept are D + 2 numbers per token.
    """

    def __init__(self, split: SplitModel, layers: Layers, text: CalibrationText) -> None:
        """Ask the 16-bit model; `split` stands at its start map, its weights held."""
        self._split = split
        self._layers = layers
        self._text = text
        self._head = find_plain_head(split)
        device = split.head_weight.device
        self._known: list[Known] = []
        if self._head is not None:
            batches = text.iter_batches(device)
            self._known = [self._know(self._head, hidden) for _, hidden in batches]

    @torch.no_grad()
    def score(
        self, hidden: Tensor, tokens: Tensor, batch: int, *, head_as_start: bool = True
    ) -> WindowLosses:
        """Return what each window of a batch loses, (B,) float64 on the CPU.

        Args:
            hidden: (B, T, D) last hidden states of the model as it stands.
            tokens: (B, T) of the batch, on the same device.
            batch: Its number.
            head_as_start: Whether the head stands as it did at the start map.
        """
        if self._head is None or not head_as_start:
            return self._score_slowly(hidden, tokens, batch)
        labels = tokens[:, 1:]
        rows = hidden[:, :-1].flatten(0, 1)
        loss, divergence = self._head.score(rows, labels.flatten(), self._known[batch])
        return WindowLosses(*(_by_window(each, labels) for each in (divergence, loss)))

    def _score_slowly(self, hidden: Tensor, tokens: Tensor, batch: int) -> WindowLosses:
        """Compute both distributions over the vocabulary."""
        size = self._text.batch_size
        teacher = self._text.hidden[batch * size : batch * size + len(tokens)].to(hidden.device)
        loss, divergence, _ = score_hidden(
            self._split, hidden, tokens, teacher, teacher_logits=self._teacher_logits
        )
        return WindowLosses(divergence.double().mean(1), loss.double().mean(1))

    @torch.no_grad()
    def _know(self, head: PlainHead, hidden: Tensor) -> Known:
        rows = hidden[:, :-1].flatten(0, 1)
        parts = [head.know(self._teacher_logits(part)) for part in torch.split(rows, PIECE_ROWS)]
        return Known(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def _teacher_logits(self, hidden: Tensor) -> Tensor:
        with bypassed(self._layers):
            return self._split.logits(hidden)


def _by_window(values: Tensor, shape: Tensor) -> Tensor:
    return values.view(shape.shape).mean(1).cpu()
