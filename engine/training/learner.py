"""What is learned, as the training loop sees it: batches, and the loss of each of their parts.

The loop steps, clips, saves and resumes the same way whatever the loss is. `LanguageLearner` is the
one for causal language models; `labeled` has that for other heads. Start with `Learner`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from engine.layers.head import SplitModel
from engine.layers.quantized_linear import QuantizedLinear
from engine.specs import QatTraining
from engine.training.batches import Microbatch, TrainingData, count_tokens, iter_steps
from engine.training.cascade import ALONE, CascadeRule, Lesson, Outputs
from engine.training.distances import mean_state_distance
from engine.training.objectives import (
    IGNORED,
    NOBODY,
    PIECE_ROWS,
    Followed,
    Mix,
    build_mix,
    loss_of_hidden,
)
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

    def iter_losses(self, microbatches: Sequence[Part], lesson: Lesson = ALONE) -> Iterator[Tensor]:
        """Yield each microbatch's part of the mean loss of the whole batch.

        A part is computed when it is asked for. The cut into microbatches does not change the sum,
        unless inputs share a scale over all tokens of a pass.

        Args:
            microbatches: The step's batch.
            lesson: What is followed beside it; outputs that others will follow are kept there.
        """
        ...

    def iter_outputs(self, microbatches: Sequence[Part], rule: CascadeRule) -> Iterator[Outputs]:
        """Yield what the model says to each microbatch, as far as it is followed; no gradients."""
        ...

    def count_tokens(self, microbatches: Sequence[Part]) -> int:
        """Return how many tokens of a step are real."""
        ...


class LanguageLearner:
    """Next tokens and a teacher's distributions of them, through the vocabulary in pieces.

    A lower width follows higher ones at the same positions: those that count, without prompts and
    what rows are filled up with. Kept of a width are its last hidden states, not its logits; only
    under a head that is rounded itself, and so differs by width, the logits.

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

    def iter_losses(
        self, microbatches: Sequence[Microbatch], lesson: Lesson = ALONE
    ) -> Iterator[Tensor]:
        """Yield each microbatch's part of the mean loss."""
        shares = _weigh(microbatches, self._mix.scaled(lesson.own_share))
        positions = [len(each.answers.labels) for each in microbatches]
        for place, (microbatch, mix) in enumerate(zip(microbatches, shares, strict=True)):
            hidden, states = self._read(microbatch, with_states=lesson.needs_states)
            if lesson.kept is not None:
                lesson.keep(self._outputs(hidden, states, lesson.rule))
            if not lesson.teachers:
                yield loss_of_hidden(self._split, hidden, microbatch.answers, mix)
                continue
            share = positions[place] / max(sum(positions), 1)
            teachers = lesson.teachers_of(place)
            followed = self._follow(lesson.rule, teachers, share)
            loss = loss_of_hidden(self._split, hidden, microbatch.answers, mix, followed=followed)
            if states:
                weight = lesson.rule.state_weight * share
                loss = loss + weight * mean_state_distance(states, [t.states for t in teachers])
            yield loss

    @torch.no_grad()
    def iter_outputs(
        self, microbatches: Sequence[Microbatch], rule: CascadeRule
    ) -> Iterator[Outputs]:
        """Yield what is followed of each microbatch: last hidden states, states of blocks."""
        for microbatch in microbatches:
            hidden, states = self._read(microbatch, with_states=rule.compares_states)
            yield self._outputs(hidden, states, rule)

    def count_tokens(self, microbatches: Sequence[Microbatch]) -> int:
        """Return how many tokens of a step are real."""
        return count_tokens(microbatches)

    def _read(
        self, microbatch: Microbatch, *, with_states: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the last hidden states (N, D) of the positions that count, and every block's.

        The last block's come as the model gives them: after its final norm.
        """
        if not with_states:
            return _at(self._split.hidden(microbatch.tokens), microbatch.kept), ()
        found = self._split.body(
            input_ids=microbatch.tokens, use_cache=False, output_hidden_states=True
        )
        states = tuple(_at(each, microbatch.kept) for each in found.hidden_states[1:])
        return _at(found.last_hidden_state, microbatch.kept), states

    @torch.no_grad()
    def _outputs(self, hidden: Tensor, states: tuple[Tensor, ...], rule: CascadeRule) -> Outputs:
        """Return what others follow; logits where the head is rounded and differs by width."""
        if not rule.compares_predictions:
            return Outputs((), states)
        if not self._head_is_rounded:
            return Outputs((hidden,), states)
        pieces = torch.split(hidden.detach(), PIECE_ROWS)
        logits = [self._split.logits(piece) for piece in pieces]
        return Outputs((torch.cat(logits),), states)

    def _follow(self, rule: CascadeRule, teachers: tuple[Outputs, ...], share: float) -> Followed:
        """Return the predictions a microbatch is drawn towards."""
        if not rule.compares_predictions:
            return NOBODY
        predictions = tuple(teacher.predictions[0] for teacher in teachers)
        weight = rule.prediction_weight * share
        return Followed(predictions, weight, rule.temperature, self._head_is_rounded)

    @property
    def _head_is_rounded(self) -> bool:
        return isinstance(self._split.head, QuantizedLinear)


def _at(states: Tensor, kept: Tensor | None) -> Tensor:
    """Return (N, D) states of the positions that count out of (B, T, D)."""
    return states.reshape(-1, states.shape[-1]) if kept is None else states[kept]


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
