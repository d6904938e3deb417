"""Learning labeled rows: classes, spans of a context, texts from texts.

The model's own forward gives the loss, but of spans: there Transformers lets an answer lie in what
a row is filled up with, so that the loss would follow the longest row beside it. A microbatch
counts by what its mean is taken over. So the cut of a batch does not matter.

Where a lower width follows higher ones: classes by divergence, a number by squared difference,
spans by the mean divergence of start and end over real tokens, written texts by the divergence at
every token that is learned. Hidden states are those of real tokens; of an encoder-decoder those of
the decoder's blocks at the tokens that are learned. Start with `LabeledLearner`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from engine.data.windows import iter_batches
from engine.specs import QatTraining
from engine.supervised.family import Batch, Rows
from engine.training.batches import batch_size, by_length, count_steps
from engine.training.cascade import ALONE, CascadeRule, Lesson, Outputs
from engine.training.distances import divergence, mean_state_distance
from engine.training.objectives import IGNORED

LABELS, ENDS = "labels", ("start", "end")
PLACES = tuple(f"{end}_positions" for end in ENDS)


@dataclass(frozen=True)
class LabeledPart:
    """Rows computed at once.

    Attributes:
        batch: Arguments of the model's forward.
        num_labels: How many labels its loss is the mean of.
        num_tokens: Tokens of the rows, without what they are filled up with.
        num_states: How many tokens' hidden states would be followed.
    """

    batch: Batch
    num_labels: int
    num_tokens: int
    num_states: int


class LabeledLearner:
    """Rows with labels, learned through the model's own loss.

    Attributes:
        total_steps: Optimizer steps to take.
        head: Parameters trained beside adapters and ranges, by name.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        spec: QatTraining,
        rows: Rows,
        *,
        seed: int,
        head: Mapping[str, nn.Parameter],
    ) -> None:
        self.total_steps = count_steps(spec, len(rows.lengths))
        self.head = head
        self._model = model
        self._spec = spec
        self._rows = rows
        self._seed = seed

    def iter_steps(self, start: int) -> Iterator[list[LabeledPart]]:
        """Yield the microbatches of each step after `start`, rows of like length together."""
        size, lengths = batch_size(self._spec), self._rows.lengths
        places = torch.arange(len(lengths)).unsqueeze(1)
        order = by_length(lengths, seed=self._seed, size=size)
        for rows in iter_batches(
            places, batch_size=size, seed=self._seed, start=start, order=order
        ):
            pieces = torch.split(rows.flatten(), self._spec.per_device_train_batch_size)
            yield [self._read(piece) for piece in pieces]

    def iter_losses(
        self, microbatches: Sequence[LabeledPart], lesson: Lesson = ALONE
    ) -> Iterator[Tensor]:
        """Yield each microbatch's part of the mean loss of the whole batch."""
        total = max(sum(each.num_labels for each in microbatches), 1)
        states_total = max(sum(each.num_states for each in microbatches), 1)
        for place, part in enumerate(microbatches):
            found = self._ask(part, with_states=lesson.needs_states)
            loss = _mean_loss(found, part.batch)
            share, states_share = part.num_labels / total, part.num_states / states_total
            if lesson.kept is None and not lesson.teachers:
                yield loss * share
                continue
            outputs = _read_outputs(found, part, lesson.rule)
            lesson.keep(outputs)
            teachers = lesson.teachers_of(place)
            loss = loss * (share * lesson.own_share)
            if teachers and outputs.predictions:
                off = _distance(outputs, teachers, lesson.rule.temperature)
                loss = loss + off * (share * lesson.rule.prediction_weight)
            if teachers and outputs.states:
                off = mean_state_distance(outputs.states, [each.states for each in teachers])
                loss = loss + off * (states_share * lesson.rule.state_weight)
            yield loss

    @torch.no_grad()
    def iter_outputs(
        self, microbatches: Sequence[LabeledPart], rule: CascadeRule
    ) -> Iterator[Outputs]:
        """Yield what is followed of each microbatch: logits, states of blocks."""
        for part in microbatches:
            found = self._ask(part, with_states=rule.compares_states)
            yield _read_outputs(found, part, rule)

    def count_tokens(self, microbatches: Sequence[LabeledPart]) -> int:
        """Return how many tokens of a step are real."""
        return sum(each.num_tokens for each in microbatches)

    def _read(self, places: Tensor) -> LabeledPart:
        batch = {
            name: value.to(self._model.device) for name, value in self._rows.batch(places).items()
        }
        num_tokens = int(self._rows.lengths[places].sum())
        return LabeledPart(
            batch, _count_labels(batch), num_tokens, int(_find_followed(batch).sum())
        )

    def _ask(self, part: LabeledPart, *, with_states: bool) -> Any:
        """Return what the model's forward gives, with its own loss but of spans."""
        asked = {name: value for name, value in part.batch.items() if name not in PLACES}
        return self._model(**asked, **({"output_hidden_states": True} if with_states else {}))


def _distance(mine: Outputs, teachers: Sequence[Outputs], temperature: float) -> Tensor:
    """Return the mean distance of predictions from those of the teachers."""
    parts = []
    for teacher in teachers:
        for logits, followed in zip(mine.predictions, teacher.predictions, strict=True):
            if logits.shape[-1] == 1:  # a number
                parts.append(functional.mse_loss(logits.float(), followed.float()))
            else:
                parts.append(divergence(logits, followed, temperature))
    return torch.stack(parts).mean()


def _mean_loss(found: Any, batch: Batch) -> Tensor:
    """Return the mean loss of what the model gave for a batch, float32."""
    if LABELS in batch:
        loss: Tensor = found.loss
        return loss.float()
    losses = [
        functional.cross_entropy(logits, batch[f"{end}_positions"])
        for end, logits in zip(ENDS, _span_logits(found, batch), strict=True)
    ]
    return torch.stack(losses).mean()


def _span_logits(found: Any, batch: Batch) -> tuple[Tensor, ...]:
    """Return (B, T) float32 logits of start and end; minus infinity where a row is filled up."""
    is_filling = batch["attention_mask"] == 0
    return tuple(found[f"{end}_logits"].float().masked_fill(is_filling, -torch.inf) for end in ENDS)


def _read_outputs(found: Any, part: LabeledPart, rule: CascadeRule) -> Outputs:
    """Return what others follow of what the model gave, with gradients."""
    batch, states = part.batch, found.get("hidden_states") or found.get("decoder_hidden_states")
    predictions: tuple[Tensor, ...] = ()
    if rule.compares_predictions and LABELS not in batch:
        predictions = _span_logits(found, batch)
    elif rule.compares_predictions:
        is_written = batch[LABELS].ndim > 1
        predictions = (found.logits[_find_followed(batch)] if is_written else found.logits,)
    if not rule.compares_states:
        return Outputs(predictions)
    kept = _find_followed(batch)
    return Outputs(predictions, tuple(each[kept] for each in states[1:]))


def _find_followed(batch: Batch) -> Tensor:
    """Return (B, T) bool, the tokens whose hidden states are followed."""
    labels = batch.get(LABELS)
    if labels is not None and labels.ndim > 1:
        return labels != IGNORED
    return batch["attention_mask"] != 0


def _count_labels(batch: Batch) -> int:
    """Return what the model's loss is a mean of: tokens of written texts, else rows."""
    labels = batch.get(LABELS)
    if labels is not None and labels.ndim > 1:
        return int((labels != IGNORED).sum())
    return len(next(iter(batch.values())))
