"""Rules between what a model puts out and what it is trained and measured on.

Start with `iter_head_conflicts`.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Problem
from engine.specs.data import TASKS_BY_HEAD
from engine.specs.subject import Subject
from engine.specs.training import QatTraining


def iter_head_conflicts(spec: Subject) -> Iterator[Problem]:
    """Yield what a model with this head cannot learn or answer, each with what it can."""
    head = spec.model.head
    known = TASKS_BY_HEAD[head]
    task = spec.training_task
    if task is not None and task.task not in known:
        other = next(each for each, tasks in TASKS_BY_HEAD.items() if task.task in tasks)
        yield Problem(
            "training.data.task",
            f"{task.task} needs model.head {other}; a {head} head learns {_list(known)}",
        )
    if head == "causal-lm":
        return
    if isinstance(spec.training, QatTraining):
        yield from _iter_training_conflicts(spec, spec.training)
    yield from _iter_benchmark_conflicts(spec)


def _iter_training_conflicts(spec: Subject, training: QatTraining) -> Iterator[Problem]:
    head = spec.model.head
    if spec.training_task is None:
        yield Problem(
            "training.data.kind",
            f"running text is for causal-lm heads; choose task for a {head} head, with "
            f"training.data.task {_list(TASKS_BY_HEAD[head])}",
        )
    if training.objective != "task":
        yield Problem(
            "training.objective",
            f"distillation follows a causal language model's next token; choose task for a {head} "
            "head",
        )


def _iter_benchmark_conflicts(spec: Subject) -> Iterator[Problem]:
    head, task = spec.model.head, spec.training_task
    known = TASKS_BY_HEAD[head]
    if not spec.measured_tasks:
        yield Problem(
            "evaluation.benchmarks",
            f"there is nothing to measure a {head} head on; give {_list(known)}",
        )
    for name in spec.measured_tasks:
        if name not in known:
            yield Problem(
                "evaluation.benchmarks",
                f"{name} is not for a {head} head; it answers {_list(known)}",
            )
        elif head == "classification" and task is not None and name != task.task:
            yield Problem(
                "evaluation.benchmarks",
                f"{name} has other classes than {task.task}, which is trained; measure {task.task}",
            )


def _list(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
