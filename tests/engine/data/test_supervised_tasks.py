"""Tasks of the other heads: what each row becomes, what is scored, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.data.supervised_rows import Document, Labelled, Passage
from engine.data.supervised_tasks import (
    GLUE,
    SPANS,
    SUMMARIES,
    SUPERVISED,
    SupervisedTask,
    load_measured,
    load_training,
)
from engine.data.tasks import TASKS, load_examples
from engine.errors import DataError
from engine.estimates.task_lengths import (
    TASK_EXAMPLES,
    TASK_LONGEST,
    TASK_QUESTIONS,
    TASK_TOKENS,
)
from engine.specs.data import TASKS_BY_HEAD, TaskData
from tests.engine.data.mirrors import (
    CONTEXT,
    GLUE_TEXTS,
    SUMMARY_COLUMNS,
    glue_row,
    squad_row,
    write_glue,
    write_rows,
    write_squad,
    write_summaries,
)


def train(
    folder: Path, entry: SupervisedTask[Any], mirror: Path | None = None, **values: Any
) -> Any:
    spec = TaskData.model_validate(values)
    return load_training(spec, entry, data_folder=folder, mirror=mirror)


def refuse(folder: Path, name: str, row: Any) -> str:
    """Return what is said of a row of one's own file."""
    task = {**GLUE, **SPANS, **SUMMARIES}[name]
    write_rows(folder / "own.jsonl", row)
    with pytest.raises(DataError) as caught:
        train(folder, task, task=name, source="own.jsonl")
    assert caught.value.field == "training.data.source"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_task_is_known() -> None:
    """Each task a spec can name has a source, and estimates of its length; each head its own."""
    named = {name for tasks in TASKS_BY_HEAD.values() for name in tasks}
    assert named == {*TASKS, *SUPERVISED}
    assert set(TASKS_BY_HEAD["classification"]) == set(GLUE)
    assert set(TASKS_BY_HEAD["span-qa"]) == set(SPANS)
    assert set(TASKS_BY_HEAD["seq2seq"]) == set(SUMMARIES)
    assert named == set(TASK_EXAMPLES) == set(TASK_TOKENS) == set(TASK_LONGEST)
    assert set(TASK_QUESTIONS) == set(SUPERVISED)


@pytest.mark.parametrize("name", GLUE)
def test_classes(tmp_path: Path, data_folder: Path, name: str) -> None:
    """A GLUE row becomes its texts in order and its class; stsb a number."""
    splits = ("train", *GLUE[name].measured)
    write_glue(tmp_path, name, **dict.fromkeys(splits, 4))
    examples, left_out = train(data_folder, GLUE[name], tmp_path, task=name)
    texts = tuple(f"{column} says 3 things" for column in GLUE_TEXTS[name])
    assert examples[3] == Labelled(texts, glue_row(name, 3)["label"])
    assert (len(examples), left_out) == (4, 0)
    measured = load_measured(name, GLUE[name], limit=None, mirror=tmp_path)
    assert [each.split for each in measured] == list(splits[1:])
    assert {each.examples for each in measured} == {examples}


def test_both_splits_of_mnli() -> None:
    """MNLI is scored on its matched split under the plain name and on the mismatched one."""
    assert dict(GLUE["mnli"].measured) == {
        "validation_matched": "",
        "validation_mismatched": " (mismatched)",
    }


def test_questions(tmp_path: Path, data_folder: Path) -> None:
    """A question becomes context, question and every answer with its place."""
    write_squad(tmp_path, train=[squad_row("Where?", "the Alps", "Alps")])
    (examples, _) = train(data_folder, SPANS["squad"], tmp_path, task="squad")
    assert examples == (Passage(CONTEXT, "Where?", (("the Alps", 19), ("Alps", 23))),)


def test_unanswerable(tmp_path: Path, data_folder: Path) -> None:
    """A question without an answer is none of SQuAD v1.1's: it is left out and counted."""
    rows = [squad_row("a"), squad_row("b", "Alps"), squad_row("c"), squad_row("d", "Rhine")]
    write_squad(tmp_path, train=rows, validation=rows)
    examples, left_out = train(data_folder, SPANS["squad"], tmp_path, task="squad")
    assert ([example.question for example in examples], left_out) == (["b", "d"], 2)
    (measured,) = load_measured("squad", SPANS["squad"], limit=1, mirror=tmp_path)
    assert [example.question for example in measured.examples] == ["b"]
    assert (measured.is_limited, measured.left_out) == (True, 2)


@pytest.mark.parametrize("name", SUMMARIES)
def test_summaries(tmp_path: Path, data_folder: Path, name: str) -> None:
    """A text and its summary are read from the columns of the data set; the test split scores."""
    write_summaries(tmp_path, name, train=[("long", "short")], test=[("more", "less")])
    (examples, _) = train(data_folder, SUMMARIES[name], tmp_path, task=name)
    assert examples == (Document("long", "short"),)
    (measured,) = load_measured(name, SUMMARIES[name], limit=None, mirror=tmp_path)
    assert (measured.split, measured.examples) == ("test", (Document("more", "less"),))
    assert measured.source == " ".join(SUMMARY_COLUMNS[name][0].rsplit("/", 1))


@pytest.mark.parametrize(
    ("limit", "is_limited"), [(2, True), (3, False), (4, False), (None, False)]
)
def test_limit(tmp_path: Path, limit: int | None, *, is_limited: bool) -> None:
    """A limit takes the first examples, and says so only where there were more."""
    write_glue(tmp_path, "rte", validation=3)
    (found,) = load_measured("rte", GLUE["rte"], limit=limit, mirror=tmp_path)
    assert (len(found.examples), found.is_limited) == (min(limit or 3, 3), is_limited)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("sst2", {"label": -1}, "the label is -1: GLUE keeps the answers of its test splits"),
        ("sst2", {"label": 2}, "the label is 2; accepted are 0 (negative), 1 (positive)"),
        ("sst2", {"label": 0.5}, "the label is 0.5; accepted are 0 (negative)"),
        ("sst2", {"label": True}, "the label is no number"),
        ("sst2", {"label": "positive"}, "the label is no number"),
        ("sst2", {"sentence": " "}, "sentence hold no text"),
        ("rte", {"sentence2": None}, "sentence2 holds no text"),
        ("stsb", {"label": 5.5}, "the label is 5.5; accepted is a number from 0 to 5"),
        ("stsb", {"label": -1.0}, "the label is -1: GLUE keeps"),
        ("stsb", {"label": float("nan")}, "the label is nan; accepted is a number"),
        ("squad", {"context": "Elsewhere."}, "the answer 'Alps' is not at character 23"),
        ("squad", {"answers": ["Alps"]}, "its values are of another shape"),
        (
            "squad",
            {"answers": {"text": ["x"], "answer_start": []}},
            "it has 1 answers and 0 places",
        ),
        ("xsum", {"summary": 3}, "summary holds no text"),
    ],
)
def test_bad_rows(data_folder: Path, name: str, change: dict[str, Any], sentence: str) -> None:
    """A row that makes no sense is one sentence that says where, why and what is accepted."""
    good = {
        "squad": squad_row("Where?", "Alps"),
        "xsum": {"document": "long", "summary": "short"},
    }
    row = {**(good[name] if name in good else glue_row(name)), **change}
    told = refuse(data_folder, name, row)
    assert "line 1 of own.jsonl is no example" in told
    assert sentence in told


def test_one_empty_text_of_a_pair(data_folder: Path) -> None:
    """A pair may lack one of its texts, as some of QQP do."""
    write_rows(data_folder / "own.jsonl", glue_row("qqp", question2=""))
    ((example,), _) = train(data_folder, GLUE["qqp"], task="qqp", source="own.jsonl")
    assert example.texts[1] == ""


def test_columns_and_empty_files(data_folder: Path) -> None:
    """A missing column is told with those there are; a file of no rows is told."""
    assert "has no column 'sentence'; its columns are text" in refuse(
        data_folder, "cola", {"text": 1}
    )
    (data_folder / "none.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"no example in none\.jsonl"):
        train(data_folder, GLUE["cola"], task="cola", source="none.jsonl")


def test_out_of_reach(tmp_path: Path) -> None:
    """A split the mirror lacks and a data set nobody has are told at the benchmarks."""
    write_glue(tmp_path, "mnli", validation_matched=1)
    with pytest.raises(DataError, match="no split 'validation_mismatched' in the mirror") as caught:
        load_measured("mnli", GLUE["mnli"], limit=None, mirror=tmp_path)
    assert caught.value.field == "evaluation.benchmarks"
    with pytest.raises(DataError, match="EdinburghNLP/xsum is not in the local cache and the hub"):
        load_measured("xsum", SUMMARIES["xsum"], limit=None, mirror=tmp_path)


def test_not_for_causal_lm(data_folder: Path) -> None:
    """Asking for such a task as questions with candidates is refused with those that have them."""
    with pytest.raises(DataError, match="sst2 is not for causal-lm heads; choose openbookqa"):
        load_examples(
            TaskData(task="sst2"), split="train", field="training.data", data_folder=data_folder,
            mirror=None,
        )  # fmt: skip


def test_real_mirror(data_mirror: Path, data_folder: Path) -> None:
    """Every row of the real sst2 and squad is read; answers stand where they are said to."""
    examples, _ = train(data_folder, GLUE["sst2"], data_mirror, task="sst2")
    assert {example.label for example in examples} == {0.0, 1.0}
    assert len(examples) > 60_000
    passages, left_out = train(data_folder, SPANS["squad"], data_mirror, task="squad")
    assert len(passages) + left_out == 1_083
    (measured,) = load_measured("squad", SPANS["squad"], limit=None, mirror=data_mirror)
    assert len(measured.examples) + measured.left_out == 324
