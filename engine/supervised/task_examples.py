"""What a spec trains a head on and asks it, read before any model is: the same for every family.

Start with `load_task_examples`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from engine.data.supervised_tasks import Measured, SupervisedTask, load_measured, load_training
from engine.data.tasks import split_held_out
from engine.errors import DataError
from engine.estimates.task_lengths import TASK_EXAMPLES, TASK_QUESTIONS
from engine.specs import Subject

Item = TypeVar("Item")


@dataclass(frozen=True)
class TaskExamples(Generic[Item]):
    """The examples of a run.

    Attributes:
        training: To train on, without those held out; empty without training on a task.
        measured: The splits that are scored.
        notes: Sentences for the run's log: where the data differs from the published.
    """

    training: tuple[Item, ...]
    measured: tuple[Measured[Item], ...]
    notes: tuple[str, ...]

    @property
    def num_questions(self) -> int:
        """Examples of all splits that are scored."""
        return sum(len(each.examples) for each in self.measured)


def load_task_examples(
    catalogue: Mapping[str, SupervisedTask[Item]],
    spec: Subject,
    *,
    data_folder: Path,
    mirror: Path | None,
) -> TaskExamples[Item]:
    """Read what a head learns and is asked.

    Args:
        catalogue: The tasks this head knows.
        spec: What to train on and measure.
        data_folder: Local files may be named relative to it.
        mirror: Folder of hub data sets that is consulted before the hub.

    Raises:
        DataError: When a task is another head's, or a split cannot be read.
    """
    trained, notes = spec.training_task, list[str]()
    training: tuple[Item, ...] = ()
    if trained is not None:
        task = _get(catalogue, trained.task, "training.data.task")
        found, left_out = load_training(trained, task, data_folder=data_folder, mirror=mirror)
        training, _ = split_held_out(found, trained.held_out)
        if trained.source is None:
            what, published = f"{trained.task} is trained on", TASK_EXAMPLES[trained.task]
            notes += _note(what, len(found), left_out, published)
    measured: list[Measured[Item]] = []
    for name in dict.fromkeys(spec.measured_tasks):
        task = _get(catalogue, name, "evaluation.benchmarks")
        splits = load_measured(name, task, limit=spec.evaluation.benchmark_limit, mirror=mirror)
        measured += splits
        notes += _note_measured(name, splits)
    return TaskExamples(training, tuple(measured), tuple(notes))


def _get(
    catalogue: Mapping[str, SupervisedTask[Item]], name: str, field: str
) -> SupervisedTask[Item]:
    if name not in catalogue:
        raise DataError(
            f"{name} is not for this head; choose {', '.join(catalogue)}",
            field=field,
        )
    return catalogue[name]


def _note_measured(name: str, splits: Sequence[Measured[Any]]) -> tuple[str, ...]:
    """Say where the examples are not those published; nothing of their number under a limit."""
    count = sum(len(each.examples) for each in splits)
    left_out = sum(each.left_out for each in splits)
    is_limited = any(each.is_limited for each in splits)
    published = count if is_limited else TASK_QUESTIONS[name]
    return _note(f"{name} is measured on", count, left_out, published)


def _note(what: str, count: int, left_out: int, published: int) -> tuple[str, ...]:
    if count == published and not left_out:
        return ()
    besides = f"; {left_out:,} without an answer are left out" if left_out else ""
    told = "" if count == published else f" where {published:,} are published"
    return (
        f"{what} {count:,} examples{told}{besides}: the scores do not compare with published ones",
    )
