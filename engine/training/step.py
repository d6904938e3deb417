"""One optimizer step, with every weight rounded once for each configuration it trains.

The rounded weights serve all microbatches of the step, and their gradients are projected on
adapters and ranges once. Start with `StepRunner`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from engine.errors import Diverged
from engine.layers.held_weight import HeldWeight
from engine.layers.layer_map import LayerSetting, apply_map
from engine.layers.rounded_weight import RoundedWeight
from engine.training.learner import Learner, Part
from engine.training.parameter_groups import list_wholes

UNCHANGED: tuple[Mapping[str, LayerSetting], ...] = (MappingProxyType({}),)
"""The layers as they stand, as the only configuration of a step."""


@dataclass(frozen=True)
class StepResult:
    """What a step saw.

    Attributes:
        losses: Mean loss of each configuration, in the order they were given.
        grad_norm: Norm of the gradient before clipping.
    """

    losses: tuple[float, ...]
    grad_norm: float

    @property
    def loss(self) -> float:
        """Mean loss over the configurations."""
        return sum(self.losses) / len(self.losses)


class StepRunner(Generic[Part]):
    """Runs optimizer steps on a model's quantized layers.

    Attributes:
        optimizer: Over adapters, ranges and what else the learner trains.
        scheduler: Advanced once per step.
    """

    def __init__(
        self,
        learner: Learner[Part],
        layers: Mapping[str, RoundedWeight],
        optimizer: AdamW,
        *,
        scheduler: LambdaLR,
        max_grad_norm: float | None,
    ) -> None:
        self.optimizer = optimizer
        self.scheduler = scheduler
        self._learner = learner
        self._layers = layers
        self._max_grad_norm = max_grad_norm if max_grad_norm is not None else math.inf

    def run(
        self,
        microbatches: Sequence[Part],
        configurations: Sequence[Mapping[str, LayerSetting]] = UNCHANGED,
    ) -> StepResult:
        """Take one step.

        Args:
            microbatches: The step's batch, cut as memory allows; the cut does not matter.
            configurations: Layer maps to train, one after another; their gradients are averaged.
                The last one stays applied.

        Raises:
            Diverged: When the loss is not finite; the parameters are left as they were.
        """
        losses = []
        for settings in configurations:
            apply_map(self._layers, settings)
            losses.append(self.backward(microbatches, share=1 / len(configurations)))
        norm = torch.nn.utils.clip_grad_norm_(
            list_wholes(self._layers, self._learner.head), self._max_grad_norm
        )
        if not all(map(math.isfinite, (*losses, float(norm)))):
            self._clear()
            raise Diverged(
                f"the loss became {losses[-1]} (gradient norm {float(norm)}); lower "
                "training.learning_rate or training.range_learning_rate"
            )
        for layer in self._layers.values():
            if layer.adapter is not None:
                layer.adapter.share_gradients()
        self.optimizer.step()
        self.scheduler.step()
        self._clear()
        return StepResult(tuple(losses), float(norm))

    def backward(self, microbatches: Sequence[Part], *, share: float = 1.0) -> float:
        """Accumulate `share` times the gradients of the mean loss; return that loss."""
        held = self._hold()
        losses = self._learner.iter_losses(microbatches)
        parts = []
        for number in range(1, len(microbatches) + 1):
            for weight in held:
                weight.is_last = number == len(microbatches)
            loss = next(losses)
            torch.autograd.backward(loss * share)
            parts.append(loss.detach())
        for weight in held:
            weight.finish()
        for layer in self._layers.values():
            layer.release()
        return float(sum(parts))

    def _hold(self) -> list[HeldWeight]:
        weights = [layer.hold(layer.weight.dtype, trains=True) for layer in self._layers.values()]
        return [weight for weight in weights if weight is not None]

    def _clear(self) -> None:
        self.optimizer.zero_grad()
        for layer in self._layers.values():
            if layer.adapter is not None:
                layer.adapter.clear_gradients()
