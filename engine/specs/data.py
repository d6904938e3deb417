"""Which text or which task's examples, from where. Start with `DataSpec` and `TaskData`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import Field

from engine.specs.base import Spec, option
from engine.specs.model import Head

LanguageTask = Literal[
    "openbookqa", "arc_challenge", "arc_easy", "winogrande", "hellaswag", "gsm8k"
]
GlueTask = Literal["cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli"]
SpanTask = Literal["squad"]
SummaryTask = Literal["cnn_dailymail", "xsum"]
TaskName = Literal[LanguageTask, GlueTask, SpanTask, SummaryTask]
TASKS_BY_HEAD: Mapping[Head, tuple[str, ...]] = MappingProxyType(
    {
        "causal-lm": get_args(LanguageTask),
        "classification": get_args(GlueTask),
        "span-qa": get_args(SpanTask),
        "seq2seq": get_args(SummaryTask),
    }
)
"""Which tasks a model with each head can be trained and measured on, besides lm-eval's."""
CLASSES_BY_TASK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cola": ("unacceptable", "acceptable"),
        "sst2": ("negative", "positive"),
        "mrpc": ("not_equivalent", "equivalent"),
        "qqp": ("not_duplicate", "duplicate"),
        "stsb": (),
        "mnli": ("entailment", "neutral", "contradiction"),
        "qnli": ("entailment", "not_entailment"),
        "rte": ("entailment", "not_entailment"),
        "wnli": ("not_entailment", "entailment"),
    }
)
"""Names of GLUE's classes by their numbers, as its data sets give them; none for a number."""
LossOn = Literal["text", "answer"]


def count_outputs(classes: Sequence[str]) -> int:
    """Return the outputs of a classification head for these classes; a number is one output."""
    return len(classes) or 1


class DataSpec(Spec):
    """A text corpus and the part of it to use."""

    source: str = option(
        "bundled:python-docs",
        "Data",
        "A hub id (ORG/NAME), a local .txt, .jsonl or .parquet file, or a bundled corpus "
        "(bundled:python-docs).",
        min_length=1,
        max_length=500,
    )
    config: str | None = option(
        None,
        "Configuration",
        "The hub data set's configuration, such as wikitext-2-raw-v1.",
        advanced=True,
        max_length=200,
    )
    split: str = option("train", "Split", "Which part: train, validation, test.", min_length=1)
    text_field: str = option(
        "text", "Text field", "The column that holds the text.", advanced=True, min_length=1
    )


class TextData(DataSpec):
    """Running text to train on."""

    kind: Literal["text"] = option("text", "Training data", "Train on windows of running text.")


class TaskData(Spec):
    """The examples of a downstream task to train on, each with its right answer."""

    kind: Literal["task"] = option(
        "task", "Training data", "Train on the questions and answers of a downstream task."
    )
    task: TaskName = option("openbookqa", "Task", "Which task's training examples to use.")
    source: str | None = option(
        None,
        "File",
        "A local .jsonl or .parquet file with the task's own columns; empty for the task's own "
        "data set, from the mirror or the hub.",
        advanced=True,
        min_length=1,
        max_length=500,
    )
    loss_on: LossOn = option(
        "text",
        "Loss on",
        "text trains a causal-lm head on question and answer, as published; answer on the answer "
        "alone.",
    )
    held_out: int = option(
        0,
        "Held out",
        "Examples never trained on, spread evenly over the training split: ranks are chosen on "
        "them, so that the test split is measured once.",
        unit="examples",
        ge=0,
        le=100_000,
    )


TrainingDataSpec = Annotated[TextData | TaskData, Field(discriminator="kind")]
