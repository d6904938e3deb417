"""A pass of hidden states through the vocabulary that keeps no logits. Start with `PlainHead`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.layers.head import SplitModel
from engine.layers.quantized_linear import QuantizedLinear
from engine.specs.quantizer import BITS_UNQUANTIZED

LOGITS_AT_ONCE = {"cpu": 1 << 21, "cuda": 1 << 26}
"""Numbers of logits computed at once: on a CPU as many as stay in its cache."""
LEAST_TOKENS = 128
SAFE_LEVEL = 40.0
"""exp of twice as much is a float32, and so is exp of as much below 0."""


class Known(NamedTuple):
    """What is kept of the 16-bit model's distributions p over n tokens.

    Attributes:
        crossing: (n, D) float32 Wᵀp, W the head of the model that is scored.
        negentropy: (n,) float64 Σ p log p.
        level: (n,) float32 logsumexp of the 16-bit model's logits, near which others lie.
    """

    crossing: Tensor
    negentropy: Tensor
    level: Tensor


class PlainHead:
    """A head that is a frozen matrix and nothing else, in float32.

    Attributes:
        weight: (V, D) float32.
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight.float()

    def know(self, logits: Tensor) -> Known:
        """Keep what is needed of the 16-bit model's (n, V) logits."""
        logits = logits.float()
        log_p, p = logits.log_softmax(-1), logits.softmax(-1)  # p adds up to 1, exp(log p) may not
        negentropy = torch.linalg.vecdot(p, log_p).double()
        return Known(p @ self.weight, negentropy, logits.logsumexp(-1))

    def score(self, hidden: Tensor, labels: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """Return loss and divergence per token, (n,) float64 each.

        KL(p ‖ q) = Σ p log p − (Wᵀp)·h + logsumexp(W·h): one pass through the vocabulary, none for
        the 16-bit model. Products of D numbers are summed in float64, since what is left of them is
        small; the rounding of Wᵀp is the same at every map and falls out of differences.

        Args:
            hidden: (n, D) of the model that is scored.
            labels: (n,) int64, the tokens that follow.
            known: Of the same tokens.
        """
        hidden = hidden.float()
        total = self.logsumexp(hidden, known.level).double()
        wide = hidden.double()
        loss = total - torch.linalg.vecdot(self.weight[labels].double(), wide)
        crossed = torch.linalg.vecdot(known.crossing.double(), wide)
        return loss, known.negentropy - crossed + total

    def logsumexp(self, hidden: Tensor, level: Tensor) -> Tensor:
        """Sum up exp(W·h) over the vocabulary and return its logarithm, (n,) float32.

        Part by part, in place, and without a pass for the largest: logits are taken as they are,
        or relative to `level` where that is far from 0. Where a sum still does not fit into float32
        it is done with the largest.
        """
        size = max(1, LOGITS_AT_ONCE[hidden.device.type] // max(len(hidden), LEAST_TOKENS))
        shift = level.unsqueeze(-1) if bool((level.abs() > SAFE_LEVEL).any()) else None
        sums, spare = torch.zeros_like(level), hidden.new_empty(len(hidden), size)
        for part in torch.split(self.weight, size):
            logits = torch.mm(hidden, part.t(), out=spare if len(part) == size else None)
            if shift is not None:
                logits.sub_(shift)
            sums += logits.exp_().sum(-1)
        found = sums.log_() if shift is None else sums.log_().add_(level)
        if bool(found.isfinite().all()):
            return found
        parts = [(hidden @ part.t()).logsumexp(-1) for part in torch.split(self.weight, size)]
        return torch.stack(parts).logsumexp(0)


def find_plain_head(split: SplitModel) -> PlainHead | None:
    """Return the head of a model as it stands where it is a frozen matrix alone, else None."""
    head = split.head
    if split.soft_cap is not None or split.logit_factor != 1.0:
        return None
    if not isinstance(head, nn.Linear | QuantizedLinear) or head.bias is not None:
        return None
    if isinstance(head, nn.Linear):
        return PlainHead(head.weight.detach())
    rounded = head.rounded
    if rounded.parallel is not None or rounded.active_inputs != BITS_UNQUANTIZED:
        return None
    with torch.no_grad():
        return PlainHead(rounded.effective() if rounded.held is None else rounded.held.wide())
