"""Tasks: what each becomes as text, where its rows come from, and what is said where none are."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from engine.data.tasks import TASKS, Example, load_examples, split_held_out
from engine.errors import DataError
from engine.specs.data import TaskData, TaskName

FIELD = "training.data"
CHOICES = {"text": ["ice", "fire"], "label": ["A", "B"]}
ROWS: dict[TaskName, dict[str, Any]] = {
    "openbookqa": {"question_stem": "Cold is", "choices": CHOICES, "answerKey": "A"},
    "arc_easy": {
        "question": "What is hot?",
        "choices": {"text": ["ice", "fire"], "label": ["1", "2"]},
        "answerKey": "2",
    },
    "arc_challenge": {"question": "What is hot?", "choices": CHOICES, "answerKey": "B"},
    "winogrande": {
        "sentence": "Ann left Bea because _, alas, was late.",
        "option1": "Ann",
        "option2": "Bea",
        "answer": "2",
    },
    "hellaswag": {
        "activity_label": "Tying",
        "ctx_a": "[header] How to tie [title] Begin  now.",
        "ctx_b": "you",
        "endings": ["stop.", "pull [substeps] hard.", "a", "b"],
        "label": "1",
    },
    "gsm8k": {"question": "1+1?", "answer": "It is <<1+1=2>>2.\n#### 2"},
}
TEXTS: dict[TaskName, str] = {
    "openbookqa": "Cold is ice",
    "arc_easy": "Question: What is hot?\nAnswer: fire",
    "arc_challenge": "Question: What is hot?\nAnswer: fire",
    "winogrande": "Ann left Bea because Bea, alas, was late.",
    "hellaswag": "Tying: How to tie. Begin now. You pull hard.",
    "gsm8k": "Question: 1+1?\nAnswer: It is <<1+1=2>>2.\n#### 2",
}


def load(
    folder: Path, split: Any = "train", *, mirror: Path | None = None, **values: Any
) -> tuple[Example, ...]:
    spec = TaskData.model_validate(values)
    return load_examples(spec, split=split, field=FIELD, data_folder=folder, mirror=mirror)


def refuse(folder: Path, split: Any = "train", **values: Any) -> tuple[str, str]:
    with pytest.raises(DataError) as caught:
        load(folder, split, **values)
    assert "\n" not in str(caught.value)
    return caught.value.field, str(caught.value)


def write(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("name", TASKS)
def test_published_text(data_folder: Path, name: TaskName) -> None:
    """Each task's training text is the published one, made of a context and a continuation."""
    write(data_folder / "own.jsonl", ROWS[name])
    (example,) = load(data_folder, task=name, source="own.jsonl")
    assert example.text == TEXTS[name]
    assert len({len(pair) for pair in example.candidates}) == 1


def test_partial_evaluation(data_folder: Path) -> None:
    """WinoGrande's candidates differ in the context and share what comes after the blank."""
    write(data_folder / "own.jsonl", ROWS["winogrande"])
    (example,) = load(data_folder, task="winogrande", source="own.jsonl")
    contexts, continuations = zip(*example.candidates, strict=True)
    assert contexts == ("Ann left Bea because Ann", "Ann left Bea because Bea")
    assert set(continuations) == {", alas, was late."}


def test_parquet(data_folder: Path) -> None:
    """A parquet file gives what the same rows in a .jsonl file give."""
    write(data_folder / "own.jsonl", ROWS["arc_easy"])
    parquet.write_table(pyarrow.Table.from_pylist([ROWS["arc_easy"]]), data_folder / "own.parquet")
    lines = load(data_folder, task="arc_easy", source="own.jsonl")
    assert load(data_folder, task="arc_easy", source="own.parquet") == lines


@pytest.mark.parametrize("name", ["openbookqa", "arc_easy", "arc_challenge", "winogrande", "gsm8k"])
def test_real_mirror(data_mirror: Path, data_folder: Path, name: TaskName) -> None:
    """Every row of the real data sets is an example with its right answer among several."""
    found = load(data_folder, mirror=data_mirror, task=name)
    assert len(found) >= 400
    assert {example.gold < len(example.candidates) for example in found} == {True}
    assert {len(example.candidates) > 1 for example in found} == {name != "gsm8k"}


def test_debiased_first(tmp_path: Path, data_folder: Path) -> None:
    """WinoGrande trains on the debiased part, and on the whole where the mirror has only that."""
    folder = tmp_path / "mirror" / "allenai" / "winogrande"
    write(folder / "winogrande_xl" / "train.jsonl", ROWS["winogrande"])
    assert len(load(data_folder, mirror=tmp_path / "mirror", task="winogrande")) == 1
    write(folder / "winogrande_debiased" / "train.jsonl", *[ROWS["winogrande"]] * 2)
    assert len(load(data_folder, mirror=tmp_path / "mirror", task="winogrande")) == 2


def test_hub_library(tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task outside the mirror goes through the datasets library."""
    write(tmp_path / "openai" / "gsm8k" / "main" / "train.jsonl", ROWS["gsm8k"])
    card = "---\nconfigs:\n- config_name: main\n  data_files: main/*.jsonl\n---\n"
    (tmp_path / "openai" / "gsm8k" / "README.md").write_text(card)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    (example,) = load(data_folder, task="gsm8k")
    assert example.text == TEXTS["gsm8k"]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ([1], 'is not a JSON object; accepted is {"question_stem": "...", "choices": "..."'),
        ({"question_stem": "x"}, "line 1 of own.jsonl has no column 'choices'; its columns are q"),
        ({**ROWS["openbookqa"], "answerKey": "E"}, "the answer 'E' is none of A, B"),
        ({**ROWS["openbookqa"], "choices": ["ice"]}, "its values are of another shape; accepted"),
        ({**ROWS["openbookqa"], "question_stem": " "}, "a question or an answer is empty"),
        ({**ROWS["openbookqa"], "question_stem": None}, "question_stem holds no text"),
        (
            {**ROWS["openbookqa"], "choices": {"text": ["ice"], "label": ["A", "B"]}},
            "it has 1 choices and 2 labels",
        ),
    ],
)
def test_bad_rows(data_folder: Path, row: Any, sentence: str) -> None:
    """A row that makes no sense is one sentence that says where and why."""
    write(data_folder / "own.jsonl", row)
    field, text = refuse(data_folder, source="own.jsonl")
    assert (field, sentence in text) == ("training.data.source", True)


def test_other_bad_rows(data_folder: Path) -> None:
    """A sentence without a blank and a label out of range are told."""
    write(data_folder / "a.jsonl", {**ROWS["winogrande"], "sentence": "No blank."})
    assert "no blank (_)" in refuse(data_folder, task="winogrande", source="a.jsonl")[1]
    write(data_folder / "b.jsonl", {**ROWS["hellaswag"], "label": "4"})
    assert "'4' is none of 0, 1, 2, 3" in refuse(data_folder, task="hellaswag", source="b.jsonl")[1]
    write(data_folder / "d.jsonl", {**ROWS["hellaswag"], "endings": "abcd"})
    assert "endings holds no list" in refuse(data_folder, task="hellaswag", source="d.jsonl")[1]
    write(data_folder / "e.jsonl", {**ROWS["gsm8k"], "answer": None})
    assert "answer holds no text" in refuse(data_folder, task="gsm8k", source="e.jsonl")[1]
    (data_folder / "c.jsonl").write_text("\n")
    assert "there is no example in c.jsonl" in refuse(data_folder, source="c.jsonl")[1]


def test_no_such_split(tmp_path: Path, data_folder: Path, data_mirror: Path) -> None:
    """A task, mirror or file without the split is told with what there is."""
    field, text = refuse(data_folder, "validation", task="gsm8k")
    assert field == "training.data.task"
    assert "gsm8k has no validation split; it has train, test; hold training examples" in text
    field, text = refuse(data_folder, "validation", mirror=data_mirror, task="openbookqa")
    assert field == "training.data.task"
    assert "no split 'validation' in the mirror; it has test, train" in text
    write(data_folder / "own.jsonl", ROWS["openbookqa"])
    field, text = refuse(data_folder, "validation", source="own.jsonl")
    assert (field, "has no validation split; hold examples out" in text) == (
        "training.data.source",
        True,
    )


def test_no_file(tmp_path: Path, data_folder: Path) -> None:
    """A missing file, one of another kind, and a task out of reach are told at their field."""
    field, text = refuse(data_folder, source="no.jsonl")
    assert field == "training.data.source"
    assert "accepted is a .jsonl or .parquet file with the columns question_stem" in text
    (data_folder / "own.txt").write_text("x")
    assert "accepted are .jsonl, .parquet" in refuse(data_folder, source="own.txt")[1]
    field, text = refuse(data_folder, task="hellaswag", mirror=tmp_path)
    assert field == "training.data.task"
    assert "Rowan/hellaswag is not in the local cache and the hub cannot be reached" in text


@given(count=st.integers(1, 200), share=st.floats(0, 1, exclude_max=True))
def test_held_out(count: int, share: float) -> None:
    """Held-out examples are as many as asked, spread evenly, and none is trained on."""
    held_out = int(share * count)
    examples = tuple(Example(((str(place), " x"),), 0) for place in range(count))
    kept, held = split_held_out(examples, held_out)
    assert len(held) == held_out
    assert sorted(kept + held, key=examples.index) == list(examples)
    places = [examples.index(example) for example in held]
    gaps = {after - before for before, after in pairwise(places)}
    assert places == sorted(places)
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_nothing_left() -> None:
    """Holding out every example is refused with the most there could be."""
    examples = (Example((("a", " b"),), 0),) * 3
    with pytest.raises(DataError, match="3 of 3 examples cannot be held out; at most 2 can"):
        split_held_out(examples, 3)


def test_light_until_needed() -> None:
    """Naming tasks loads no heavy library."""
    code = "import sys, engine.data.tasks; print({'torch', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
