"""Rules between what a model puts out and what it is trained and measured on.

Start with `iter_head_conflicts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.errors import Problem
from engine.specs.data import CLASSES_BY_TASK, TASKS_BY_HEAD, count_outputs
from engine.specs.evaluation import EvaluationSpec
from engine.specs.subject import Subject
from engine.specs.training import QatTraining

SUMMARY_OPTIONS = ("max_new_tokens", "num_beams")
SHOT_OPTIONS = ("num_fewshot",)


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
    if head != "seq2seq":
        yield from _iter_unused(spec, SUMMARY_OPTIONS, "only a seq2seq head writes summaries")
    if head == "causal-lm":
        return
    yield from _iter_unused(spec, SHOT_OPTIONS, "only a causal-lm head is shown solved examples")
    if isinstance(spec.training, QatTraining):
        yield from _iter_training_conflicts(spec, spec.training)
    yield from _iter_benchmark_conflicts(spec)


def iter_mixed_outputs(tasks: Sequence[str]) -> Iterator[Problem]:
    """Yield what keeps one classification head from answering these tasks: different outputs."""
    counts = {name: count_outputs(CLASSES_BY_TASK[name]) for name in tasks}
    if len(set(counts.values())) > 1:
        told = ", ".join(
            f"{name} a number" if count == 1 else f"{name} {count} classes"
            for name, count in counts.items()
        )
        yield Problem(
            "evaluation.benchmarks", f"one head cannot answer all: {told}; measure one kind at once"
        )


def _iter_unused(spec: Subject, names: Sequence[str], why: str) -> Iterator[Problem]:
    """Yield options of the evaluation that were set although nothing here reads them."""
    for name in names:
        usual = EvaluationSpec.model_fields[name].default
        if getattr(spec.evaluation, name) != usual:
            left = "empty" if usual is None else f"at {usual}"
            yield Problem(f"evaluation.{name}", f"{why}; leave it {left}")


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

    if spec.training_task is not None and spec.training_task.loss_on != "text":
        yield Problem(
            "training.data.loss_on",
            f"is for a causal-lm head, which reads question and answer as one text; a {head} head "
            "learns the answer alone as it is, so leave it at text",
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
    if head == "classification" and task is None:
        yield from iter_mixed_outputs([name for name in spec.measured_tasks if name in known])


def _list(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
