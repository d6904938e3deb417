"""One optimizer step, with every weight rounded once.

The rounded weights serve all microbatches of the step, and their gradients are projected on
adapters and ranges once. Start with `StepRunner`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from engine.errors import Diverged
from engine.layers.head import SplitModel
from engine.layers.rounded_weight import RoundedWeight
from engine.training.objectives import Answers, Mix, loss_of_hidden


@dataclass(frozen=True)
class Microbatch:
    """Windows computed at once.

    Attributes:
        tokens: (B, T) int64.
        answers: For the B·T positions, row by row.
    """

    tokens: Tensor
    answers: Answers


@dataclass(frozen=True)
class StepResult:
    """Mean loss of the step's microbatches and the gradient norm before clipping."""

    loss: float
    grad_norm: float


class StepRunner:
    """Runs optimizer steps on a model's quantized layers.

    Attributes:
        optimizer: Over adapters and ranges.
        scheduler: Advanced once per step.
    """

    def __init__(
        self,
        split: SplitModel,
        layers: Mapping[str, RoundedWeight],
        optimizer: AdamW,
        *,
        scheduler: LambdaLR,
        mix: Mix,
        max_grad_norm: float | None,
    ) -> None:
        self.optimizer = optimizer
        self.scheduler = scheduler
        self._split = split
        self._layers = layers
        self._mix = mix
        self._max_grad_norm = max_grad_norm if max_grad_norm is not None else math.inf

    def run(self, microbatches: Sequence[Microbatch]) -> StepResult:
        """Take one step.

        Raises:
            Diverged: When the loss is not finite; the parameters are left as they were.
        """
        loss = self.backward(microbatches)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self._max_grad_norm)
        if not math.isfinite(loss) or not math.isfinite(float(norm)):
            self.optimizer.zero_grad()
            raise Diverged(
                f"the loss became {loss} (gradient norm {float(norm)}); lower "
                "training.learning_rate or training.range_learning_rate"
            )
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        return StepResult(loss, float(norm))

    def backward(self, microbatches: Sequence[Microbatch]) -> float:
        """Accumulate the gradients of a step's microbatches; return their mean loss."""
        device = microbatches[0].tokens.device
        total = torch.zeros((), device=device)
        held = []
        for layer in self._layers.values():
            weight = layer.hold(layer.weight.dtype, trains=True)
            held.append(weight)
        for index, microbatch in enumerate(microbatches):
            for weight in held:
                if weight is not None:
                    weight.is_last = index == len(microbatches) - 1
            hidden = self._split.hidden(microbatch.tokens)
            hidden = hidden.reshape(-1, hidden.shape[-1])
            loss = loss_of_hidden(self._split, hidden, microbatch.answers, self._mix)
            torch.autograd.backward(loss / len(microbatches))
            total += loss.detach()
        for weight in held:
            if weight is not None:
                weight.finish()
        for layer in self._layers.values():
            layer.release()
        return float(total) / len(microbatches)
