"""What is told of data before launch: the readers' own sentences, and nothing where it is fine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from engine.data.corpora import load_documents
from engine.data.supervised_tasks import GLUE, load_measured, load_training
from engine.data.task_check import check_data, check_measured
from engine.data.tasks import load_examples, split_held_out
from engine.errors import DataError, Problem
from engine.specs.data import DataSpec, TaskData
from tests.engine.data.mirrors import write_glue

FIELD = "training.data"
ROW = {"question": "1+1?", "answer": "2"}
LONG = "x" * 300


def write(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([json.dumps(ROW)] * count) + "\n\n")


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror that has a task's training split, another's test split, and a text's test split."""
    folder = tmp_path / "mirror"
    write(folder / "openai" / "gsm8k" / "main" / "train.jsonl", 3)
    write(folder / "allenai" / "openbookqa" / "main" / "test.jsonl", 3)
    write(folder / "Rowan" / "hellaswag" / "other" / "train.jsonl", 3)
    write_glue(folder, "rte", train=3, validation=1)
    write_glue(folder, "mnli", validation_matched=1)
    write(folder / "org" / "name" / "plain" / "test.jsonl", 3)
    return folder


@pytest.fixture
def files(data_folder: Path) -> Path:
    """A data folder with a file of three rows, one of none, and files of other kinds."""
    write(data_folder / "own.jsonl", 3)
    write(data_folder / "empty.jsonl", 0)
    (data_folder / "own.csv").write_text("x")
    parquet.write_table(
        pyarrow.table({"question": ["a"], "answer": ["b"]}), data_folder / "p.parquet"
    )
    (data_folder / "broken.parquet").write_text("PAR1")
    return data_folder


def load(spec: TaskData | DataSpec, files: Path, mirror: Path | None) -> None:
    """Read the data as a worker does."""
    if isinstance(spec, TaskData) and spec.task in GLUE:
        found, _ = load_training(spec, GLUE[spec.task], data_folder=files, mirror=mirror)
        split_held_out(found, spec.held_out)
    elif isinstance(spec, TaskData):
        examples = load_examples(spec, split="train", field=FIELD, data_folder=files, mirror=mirror)
        split_held_out(examples, spec.held_out)
    else:
        load_documents(spec, field=FIELD, data_folder=files, mirror=mirror)


def own(source: str, held_out: int = 0) -> TaskData:
    return TaskData(task="gsm8k", source=source, held_out=held_out)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (own("typo.jsonl"), "source"),
        (own("own.csv"), "source"),
        (own("own.jsonl", 3), "held_out"),
        (own("empty.jsonl", 1), "source"),
        (own("p.parquet", 9), "held_out"),
        (own("broken.parquet", 1), "source"),
        (TaskData(task="gsm8k", held_out=3), "held_out"),
        (TaskData(task="openbookqa"), "task"),
        (TaskData(task="hellaswag"), "task"),
        (TaskData(task="openbookqa", source="own.jsonl"), "source"),
        (TaskData(task="openbookqa", source="p.parquet"), "source"),
        (TaskData(task="rte", source="typo.jsonl"), "source"),
        (TaskData(task="rte", source="own.jsonl"), "source"),
        (TaskData(task="rte", held_out=3), "held_out"),
        (TaskData(task="mnli"), "task"),
        (TaskData(task="cola"), "task"),
        (DataSpec(source="typo.jsonl"), "source"),
        (DataSpec(source="/no/such"), "source"),
        (DataSpec(source="own.csv"), "source"),
        (DataSpec(source="bundled:x"), "source"),
        (DataSpec(source="bundled:python-docs", split="dev"), "split"),
        (DataSpec(source="org/name"), "split"),
        (DataSpec(source="org/name", config="fancy"), "config"),
    ],
)
def test_told_as_the_reader_would(
    files: Path, mirror: Path, *, spec: TaskData | DataSpec, field: str
) -> None:
    """What would fail in the worker is told before, at the same field in the same words."""
    (problem,) = check_data(spec, data_folder=files, mirror=mirror, field=FIELD)
    with pytest.raises(DataError) as later:
        load(spec, files, mirror)
    assert problem == Problem(later.value.field, later.value.args[0])
    assert problem.field == f"{FIELD}.{field}"


@pytest.mark.parametrize(
    "spec",
    [
        own("own.jsonl", 2),
        own("empty.jsonl"),
        TaskData(task="gsm8k", held_out=2),
        TaskData(task="arc_easy", held_out=2_250),
        TaskData(task="rte", held_out=2),
        TaskData(task="xsum", held_out=100),
        DataSpec(source="own.jsonl"),
        DataSpec(source="org/name", split="test"),
        DataSpec(source="org/unknown"),
        DataSpec(),
    ],
)
def test_nothing_is_told_of_what_may_be_fine(
    files: Path, mirror: Path, spec: TaskData | DataSpec
) -> None:
    """Good data, and what only the worker or the hub can tell, is not refused."""
    assert check_data(spec, data_folder=files, mirror=mirror, field=FIELD) == ()


def test_the_hub_s_examples_are_counted_from_memory(files: Path) -> None:
    """Without a mirror a task's own data set has as many examples as published."""
    spec = TaskData(task="openbookqa", held_out=50_000)
    (problem,) = check_data(spec, data_folder=files, mirror=None, field=FIELD)
    assert problem.field == "training.data.held_out"
    assert problem.message == "50000 of 4957 examples cannot be held out; at most 4956 can"


@pytest.mark.parametrize("spec", [own(LONG), DataSpec(source=LONG)])
def test_a_name_no_file_can_have(files: Path, spec: Any) -> None:
    """A name that is too long is a sentence at the field, not an error of the system."""
    (problem,) = check_data(spec, data_folder=files, mirror=None, field=FIELD)
    assert problem == Problem(f"{FIELD}.source", f"{LONG[:60]} cannot be read: File name too long")


def test_what_a_head_is_measured_on(mirror: Path) -> None:
    """A measured split the mirror lacks is told as its reader would; other names are not ours."""
    (problem,) = check_measured(("rte", "mnli", "xsum", "arc_easy"), mirror=mirror)
    with pytest.raises(DataError) as later:
        load_measured("mnli", GLUE["mnli"], limit=None, mirror=mirror)
    assert problem == Problem("evaluation.benchmarks", later.value.args[0])


def test_light() -> None:
    """Checking loads no heavy library."""
    code = (
        "import sys, engine.data.task_check;"
        "print({'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
