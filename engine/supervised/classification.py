"""GLUE: texts or pairs of texts, each with a class or a number. Start with `load_classification`.

Classes are learned by GLUE's numbers, and read by the names the model gives them where those are
GLUE's: a checkpoint was put into the order of what it learns when it was loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from engine.data.supervised_rows import Labelled
from engine.data.supervised_tasks import GLUE, Measured
from engine.errors import SpecError
from engine.evaluation.statistics import Mean
from engine.events import Phase, ScoreMeasured
from engine.models.heads import find_order
from engine.specs import EvaluationSpec, Subject
from engine.specs.data import CLASSES_BY_TASK, count_outputs
from engine.specs.head_rules import iter_mixed_outputs
from engine.supervised.family import Batch, Progress
from engine.supervised.glue_metrics import Values, score_glue
from engine.supervised.scoring import (
    Told,
    answering,
    fill_of,
    moved,
    score_splits,
)
from engine.supervised.task_examples import TaskExamples, load_task_examples
from engine.supervised.token_rows import (
    MEASURED_LENGTH,
    TRAINED_LENGTH,
    Encoded,
    encode,
    iter_places,
    padding_id,
    row_limit,
)


@dataclass(frozen=True)
class LabelledRows:
    """Texts to learn the classes of.

    Attributes:
        encoded: N rows.
        labels: (N,), int64 classes or float32 numbers.
        fill: What rows are filled up with.
    """

    encoded: Encoded
    labels: Tensor
    fill: int

    @property
    def lengths(self) -> Tensor:
        """(N,) int64."""
        return self.encoded.tokens.lengths

    def batch(self, places: Tensor) -> Batch:
        """Return "input_ids" and the like with "labels", (B,)."""
        return {**self.encoded.batch(places, fill=self.fill), "labels": self.labels[places]}


@dataclass(frozen=True)
class Classification:
    """GLUE tasks of the same number of classes; `Family` has what each member is.

    Attributes:
        classes: Those of the task that is trained, or of the first that is measured.
    """

    classes: tuple[str, ...]
    examples: TaskExamples[Labelled]

    @property
    def num_labels(self) -> int:
        """Outputs of the head."""
        return count_outputs(self.classes)

    @property
    def num_questions(self) -> int:
        """Examples of all splits."""
        return self.examples.num_questions

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the data differs from the published."""
        return self.examples.notes

    def training_rows(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> LabelledRows:
        """Return the training examples; of a pair too long the longer text is cut first."""
        texts = [example.texts for example in self.examples.training]
        limit = row_limit(tokenizer, max_length, field=TRAINED_LENGTH)
        encoded = encode(texts, tokenizer, max_length=limit)
        labels = torch.tensor([example.label for example in self.examples.training])
        is_regression = self.num_labels == 1
        return LabelledRows(
            encoded, labels if is_regression else labels.long(), padding_id(tokenizer)
        )

    def evaluate(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        spec: EvaluationSpec,
        phase: Phase,
        progress: Progress,
    ) -> tuple[ScoreMeasured, ...]:
        """Answer every split and score it by its task's metrics."""

        def mark(each: Measured[Labelled], told: Told) -> Mapping[str, Mean]:
            texts = [example.texts for example in each.examples]
            outputs = ask(model, tokenizer, texts, spec=spec, told=told)
            labels = np.array([example.label for example in each.examples])
            return score_glue(each.name, labels, self._read(outputs, model, each.name))

        return score_splits(
            self.examples.measured,
            mark,
            limit=spec.benchmark_limit,
            phase=phase,
            progress=progress,
        )

    def attacked_texts(self, num_samples: int, *, model: nn.Module) -> Measured[Labelled]:
        """Return examples of the first measured split, evenly spread, at most all, in order.

        Args:
            num_samples: How many.
            model: Whose classes are meant: labels are places among its outputs.
        """
        measured = self.examples.measured[0]
        count = len(measured.examples)
        taken = min(num_samples, count)
        order = find_order(getattr(model, "config", None), GLUE[measured.name].labels)
        chosen = []
        for index in range(taken):
            example = measured.examples[(2 * index + 1) * count // (2 * taken)]
            label = example.label if order is None else order[int(example.label)]
            chosen.append(Labelled(example.texts, label))
        is_limited = measured.is_limited or taken < count
        return replace(measured, examples=tuple(chosen), is_limited=is_limited)

    def _read(self, outputs: Tensor, model: nn.Module, name: str) -> Values:
        """Return the answer that (N, C) outputs give to each question, (N,)."""
        if self.num_labels == 1:
            return np.asarray(outputs[:, 0], dtype=np.float64)
        order = find_order(getattr(model, "config", None), GLUE[name].labels)
        classes = outputs if order is None else outputs[:, order]
        return np.asarray(classes.argmax(dim=1), dtype=np.float64)


def load_classification(spec: Subject, *, data_folder: Path, mirror: Path | None) -> Classification:
    """Read what a classification head learns and is asked.

    Raises:
        DataError: When a split cannot be read or its rows make no sense.
        SpecError: When tasks of different numbers of classes are asked of one head.
    """
    trained = spec.training_task
    names = dict.fromkeys([*([trained.task] if trained else []), *spec.measured_tasks])
    examples = load_task_examples(GLUE, spec, data_folder=data_folder, mirror=mirror)
    problems = tuple(iter_mixed_outputs(tuple(names)))
    if problems:
        raise SpecError(*problems)
    return Classification(CLASSES_BY_TASK[next(iter(names))], examples)


def ask(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[tuple[str, ...]],
    *,
    spec: EvaluationSpec,
    told: Told,
) -> Tensor:
    """Return what the head puts out for N texts, (N, C) float32 on the CPU, in their order.

    Args:
        model: A Transformers model with a classification head; left in the mode it was in.
        tokenizer: Its tokenizer.
        texts: One or two texts each, the same number in all.
        spec: Batch size and row length.
        told: Told of texts done.
    """
    limit = row_limit(tokenizer, spec.max_length, field=MEASURED_LENGTH)
    encoded = encode(texts, tokenizer, max_length=limit)
    parts, places, done = [], [], 0
    fill = fill_of(model, tokenizer)
    with answering(model):
        for chosen in iter_places(
            encoded.tokens.lengths, batch_size=spec.per_device_eval_batch_size
        ):
            batch = moved(encoded.batch(chosen, fill=fill), model)
            parts.append(model(**batch).logits.float().cpu())
            places.append(chosen)
            done += len(chosen)
            told(done)
    return torch.cat(parts)[torch.argsort(torch.cat(places))]
