"""On which examples and by which metric a search may choose: never on what is reported.

The benchmark of a task is asked on its test split; where it has none lm-eval asks the validation
split, and ranks chosen there would be chosen on the very questions that are reported. No torch.
Start with `check_objective`.
"""

from __future__ import annotations

from engine.errors import SpecError
from engine.specs import ObjectiveSpec, Subject, TaskData
from engine.specs.rank_search import SearchMetric, SearchSplit

WITHOUT_VALIDATION = frozenset({"gsm8k"})
"""Tasks whose data set has no validation split."""
REPORTED_ON_VALIDATION = frozenset({"winogrande", "hellaswag"})
"""Tasks whose benchmark asks the validation split: they have no test split with answers."""
WITHOUT_CHOICES = frozenset({"gsm8k"})
"""Tasks that have one answer, to be written: no share of right choices."""


def list_splits(data: TaskData) -> tuple[SearchSplit, ...]:
    """Return the splits a search may choose on, the preferred first; none where nothing is left."""
    splits: list[SearchSplit] = ["held-out"] if data.held_out else []
    if data.source is None and data.task not in WITHOUT_VALIDATION | REPORTED_ON_VALIDATION:
        splits.append("validation")
    return tuple(splits)


def list_metrics(data: TaskData) -> tuple[SearchMetric, ...]:
    """Return the metrics that tell configurations apart on a task, the preferred first."""
    return ("loss",) if data.task in WITHOUT_CHOICES else ("loss", "accuracy")


def check_searchable(spec: Subject) -> None:
    """Refuse ranks to be chosen or measured on a run whose model has another head than causal-lm.

    Raises:
        SpecError: At the parent.
    """
    if spec.model.head != "causal-lm":
        raise SpecError.at(
            "parent",
            f"its model has a {spec.model.head} head; ranks are chosen and measured on causal-lm "
            "heads only",
        )


def check_objective(data: TaskData, objective: ObjectiveSpec) -> None:
    """Refuse what a search cannot or must not choose on.

    Args:
        data: What the training run was trained on.
        objective: What the search asks for.

    Raises:
        SpecError: At the field, with what would be accepted.
    """
    if objective.split not in list_splits(data):
        raise SpecError.at("objective.split", f"{_reason(data, objective)}; {_remedy(data)}")
    if objective.metric not in list_metrics(data):
        raise SpecError.at(
            "objective.metric", f"{data.task} has one answer, written freely; use loss"
        )


def _reason(data: TaskData, objective: ObjectiveSpec) -> str:
    if objective.split == "held-out":
        return "the training run held nothing out"
    if data.source is not None:
        return "a file of one's own has no validation split"
    if data.task in WITHOUT_VALIDATION:
        return f"{data.task} has no validation split"
    return f"{data.task} is reported on its validation split"


def _remedy(data: TaskData) -> str:
    splits = list_splits(data)
    return f"choose {splits[0]}" if splits else "train with training.data.held_out"
