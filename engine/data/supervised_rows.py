"""From a row of a data set to what a head learns of it: a class, a stretch of text, a summary.

A reader raises ValueError with the reason where a row makes no sense, and returns None for a row
that is none of the task's. The causal tasks' readers are `task_rows`. Start with `read_labelled`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

SPAN_COLUMNS = ("context", "question", "answers")
UNLABELLED = -1
HIGHEST_SIMILARITY = 5.0


class Labelled(NamedTuple):
    """One text or a pair of texts, with its class; a number where that is what is asked."""

    texts: tuple[str, ...]
    label: float


class Passage(NamedTuple):
    """A question on a text that holds the answer.

    Attributes:
        context: The text.
        question: What is asked.
        answers: Each right answer with the place of its first character; the first is learned.
    """

    context: str
    question: str
    answers: tuple[tuple[str, int], ...]


class Document(NamedTuple):
    """A text and its summary."""

    text: str
    summary: str


def read_labelled(row: dict[str, Any], columns: Sequence[str], labels: Sequence[str]) -> Labelled:
    """Read the texts of `columns` and the class; a similarity of 0 to 5 where `labels` is empty."""
    texts = tuple(_text(row, column) for column in columns)
    if not any(text.strip() for text in texts):
        raise ValueError(f"{' and '.join(columns)} hold no text")
    value = row["label"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the label is no number; {_accepted(labels)}")
    if value == UNLABELLED:
        raise ValueError(
            f"the label is {UNLABELLED}: GLUE keeps the answers of its test splits to itself; "
            f"{_accepted(labels)}"
        )
    if not _is_label(value, labels):
        raise ValueError(f"the label is {value}; {_accepted(labels)}")
    return Labelled(texts, float(value))


def read_passage(row: dict[str, Any]) -> Passage | None:
    """Read a question of SQuAD v1.1; None for one without an answer, which only v2.0 has."""
    context, answers = _text(row, "context"), row["answers"]
    texts, starts = answers["text"], answers["answer_start"]
    if len(texts) != len(starts):
        raise ValueError(f"it has {len(texts)} answers and {len(starts)} places")
    if not texts:
        return None
    for text, start in zip(texts, starts, strict=True):
        if not text or context[start : start + len(text)] != text:
            raise ValueError(f"the answer {text[:40]!r} is not at character {start} of the context")
    return Passage(context, _text(row, "question"), tuple(zip(texts, starts, strict=True)))


def read_document(row: dict[str, Any], text: str, summary: str) -> Document:
    """Read a text and its summary from the columns of these names."""
    return Document(_text(row, text), _text(row, summary))


def _is_label(value: float, labels: Sequence[str]) -> bool:
    if labels:
        return value in range(len(labels))
    return math.isfinite(value) and 0 <= value <= HIGHEST_SIMILARITY


def _accepted(labels: Sequence[str]) -> str:
    if not labels:
        return f"accepted is a number from 0 to {HIGHEST_SIMILARITY:g}"
    named = (f"{place} ({name})" for place, name in enumerate(labels))
    return f"accepted are {', '.join(named)}"


def _text(row: dict[str, Any], column: str) -> str:
    """Return a column's text; a missing value must not become the word None."""
    value = row[column]
    if not isinstance(value, str):
        raise ValueError(f"{column} holds no text")
    return value
