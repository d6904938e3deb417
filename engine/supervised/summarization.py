"""CNN/DailyMail and XSum: a text and its summary. Start with `load_summarization`.

Texts for T5 kinds begin with "summarize: ", which those were trained with (Raffel et al., 2020,
arXiv:1910.10683). Summaries are written by Transformers: greedily or by beam search, otherwise by
the model's own settings.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from engine.data.supervised_rows import Document
from engine.data.supervised_tasks import SUMMARIES, Measured
from engine.evaluation.statistics import Mean
from engine.events import Phase, ScoreMeasured
from engine.specs import EvaluationSpec, Subject
from engine.supervised.family import Batch, Progress
from engine.supervised.rouge_metrics import ROUGES, RougeMetrics
from engine.supervised.scoring import (
    Told,
    answering,
    fill_of,
    mean_marks,
    moved,
    score_splits,
)
from engine.supervised.task_examples import TaskExamples, load_task_examples
from engine.supervised.token_rows import (
    CHUNK_TEXTS,
    MEASURED_LENGTH,
    TRAINED_LENGTH,
    Encoded,
    TokenRows,
    encode,
    iter_places,
    pack,
    padding_id,
    row_limit,
)

IGNORED = -100
PREFIX = "summarize: "
SENTINEL = "<extra_id_0>"


@dataclass(frozen=True)
class SummaryRows:
    """Texts to learn the summaries of.

    Attributes:
        texts: N rows.
        summaries: N rows of labels.
        fill: What texts are filled up with.
    """

    texts: Encoded
    summaries: TokenRows
    fill: int

    @property
    def lengths(self) -> Tensor:
        """(N,) int64, tokens of text and summary."""
        return self.texts.tokens.lengths + self.summaries.lengths

    def batch(self, places: Tensor) -> Batch:
        """Return "input_ids" and the like with "labels", (B, S) with −100 behind a summary."""
        labels = self.summaries.padded(places, fill=IGNORED)
        return {**self.texts.batch(places, fill=self.fill), "labels": labels}


@dataclass(frozen=True)
class Summarization:
    """Texts with their summaries; `Family` has what each member is.

    Attributes:
        longest: Tokens of a summary at most.
    """

    examples: TaskExamples[Document]
    longest: int
    num_labels: None = None
    classes: tuple[str, ...] = ()

    @property
    def num_questions(self) -> int:
        """Texts of all splits."""
        return self.examples.num_questions

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the data differs from the published."""
        return self.examples.notes

    def training_rows(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> SummaryRows:
        """Return the training texts; texts and summaries are cut at their end."""
        documents = self.examples.training
        texts = encode_texts(documents, tokenizer, max_length=max_length)
        summaries: list[list[int]] = []
        longest = min(self.longest, int(tokenizer.model_max_length))
        for start in range(0, len(documents), CHUNK_TEXTS):
            found = tokenizer(
                text_target=[each.summary for each in documents[start : start + CHUNK_TEXTS]],
                truncation=True,
                max_length=longest,
                verbose=False,
            )
            summaries += found["input_ids"]
        return SummaryRows(texts, pack(summaries), padding_id(tokenizer))

    def evaluate(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        spec: EvaluationSpec,
        phase: Phase,
        progress: Progress,
    ) -> tuple[ScoreMeasured, ...]:
        """Write every summary and score it by ROUGE."""
        rouge = RougeMetrics()

        def mark(each: Measured[Document], told: Told) -> Mapping[str, Mean]:
            summaries = summarize(model, tokenizer, each.examples, spec=spec, told=told)
            marks = [
                rouge.score(summary, document.summary)
                for summary, document in zip(summaries, each.examples, strict=True)
            ]
            return mean_marks(ROUGES, marks)

        return score_splits(
            self.examples.measured,
            mark,
            limit=spec.benchmark_limit,
            phase=phase,
            progress=progress,
        )


def load_summarization(spec: Subject, *, data_folder: Path, mirror: Path | None) -> Summarization:
    """Read what an encoder-decoder learns and is asked.

    Raises:
        DataError: When a split cannot be read or its rows make no sense.
    """
    examples = load_task_examples(SUMMARIES, spec, data_folder=data_folder, mirror=mirror)
    return Summarization(examples, spec.evaluation.max_new_tokens)


def encode_texts(
    documents: Sequence[Document],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    field: str = TRAINED_LENGTH,
) -> Encoded:
    """Tokenize texts as the encoder reads them, cut at their end."""
    known = tokenizer.convert_tokens_to_ids(SENTINEL)
    prefix = PREFIX if known is not None and known != tokenizer.unk_token_id else ""
    texts = [(f"{prefix}{document.text}",) for document in documents]
    return encode(texts, tokenizer, max_length=row_limit(tokenizer, max_length, field=field))


def summarize(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Document],
    *,
    spec: EvaluationSpec,
    told: Told,
) -> list[str]:
    """Return the summary the model writes of each of N texts.

    Args:
        model: An encoder-decoder.
        tokenizer: Its tokenizer.
        documents: The texts; their summaries are not looked at.
        spec: Row length, batch size, beams, and how long summaries may be.
        told: Told of texts done.
    """
    texts = encode_texts(documents, tokenizer, max_length=spec.max_length, field=MEASURED_LENGTH)
    longest = min(spec.max_new_tokens, int(tokenizer.model_max_length))
    settings = _settings(model, spec, longest)
    fill, written = fill_of(model, tokenizer), [""] * len(documents)
    done = 0
    generator: Any = model
    with answering(model):
        for places in iter_places(texts.tokens.lengths, batch_size=spec.per_device_eval_batch_size):
            batch = moved(texts.batch(places, fill=fill), model)
            batch.pop("token_type_ids", None)
            found = generator.generate(**batch, generation_config=settings)
            decoded = tokenizer.batch_decode(found.cpu(), skip_special_tokens=True)
            for place, summary in zip(places.tolist(), decoded, strict=True):
                written[place] = summary.strip()
            done += len(places)
            told(done)
    return written


def _settings(model: Any, spec: EvaluationSpec, longest: int) -> Any:
    """Return the model's own settings of writing, with so many tokens and the spec's beams."""
    settings = copy.deepcopy(model.generation_config)
    settings.max_length = None  # counts the beginning, too
    settings.max_new_tokens = longest
    settings.num_beams = spec.num_beams
    settings.do_sample = False
    for name in ("temperature", "top_k", "top_p"):
        setattr(settings, name, None)
    if spec.num_beams == 1:
        settings.early_stopping, settings.length_penalty = False, None
    return settings
