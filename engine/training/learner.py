"""What is learned, as the training loop sees it: batches, and the loss of each of their parts.

The loop steps, clips, saves and resumes the same way whatever the loss is. `LanguageLearner` is the
one for causal language models; `labeled` has that for other heads. Start with `Learner`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from torch import Tensor, nn

from engine.layers.head import SplitModel
from engine.specs import QatTraining
from engine.training.batches import Microbatch, TrainingData, count_tokens, iter_steps
from engine.training.objectives import IGNORED, Mix, build_mix, loss_of_hidden
from engine.training.parameter_groups import NO_HEAD

Part = TypeVar("Part")


class Learner(Protocol[Part]):
    """What a training learns; `Part` is what it computes at once."""

    @property
    def total_steps(self) -> int:
        """Optimizer steps to take."""
        ...

    @property
    def head(self) -> Mapping[str, nn.Parameter]:
        """Parameters trained beside adapters and ranges, by name."""
        ...

    def iter_steps(self, start: int) -> Iterator[Sequence[Part]]:
        """Yield the microbatches of each step after `start`; a function of seed and step alone."""
        ...

    def iter_losses(self, microbatches: Sequence[Part]) -> Iterator[Tensor]:
        """Yield each microbatch's part of the mean loss of the whole batch.

        A part is computed when it is asked for. The cut into microbatches does not change the sum.
        """
        ...

    def count_tokens(self, microbatches: Sequence[Part]) -> int:
        """Return how many tokens of a step are real."""
        ...


class LanguageLearner:
    """Next tokens and a teacher's distributions of them, through the vocabulary in pieces.

    Attributes:
        head: Nothing: a causal model's head stays the teacher's.
    """

    def __init__(self, split: SplitModel, spec: QatTraining, data: TrainingData) -> None:
        self.head = NO_HEAD
        self._split = split
        self._spec = spec
        self._data = data
        self._mix = build_mix(spec)

    @property
    def total_steps(self) -> int:
        """Optimizer steps to take."""
        return self._data.total_steps

    def iter_steps(self, start: int) -> Iterator[list[Microbatch]]:
        """Yield the microbatches of each step after `start`, on the model's device."""
        device = next(self._split.body.parameters()).device
        return iter_steps(self._spec, self._data, start, device)

    def iter_losses(self, microbatches: Sequence[Microbatch]) -> Iterator[Tensor]:
        """Yield each microbatch's part of the mean loss."""
        for microbatch, mix in zip(microbatches, _weigh(microbatches, self._mix), strict=True):
            hidden = self._split.hidden(microbatch.tokens)
            if microbatch.kept is None:
                hidden = hidden.reshape(-1, hidden.shape[-1])
            else:
                hidden = hidden[microbatch.kept]
            yield loss_of_hidden(self._split, hidden, microbatch.answers, mix)

    def count_tokens(self, microbatches: Sequence[Microbatch]) -> int:
        """Return how many tokens of a step are real."""
        return count_tokens(microbatches)


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
