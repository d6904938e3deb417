"""Downstream tasks as examples: a question's possible answers, and which of them is right.

The catalogue `TASKS` says for each task where its rows come from and how a row becomes an
`Example`. The text trained on is the prompt lm-eval asks with, followed by the right answer, as in
SQFT (Munoz et al., 2024, arXiv:2410.03750). Only reading is here; tokens are `example_windows`.
Start with `load_examples`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from engine.data.task_rows import (
    ARC_COLUMNS,
    GSM8K_COLUMNS,
    HELLASWAG_COLUMNS,
    OPENBOOKQA_COLUMNS,
    WINOGRANDE_COLUMNS,
    Candidates,
    RowReader,
    read_arc,
    read_gsm8k,
    read_hellaswag,
    read_openbookqa,
    read_winogrande,
)
from engine.data.task_sources import TaskSource, iter_own, iter_published
from engine.errors import DataError
from engine.specs.data import TaskData

Item = TypeVar("Item")
Split = Literal["train", "validation"]
HUB_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Example:
    """One question with its possible answers.

    Attributes:
        candidates: (context, continuation) of each answer; a continuation starts with the space
            that parts it from its context. One where the task is to write the answer freely.
        gold: Which candidate is right.
    """

    candidates: tuple[tuple[str, str], ...]
    gold: int

    @property
    def text(self) -> str:
        """The right candidate, whole: what is trained on."""
        context, continuation = self.candidates[self.gold]
        return context + continuation


@dataclass(frozen=True)
class Task(TaskSource):
    """Where a task's rows are and how they are read.

    Attributes:
        read: Makes candidates and the right one of a row; raises ValueError with a reason.
    """

    read: RowReader


TASKS: MappingProxyType[str, Task] = MappingProxyType(
    {
        "openbookqa": Task(
            "allenai/openbookqa", ("main",), HUB_SPLITS, OPENBOOKQA_COLUMNS, read_openbookqa
        ),
        "arc_challenge": Task(
            "allenai/ai2_arc", ("ARC-Challenge",), HUB_SPLITS, ARC_COLUMNS, read_arc
        ),
        "arc_easy": Task("allenai/ai2_arc", ("ARC-Easy",), HUB_SPLITS, ARC_COLUMNS, read_arc),
        # trained on the debiased part, as published; both have the same validation split
        "winogrande": Task(
            "allenai/winogrande",
            ("winogrande_debiased", "winogrande_xl"),
            HUB_SPLITS,
            WINOGRANDE_COLUMNS,
            read_winogrande,
        ),
        "hellaswag": Task(
            "Rowan/hellaswag", ("default",), HUB_SPLITS, HELLASWAG_COLUMNS, read_hellaswag
        ),
        "gsm8k": Task("openai/gsm8k", ("main",), ("train", "test"), GSM8K_COLUMNS, read_gsm8k),
    }
)


def load_examples(
    spec: TaskData, *, split: Split, field: str, data_folder: Path, mirror: Path | None
) -> tuple[Example, ...]:
    """Load the examples of a task's split, in order; never an empty tuple.

    A local file is read where the spec names one (training examples only), else the mirror, else
    the hub. WinoGrande's training examples are those of `winogrande_debiased`, or of
    `winogrande_xl` where the mirror has only that.

    Args:
        spec: Which task, and a file of one's own.
        split: Which part.
        field: The spec field that holds `spec` ("training.data"); errors are reported below it.
        data_folder: Local files may be named relative to it.
        mirror: Folder of hub data sets that is consulted before the hub.

    Raises:
        DataError: When there is no such split, file or column, a row makes no sense, or the task is
            not one of causal-lm's.
    """
    task = TASKS.get(spec.task)
    if task is None:
        raise DataError(
            f"{spec.task} is not for causal-lm heads; choose {', '.join(TASKS)}",
            field=f"{field}.task",
        )
    if spec.source is not None:
        rows = iter_own(spec.source, task, split, field=field, data_folder=data_folder)
        at = f"{field}.source"
    else:
        at = f"{field}.task"
        rows = iter_published(spec.task, task, split, at=at, mirror=mirror)
    found = tuple(_read(task, row, where=where, at=at) for where, row in rows)
    if not found:
        raise DataError(f"there is no example in {spec.source or task.source}", field=at)
    return found


def split_held_out(
    examples: Sequence[Item], held_out: int
) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Part examples into those to train on and `held_out` others, evenly spread; both in order.

    Raises:
        DataError: When nothing would be left to train on.
    """
    count = len(examples)
    if held_out >= count:
        raise DataError(
            f"{held_out} of {count} examples cannot be held out; at most {count - 1} can",
            field="training.data.held_out",
        )
    places = {(2 * index + 1) * count // (2 * held_out) for index in range(held_out)}
    kept = tuple(example for place, example in enumerate(examples) if place not in places)
    return kept, tuple(examples[place] for place in sorted(places))


def _read(task: Task, row: dict[str, Any], *, where: str, at: str) -> Example:
    try:
        candidates, gold = task.read(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if type(error) is ValueError else "its values are of another shape"
        shape = f"accepted are the columns of {task.source}"
        raise DataError(f"{where} is no example: {reason}; {shape}", field=at) from error
    return Example(_checked(candidates, where, at), gold)


def _checked(candidates: Candidates, where: str, at: str) -> Candidates:
    if not candidates or not all(
        context.strip() and answer.strip() for context, answer in candidates
    ):
        raise DataError(
            f"{where} is no example: a question or an answer is empty; accepted is text in both",
            field=at,
        )
    return candidates
