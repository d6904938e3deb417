"""Tasks of the heads other than causal-lm: where their rows are and what each row becomes.

`GLUE` (Wang et al., 2018, arXiv:1804.07461), `SPANS` (SQuAD v1.1; Rajpurkar et al., 2016,
arXiv:1606.05250) and `SUMMARIES` (CNN/DailyMail; See et al., 2017, arXiv:1704.04368, and XSum;
Narayan et al., 2018, arXiv:1808.08745) are the catalogues. GLUE and SQuAD keep the answers of their
test splits to themselves, so that scores are those of the validation splits; summaries are scored
on the test splits. Only reading is here; tokens are `engine.supervised`. Start with
`load_training` and `load_measured`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from engine.data.supervised_rows import (
    SPAN_COLUMNS,
    Document,
    Labelled,
    Passage,
    read_document,
    read_labelled,
    read_passage,
)
from engine.data.task_sources import PlacedRow, Row, TaskSource, iter_own, iter_published
from engine.errors import DataError
from engine.specs.data import CLASSES_BY_TASK, TaskData

MEASURED_FIELD = "evaluation.benchmarks"
Item = TypeVar("Item")


@dataclass(frozen=True)
class SupervisedTask(TaskSource, Generic[Item]):
    """Where a task's rows are, what they become, and what is measured.

    Attributes:
        read: Makes an example of a row, or None where the row is none of the task's; raises
            ValueError with a reason.
        measured: Splits that are scored, each with what its metrics' names end in.
        labels: Names of the classes; empty where there are none or a number is asked.
    """

    read: Callable[[Row], Item | None]
    measured: Mapping[str, str]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured(Generic[Item]):
    """The examples of one split that are scored.

    Attributes:
        name: The task.
        source: Data set and configuration.
        split: Which part.
        suffix: What the metrics' names end in: "" or " (mismatched)".
        examples: In order; at most as many as the limit lets through.
        is_limited: Whether there were more.
        left_out: Rows that are none of the task's, among those looked at.
    """

    name: str
    source: str
    split: str
    suffix: str
    examples: tuple[Item, ...]
    is_limited: bool
    left_out: int


def _glue(
    config: str, columns: tuple[str, ...], measured: Mapping[str, str] | None = None
) -> SupervisedTask[Labelled]:
    scored = {"validation": ""} if measured is None else measured
    labels = CLASSES_BY_TASK[config]
    return SupervisedTask(
        "nyu-mll/glue",
        (config,),
        ("train", *scored),
        (*columns, "label"),
        partial(read_labelled, columns=columns, labels=labels),
        MappingProxyType(dict(scored)),
        labels,
    )


def _summaries(source: str, config: str, text: str, summary: str) -> SupervisedTask[Document]:
    return SupervisedTask(
        source,
        (config,),
        ("train", "validation", "test"),
        (text, summary),
        partial(read_document, text=text, summary=summary),
        MappingProxyType({"test": ""}),
    )


PAIR = ("sentence1", "sentence2")
MNLI_SPLITS = {"validation_matched": "", "validation_mismatched": " (mismatched)"}
GLUE: Mapping[str, SupervisedTask[Labelled]] = MappingProxyType(
    {
        "cola": _glue("cola", ("sentence",)),
        "sst2": _glue("sst2", ("sentence",)),
        "mrpc": _glue("mrpc", PAIR),
        "qqp": _glue("qqp", ("question1", "question2")),
        "stsb": _glue("stsb", PAIR),
        "mnli": _glue("mnli", ("premise", "hypothesis"), MNLI_SPLITS),
        "qnli": _glue("qnli", ("question", "sentence")),
        "rte": _glue("rte", PAIR),
        "wnli": _glue("wnli", PAIR),
    }
)
SPANS: Mapping[str, SupervisedTask[Passage]] = MappingProxyType(
    {
        "squad": SupervisedTask(
            "rajpurkar/squad",
            ("plain_text",),
            ("train", "validation"),
            SPAN_COLUMNS,
            read_passage,
            MappingProxyType({"validation": ""}),
        )
    }
)
SUMMARIES: Mapping[str, SupervisedTask[Document]] = MappingProxyType(
    {
        "cnn_dailymail": _summaries("abisee/cnn_dailymail", "3.0.0", "article", "highlights"),
        "xsum": _summaries("EdinburghNLP/xsum", "default", "document", "summary"),
    }
)
SUPERVISED: Mapping[str, TaskSource] = MappingProxyType({**GLUE, **SPANS, **SUMMARIES})
"""Where the rows of each of these tasks are."""


def load_training(
    spec: TaskData,
    task: SupervisedTask[Item],
    *,
    data_folder: Path,
    mirror: Path | None,
    field: str = "training.data",
) -> tuple[tuple[Item, ...], int]:
    """Load a task's training examples in order, never none.

    Args:
        spec: Which task, and a file of one's own.
        task: Its entry in a catalogue.
        data_folder: Local files may be named relative to it.
        mirror: Folder of hub data sets that is consulted before the hub.
        field: The spec field that holds `spec`; errors are reported below it.

    Returns:
        The examples, those held out among them, and how many rows were left out.

    Raises:
        DataError: When there is no such file, split or column, or a row makes no sense.
    """
    if spec.source is not None:
        at = f"{field}.source"
        rows = iter_own(spec.source, task, "train", field=field, data_folder=data_folder)
    else:
        at = f"{field}.task"
        rows = iter_published(spec.task, task, "train", at=at, mirror=mirror)
    return _read_all(task, rows, name=spec.source or task.source, at=at)


def load_measured(
    name: str, task: SupervisedTask[Item], *, limit: int | None, mirror: Path | None
) -> tuple[Measured[Item], ...]:
    """Load the examples of each split a task is scored on, never none.

    Args:
        name: The task's.
        task: Its entry in a catalogue.
        limit: The first so many examples of each split; None for all.
        mirror: Folder of hub data sets that is consulted before the hub.

    Raises:
        DataError: When a split is out of reach or a row makes no sense.
    """
    found = []
    for split, suffix in task.measured.items():
        rows = iter_published(name, task, split, at=MEASURED_FIELD, mirror=mirror)
        examples, left_out = _read_all(
            task,
            rows,
            name=task.source,
            at=MEASURED_FIELD,
            most=None if limit is None else limit + 1,
        )
        source = f"{task.source} {task.configs[0]}"
        is_limited = limit is not None and len(examples) > limit
        found.append(Measured(name, source, split, suffix, examples[:limit], is_limited, left_out))
    return tuple(found)


def _read_all(
    task: SupervisedTask[Item],
    rows: Iterable[PlacedRow],
    *,
    name: str,
    at: str,
    most: int | None = None,
) -> tuple[tuple[Item, ...], int]:
    """Return at most `most` examples and how many rows among them were left out."""
    left_out = 0

    def iter_examples() -> Iterator[Item]:
        nonlocal left_out
        for where, row in rows:
            example = _read(task, row, where=where, at=at)
            if example is None:
                left_out += 1
            else:
                yield example

    examples = tuple(islice(iter_examples(), most))
    if not examples:
        raise DataError(f"there is no example in {name}", field=at)
    return examples, left_out


def _read(task: SupervisedTask[Item], row: Row, *, where: str, at: str) -> Item | None:
    try:
        return task.read(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if type(error) is ValueError else "its values are of another shape"
        shape = f"accepted are the columns of {task.source}"
        raise DataError(f"{where} is no example: {reason}; {shape}", field=at) from error
