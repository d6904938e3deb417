"""From a row of a task's data set to its possible answers, one function per task.

The wording is that of lm-eval's prompts, so that training and benchmark ask alike. A continuation
starts with the space lm-eval puts between question and answer. A reader raises ValueError with the
reason where a row makes no sense. Start with `read_openbookqa`, the shortest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Candidates = tuple[tuple[str, str], ...]
RowReader = Callable[[dict[str, Any]], tuple[Candidates, int]]

OPENBOOKQA_COLUMNS = ("question_stem", "choices", "answerKey")
ARC_COLUMNS = ("question", "choices", "answerKey")
WINOGRANDE_COLUMNS = ("sentence", "option1", "option2", "answer")
HELLASWAG_COLUMNS = ("activity_label", "ctx_a", "ctx_b", "endings", "label")
GSM8K_COLUMNS = ("question", "answer")
BLANK = "_"
_BRACKETS = re.compile(r"\[.*?\]")


def read_openbookqa(row: dict[str, Any]) -> tuple[Candidates, int]:
    """Continue the stem with each choice."""
    return _choices(_text(row, "question_stem"), row)


def read_arc(row: dict[str, Any]) -> tuple[Candidates, int]:
    """Ask the question and answer with each choice; labels are letters or digits."""
    return _choices(f"Question: {_text(row, 'question')}\nAnswer:", row)


def read_winogrande(row: dict[str, Any]) -> tuple[Candidates, int]:
    """Fill the blank with each option and score what comes after it ("partial evaluation").

    The source is Trinh and Le (2018, arXiv:1806.02847). What follows the blank keeps its own
    spacing, so that the text is the sentence; lm-eval always puts a space there, which differs
    where a comma follows.
    """
    sentence = _text(row, "sentence")
    before, blank, after = sentence.partition(BLANK)
    if not blank or not after.strip():
        raise ValueError(f"the sentence has no blank ({BLANK}) with text after it")
    gold = _place(str(row["answer"]).strip(), ["1", "2"])
    options = (_text(row, "option1"), _text(row, "option2"))
    return tuple((before + option, after.rstrip()) for option in options), gold


def read_hellaswag(row: dict[str, Any]) -> tuple[Candidates, int]:
    """Continue the activity's beginning with each ending."""
    words = {column: _text(row, column) for column in ("activity_label", "ctx_a", "ctx_b")}
    beginning = f"{words['activity_label']}: {words['ctx_a']} {words['ctx_b'].capitalize()}"
    endings = _texts(row, "endings")
    gold = _place(str(row["label"]).strip(), [str(place) for place in range(len(endings))])
    context = clean_wikihow(beginning)
    return tuple((context, f" {clean_wikihow(ending)}") for ending in endings), gold


def read_gsm8k(row: dict[str, Any]) -> tuple[Candidates, int]:
    """Ask the question and answer with the whole solution, its "#### number" included."""
    return ((f"Question: {_text(row, 'question')}\nAnswer:", f" {_text(row, 'answer')}"),), 0


def clean_wikihow(text: str) -> str:
    """Turn WikiHow's marks into prose: titles become sentences, other brackets go."""
    prose = text.strip().replace(" [title]", ". ")
    return _BRACKETS.sub("", prose).replace("  ", " ")


def _choices(context: str, row: dict[str, Any]) -> tuple[Candidates, int]:
    texts, labels = _texts(row["choices"], "text"), _texts(row["choices"], "label")
    if len(texts) != len(labels):
        raise ValueError(f"it has {len(texts)} choices and {len(labels)} labels")
    gold = _place(str(row["answerKey"]).strip(), labels)
    return tuple((context, f" {text}") for text in texts), gold


def _text(row: dict[str, Any], column: str) -> str:
    """Return a column's text; a missing value must not become the word None."""
    value = row[column]
    if not isinstance(value, str):
        raise ValueError(f"{column} holds no text")
    return value


def _texts(row: dict[str, Any], column: str) -> list[str]:
    """Return a column's texts; one text must not become its letters."""
    values = row[column]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{column} holds no list of texts")
    return values


def _place(label: str, labels: list[str]) -> int:
    if label not in labels:
        raise ValueError(f"the answer {label!r} is none of {', '.join(labels)}")
    return labels.index(label)
