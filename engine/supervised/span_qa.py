"""SQuAD v1.1: the stretch of a text that answers a question. Start with `load_span_qa`.

Answers are chosen as in the BERT recipe: of the 20 likeliest first and last tokens of the text, the
pair of at most 30 tokens with the largest sum, over all rows of a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from engine.data.supervised_rows import Passage
from engine.data.supervised_tasks import SPANS, Measured
from engine.evaluation.statistics import Mean
from engine.events import Phase, ScoreMeasured
from engine.specs import EvaluationSpec, Subject
from engine.supervised.family import Batch, Progress
from engine.supervised.scoring import (
    Told,
    answering,
    fill_of,
    mean_marks,
    moved,
    score_splits,
)
from engine.supervised.span_features import SpanFeatures, build_features, find_answers
from engine.supervised.squad_metrics import score_answer
from engine.supervised.task_examples import TaskExamples, load_task_examples
from engine.supervised.token_rows import MEASURED_LENGTH, iter_places, padding_id

NUM_BEST = 20
LONGEST_ANSWER = 30


@dataclass(frozen=True)
class SpanRows:
    """Questions with their texts, and where the answers are.

    Attributes:
        features: F rows.
        answers: (F, 2) int64, first and last token.
        fill: What rows are filled up with.
    """

    features: SpanFeatures
    answers: Tensor
    fill: int

    @property
    def lengths(self) -> Tensor:
        """(F,) int64."""
        return self.features.encoded.tokens.lengths

    def batch(self, places: Tensor) -> Batch:
        """Return "input_ids" and the like, "start_positions" and "end_positions", (B,)."""
        first, last = self.answers[places].unbind(dim=1)
        tokens = self.features.encoded.batch(places, fill=self.fill)
        return {**tokens, "start_positions": first, "end_positions": last}


@dataclass(frozen=True)
class SpanQa:
    """Questions answered by a stretch of a text; `Family` has what each member is."""

    examples: TaskExamples[Passage]
    num_labels: None = None
    classes: tuple[str, ...] = ()

    @property
    def num_questions(self) -> int:
        """Questions of all splits."""
        return self.examples.num_questions

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the data differs from the published."""
        return self.examples.notes

    def training_rows(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> SpanRows:
        """Return the training questions; one on a long text is several rows."""
        passages = self.examples.training
        features = build_features(passages, tokenizer, max_length=max_length)
        return SpanRows(features, find_answers(features, passages), padding_id(tokenizer))

    def evaluate(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        spec: EvaluationSpec,
        phase: Phase,
        progress: Progress,
    ) -> tuple[ScoreMeasured, ...]:
        """Answer every question and score exact match and F1."""

        def mark(each: Measured[Passage], told: Told) -> Mapping[str, Mean]:
            answers = answer(model, tokenizer, each.examples, spec=spec, told=told)
            marks = [
                score_answer(said, [text for text, _ in passage.answers])
                for said, passage in zip(answers, each.examples, strict=True)
            ]
            return mean_marks(("exact_match", "f1"), marks)

        return score_splits(
            self.examples.measured,
            mark,
            limit=spec.benchmark_limit,
            phase=phase,
            progress=progress,
        )


def load_span_qa(spec: Subject, *, data_folder: Path, mirror: Path | None) -> SpanQa:
    """Read what a span head learns and is asked.

    Raises:
        DataError: When a split cannot be read or its rows make no sense.
    """
    return SpanQa(load_task_examples(SPANS, spec, data_folder=data_folder, mirror=mirror))


def answer(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    passages: Sequence[Passage],
    *,
    spec: EvaluationSpec,
    told: Told,
) -> list[str]:
    """Return the model's answer to each of N questions, "" where it has none.

    Args:
        model: A model with a span head.
        tokenizer: Its fast tokenizer.
        passages: The questions; their answers are not looked at.
        spec: Row length and batch size.
        told: Told of questions done.
    """
    features = build_features(
        passages, tokenizer, max_length=spec.max_length, field=MEASURED_LENGTH
    )
    best: dict[int, tuple[float, int, int]] = {}
    fill, lengths = fill_of(model, tokenizer), features.encoded.tokens.lengths
    done = 0
    with answering(model):
        for places in iter_places(lengths, batch_size=spec.per_device_eval_batch_size):
            outputs = model(**moved(features.encoded.batch(places, fill=fill), model))
            logits = torch.stack([outputs.start_logits, outputs.end_logits]).float().cpu().numpy()
            begins = features.begins.padded(places, fill=-1).numpy()  # (B, T)
            ends = features.ends.padded(places, fill=-1).numpy()
            for row, question in enumerate(features.questions[places].tolist()):
                found = best_span(logits[0, row], logits[1, row], begins[row] >= 0)
                if found is not None and (question not in best or found[0] > best[question][0]):
                    score, first, last = found
                    best[question] = (score, int(begins[row, first]), int(ends[row, last]))
            done += len(places)
            told(done * len(passages) // len(lengths))
    spans = (best.get(place, (0.0, 0, 0)) for place in range(len(passages)))
    return [
        passage.context[low:high].strip()
        for passage, (_, low, high) in zip(passages, spans, strict=True)
    ]


def best_span(
    start_logits: np.ndarray, end_logits: np.ndarray, is_text: np.ndarray
) -> tuple[float, int, int] | None:
    """Return score, first and last token of a row's best answer, or None where there is none.

    A token whose logit is no finite number is not chosen.

    Args:
        start_logits: (T,) of each token to be the answer's first.
        end_logits: (T,) to be its last.
        is_text: (T,) whether a token is of the text.
    """
    places = np.flatnonzero(is_text)
    begins, ends = (
        np.where(np.isfinite(logits), logits, -np.inf) for logits in (start_logits, end_logits)
    )
    firsts = places[np.argsort(-begins[places], kind="stable")[:NUM_BEST]]
    lasts = places[np.argsort(-ends[places], kind="stable")[:NUM_BEST]]
    gaps = lasts - firsts[:, None]  # (firsts, lasts)
    scores = begins[firsts][:, None] + ends[lasts]
    scores = np.where((gaps >= 0) & (gaps < LONGEST_ANSWER), scores, -np.inf)
    if not np.isfinite(scores).any():
        return None
    first, last = np.unravel_index(np.argmax(scores), scores.shape)
    return float(scores[first, last]), int(firsts[first]), int(lasts[last])
