"""One optimizer step, with every weight rounded once for each configuration it trains.

The rounded weights serve all microbatches of the step, and their gradients are projected on
adapters and ranges once. Start with `StepRunner`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from engine.errors import Diverged
from engine.layers.head import SplitModel
from engine.layers.held_weight import HeldWeight
from engine.layers.layer_map import LayerSetting, apply_map
from engine.layers.rounded_weight import RoundedWeight
from engine.training.objectives import IGNORED, Answers, Mix, loss_of_hidden
from engine.training.parameter_groups import list_wholes

UNCHANGED: tuple[Mapping[str, LayerSetting], ...] = (MappingProxyType({}),)
"""The layers as they stand, as the only configuration of a step."""


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

    def run(
        self,
        microbatches: Sequence[Microbatch],
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
        norm = torch.nn.utils.clip_grad_norm_(list_wholes(self._layers), self._max_grad_norm)
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

    def backward(self, microbatches: Sequence[Microbatch], *, share: float = 1.0) -> float:
        """Accumulate `share` times the gradients of the mean loss; return that loss."""
        total = torch.zeros((), device=microbatches[0].tokens.device)
        held = self._hold()
        for microbatch, mix in zip(microbatches, _weigh(microbatches, self._mix), strict=True):
            for weight in held:
                weight.is_last = microbatch is microbatches[-1]
            hidden = self._split.hidden(microbatch.tokens)
            if microbatch.kept is None:
                hidden = hidden.reshape(-1, hidden.shape[-1])
            else:
                hidden = hidden[microbatch.kept]
            loss = loss_of_hidden(self._split, hidden, microbatch.answers, mix)
            torch.autograd.backward(loss * share)
            total += loss.detach()
        for weight in held:
            weight.finish()
        for layer in self._layers.values():
            layer.release()
        return float(total)

    def _hold(self) -> list[HeldWeight]:
        weights = [layer.hold(layer.weight.dtype, trains=True) for layer in self._layers.values()]
        return [weight for weight in weights if weight is not None]

    def _clear(self) -> None:
        self.optimizer.zero_grad()
        for layer in self._layers.values():
            if layer.adapter is not None:
                layer.adapter.clear_gradients()


def _weigh(microbatches: Sequence[Microbatch], mix: Mix) -> tuple[Mix, ...]:
    """Return the shares of each microbatch's mean losses in those of the whole batch.

    A microbatch counts by its positions in the distillation and by its labels in the task loss, so
    that rows of different lengths weigh the same however a batch is cut.
    """
    if len(microbatches) == 1:
        return (mix,)
    positions = [len(each.answers.labels) for each in microbatches]
    labels = [int((each.answers.labels != IGNORED).sum()) for each in microbatches]
    return tuple(
        Mix(
            mix.distillation * count / sum(positions),
            mix.task * labeled / max(sum(labels), 1),
            mix.temperature,
        )
        for count, labeled in zip(positions, labels, strict=True)
    )
