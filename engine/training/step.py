"""One optimizer step, with every weight rounded once for each configuration it trains.

The rounded weights serve all microbatches of the step, and their gradients are projected on
adapters and ranges once. Start with `StepRunner`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Generic

import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from engine.errors import Diverged
from engine.layers.held_weight import HeldWeight
from engine.layers.layer_map import apply_map, keeping
from engine.layers.rounded_weight import RoundedWeight
from engine.training.cascade import ALONE, NO_CASCADE, Cascade, CascadeRule, Lesson, Outputs
from engine.training.configuration import UNCHANGED, Configuration, Settings
from engine.training.learner import Learner, Part
from engine.training.parameter_groups import (
    list_adapters,
    list_wholes,
    trains_through_rounding,
)


@contextmanager
def rounded_once(layers: Mapping[str, RoundedWeight]) -> Iterator[None]:
    """Round every weight once at each width, where nothing that is rounded trains meanwhile."""
    with nullcontext() if trains_through_rounding(layers) else keeping(layers):
        yield


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
        cascade: CascadeRule = NO_CASCADE,
    ) -> None:
        self.optimizer = optimizer
        self.scheduler = scheduler
        self._learner = learner
        self._layers = layers
        self._adapters = list_adapters(layers)
        self._rule = cascade
        self._max_grad_norm = max_grad_norm if max_grad_norm is not None else math.inf

    def run(
        self,
        microbatches: Sequence[Part],
        configurations: Sequence[Configuration] = UNCHANGED,
    ) -> StepResult:
        """Take one step.

        Args:
            microbatches: The step's batch, cut as memory allows; the cut does not matter, unless
                inputs share a scale over all tokens of a pass.
            configurations: What to train, one after another; the gradients are averaged. The last
                one stays applied.

        Raises:
            Diverged: When the loss is not finite; the parameters are left as they were.
        """
        losses = self._accumulate(microbatches, configurations)
        if not any(each.trains_head for each in configurations):
            for parameter in self._learner.head.values():
                parameter.grad = None  # neither decay nor momentum moves what has none
        norm = torch.nn.utils.clip_grad_norm_(
            list_wholes(self._layers, self._learner.head), self._max_grad_norm
        )
        if not all(map(math.isfinite, (*losses, float(norm)))):
            self._clear()
            worst = next((loss for loss in losses if not math.isfinite(loss)), losses[-1])
            raise Diverged(
                f"the loss became {worst} (gradient norm {float(norm)}); lower "
                "training.learning_rate or training.range_learning_rate"
            )
        for adapter in self._adapters:
            adapter.share_gradients()
        self.optimizer.step()
        self.scheduler.step()
        self._clear()
        return StepResult(tuple(losses), float(norm))

    def _accumulate(
        self, microbatches: Sequence[Part], configurations: Sequence[Configuration]
    ) -> list[float]:
        """Accumulate the gradients of every configuration; return their losses."""
        cascade = Cascade(self._rule, configurations)
        losses = []
        for place, configuration in enumerate(configurations):
            for settings in cascade.list_missing(place):
                cascade.add(settings, self._ask(microbatches, settings))
            apply_map(self._layers, configuration.settings)
            share, lesson = 1 / len(configurations), cascade.lesson(place)
            losses.append(self.backward(microbatches, share=share, lesson=lesson))
            cascade.finish(place)
        return losses

    def _ask(self, microbatches: Sequence[Part], settings: Settings) -> list[Outputs]:
        """Return what the model says at a layer map, without gradients."""
        apply_map(self._layers, settings)
        for layer in self._layers.values():
            layer.hold(layer.weight.dtype, trains=False)
        outputs = list(self._learner.iter_outputs(microbatches, self._rule))
        for layer in self._layers.values():
            layer.release()
        return outputs

    def backward(
        self, microbatches: Sequence[Part], *, share: float = 1.0, lesson: Lesson = ALONE
    ) -> float:
        """Accumulate `share` times the gradients of the mean loss; return that loss."""
        held = self._hold()
        losses = self._learner.iter_losses(microbatches, lesson)
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
        for adapter in self._adapters:
            adapter.clear_gradients()
