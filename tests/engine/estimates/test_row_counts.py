"""Estimates count the examples that are there, and learn speeds from as many."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine.data.row_counting import count_rows, count_tasks
from engine.estimates import PastRun, RowCounts, learn_speed
from engine.estimates.benchmarks import find_questions
from engine.estimates.task_lengths import TASK_EXAMPLES, TASK_QUESTIONS, TASK_TOKENS
from engine.estimates.workload import count_workload
from engine.specs import ExperimentSpec, resolve
from tests.engine.data.mirrors import squad_row, write_glue, write_rows, write_squad


def spec_of(task: str = "squad", head: str = "span-qa", **data: Any) -> ExperimentSpec:
    training = {
        "method": "qat",
        "objective": "task",
        "data": {"kind": "task", "task": task, **data},
    }
    return resolve(
        {"preset": "qat-lora", "model": {"source": "x/y", "head": head}, "training": training}
    ).spec


def count(folder: Path, *specs: ExperimentSpec) -> RowCounts:
    return count_tasks(specs, data_folder=folder, mirror=folder / "mirror")


def write_mirror(folder: Path) -> None:
    row = squad_row("Where does it rise?", "the Alps")
    write_squad(folder / "mirror", train=[row] * 40, validation=[row] * 8)


def test_a_mirror_counts_as_many_as_it_has(tmp_path: Path) -> None:
    """Steps and questions are those of the mirror's files; held out examples are not trained on."""
    write_mirror(tmp_path)
    spec = spec_of(held_out=8)
    rows = count(tmp_path, spec)
    work, published = count_workload(spec, rows=rows), count_workload(spec)
    assert (work.train_steps, work.benchmark_tokens) == (8, 8 * TASK_TOKENS["squad"])
    assert published.benchmark_tokens == TASK_QUESTIONS["squad"] * TASK_TOKENS["squad"]
    assert published.train_steps == -(-(TASK_EXAMPLES["squad"] - 8) // 4)


def test_speeds_are_learned_from_what_was_asked(tmp_path: Path) -> None:
    """A past run over the mirror's questions tells how long as many take, not thousands."""
    write_mirror(tmp_path)
    spec = spec_of()
    speed = learn_speed([PastRun(spec, {"benchmarks": 4.0})], rows=count(tmp_path, spec))
    assert speed.benchmark_tokens_per_second == 2 * TASK_TOKENS["squad"]
    assert find_questions("squad", speed.rows).count == 8


def test_all_splits_of_a_task_are_there_or_none_counts(tmp_path: Path) -> None:
    """Of a task scored on two splits both are counted; with one elsewhere it is as published."""
    spec = spec_of("mnli", "classification")
    write_glue(tmp_path / "mirror", "mnli", train=9, validation_matched=3)
    assert count(tmp_path, spec) == RowCounts({("mnli", None): 9}, {})
    write_glue(tmp_path / "mirror", "mnli", validation_mismatched=4)
    assert count(tmp_path, spec).asked == {"mnli": 7}
    nowhere = count_tasks([spec], data_folder=tmp_path, mirror=None)
    assert nowhere == RowCounts()


def test_a_file_of_ones_own_is_no_guess(tmp_path: Path) -> None:
    """Its lines are counted; without it the published number stands, as a guess."""
    own = write_rows(tmp_path / "own.jsonl", *[squad_row("Where?", "the Alps")] * 12)
    spec = spec_of(source=str(own))
    assert count_workload(spec).is_guess
    work = count_workload(spec, rows=count(tmp_path, spec))
    assert (work.train_steps, work.is_guess) == (3, False)


def test_a_changed_file_is_counted_again(tmp_path: Path) -> None:
    """What was counted holds until size or time of the file change."""
    path = write_rows(tmp_path / "rows.jsonl", {"n": 1}, {"n": 2})
    assert count_rows(path, field="x") == 2
    moment = path.stat().st_mtime_ns
    path.write_text('{"n": 1}\n{"n"\n}')
    os.utime(path, ns=(moment, moment + 1))
    assert count_rows(path, field="x") == 3
