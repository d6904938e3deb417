"""Learning labeled rows: classes, spans of a context, texts from texts.

The model's own forward gives the loss, but of spans: there Transformers lets an answer lie in what
a row is filled up with, so that the loss would follow the longest row beside it. A microbatch
counts by what its mean is taken over. So the cut of a batch does not matter. Start with
`LabeledLearner`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from engine.data.windows import iter_batches
from engine.specs import QatTraining
from engine.supervised.family import Batch, Rows
from engine.training.batches import batch_size, by_length, count_steps
from engine.training.objectives import IGNORED

LABELS, ENDS = "labels", ("start", "end")


@dataclass(frozen=True)
class LabeledPart:
    """Rows computed at once.

    Attributes:
        batch: Arguments of the model's forward.
        num_labels: How many labels its loss is the mean of.
        num_tokens: Tokens of the rows, without what they are filled up with.
    """

    batch: Batch
    num_labels: int
    num_tokens: int


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

    def iter_losses(self, microbatches: Sequence[LabeledPart]) -> Iterator[Tensor]:
        """Yield each microbatch's part of the mean loss of the whole batch."""
        total = max(sum(each.num_labels for each in microbatches), 1)
        for part in microbatches:
            yield _mean_loss(self._model, part.batch) * (part.num_labels / total)

    def count_tokens(self, microbatches: Sequence[LabeledPart]) -> int:
        """Return how many tokens of a step are real."""
        return sum(each.num_tokens for each in microbatches)

    def _read(self, places: Tensor) -> LabeledPart:
        batch = {
            name: value.to(self._model.device) for name, value in self._rows.batch(places).items()
        }
        return LabeledPart(batch, _count_labels(batch), int(self._rows.lengths[places].sum()))


def _mean_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the mean loss of a batch, float32."""
    if LABELS in batch:
        loss: Tensor = model(**batch).loss
        return loss.float()
    places = {f"{end}_positions" for end in ENDS}
    found = model(**{name: value for name, value in batch.items() if name not in places})
    is_filling = batch["attention_mask"] == 0
    losses = [
        functional.cross_entropy(
            found[f"{end}_logits"].float().masked_fill(is_filling, -torch.inf),
            batch[f"{end}_positions"],
        )
        for end in ENDS
    ]
    return torch.stack(losses).mean()


def _count_labels(batch: Batch) -> int:
    """Return what the model's loss is a mean of: tokens of written texts, else rows."""
    labels = batch.get(LABELS)
    if labels is not None and labels.ndim > 1:
        return int((labels != IGNORED).sum())
    return len(next(iter(batch.values())))
