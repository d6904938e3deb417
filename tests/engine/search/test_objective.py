"""Promises of what a search may choose on: never the questions that are reported."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from typing import get_args

import pytest
import yaml

from engine.data.tasks import TASKS
from engine.errors import SpecError
from engine.search.objective import (
    REPORTED_ON_VALIDATION,
    WITHOUT_CHOICES,
    WITHOUT_VALIDATION,
    check_objective,
    check_searchable,
    list_metrics,
    list_splits,
)
from engine.specs import ModelSpec, ObjectiveSpec, Subject, TaskData
from engine.specs.data import TaskName
from engine.specs.model import Head


def test_tasks_without_validation_are_those_of_the_catalogue() -> None:
    """What is told without loading anything agrees with where tasks are really read from."""
    lacking = {name for name, each in TASKS.items() if "validation" not in each.splits}
    assert lacking == WITHOUT_VALIDATION


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is not installed")
@pytest.mark.parametrize(
    ("task", "path"),
    [
        ("openbookqa", "openbookqa/openbookqa.yaml"),
        ("arc_challenge", "arc/arc_easy.yaml"),
        ("arc_easy", "arc/arc_easy.yaml"),
        ("winogrande", "winogrande/default.yaml"),
        ("hellaswag", "hellaswag/hellaswag.yaml"),
        ("gsm8k", "gsm8k/gsm8k.yaml"),
    ],
)
def test_the_reported_split_is_that_of_the_harness(task: TaskName, path: str) -> None:
    """A task counts as reported on validation exactly where lm-eval has no test split for it."""
    text = (files("lm_eval") / "tasks" / path).read_text(encoding="utf-8")
    plain = "\n".join(line for line in text.splitlines() if "!function" not in line)
    has_test = bool(yaml.safe_load(plain).get("test_split"))
    assert has_test == (task not in REPORTED_ON_VALIDATION)


@pytest.mark.parametrize("task", get_args(TaskName))
@pytest.mark.parametrize("held_out", [0, 5])
@pytest.mark.parametrize("source", [None, "mine.jsonl"])
def test_what_is_listed_is_what_is_accepted(
    task: TaskName, held_out: int, source: str | None
) -> None:
    """Of two splits and two metrics just the listed ones pass; each refusal says what would."""
    data = TaskData(task=task, held_out=held_out, source=source)
    splits, metrics = list_splits(data), list_metrics(data)
    assert ("held-out" in splits) == bool(held_out)
    assert ("accuracy" in metrics) == (task not in WITHOUT_CHOICES)
    for split in ("held-out", "validation"):
        for metric in ("loss", "accuracy"):
            objective = ObjectiveSpec(split=split, metric=metric)
            if split in splits and metric in metrics:
                check_objective(data, objective)
                continue
            with pytest.raises(SpecError, match=r"choose|train with|use loss"):
                check_objective(data, objective)


@pytest.mark.parametrize("head", ["classification", "span-qa", "seq2seq"])
def test_ranks_under_other_heads_are_refused(head: Head) -> None:
    """A search knows the loss of a language model alone, and says so at its parent."""
    check_searchable(Subject())
    with pytest.raises(SpecError, match=f"has a {head} head; ranks are chosen") as caught:
        check_searchable(Subject(model=ModelSpec(head=head)))
    assert caught.value.problems[0].field == "parent"
