"""Small made-up mirrors of the tasks that heads other than causal-lm learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GLUE_TEXTS: dict[str, tuple[str, ...]] = {
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "stsb": ("sentence1", "sentence2"),
    "mnli": ("premise", "hypothesis"),
    "qnli": ("question", "sentence"),
    "rte": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
}
CONTEXT = "The Rhine rises in the Alps. It ends in the North Sea, 1,233 km later."
SUMMARY_COLUMNS = {
    "cnn_dailymail": ("abisee/cnn_dailymail/3.0.0", "article", "highlights"),
    "xsum": ("EdinburghNLP/xsum/default", "document", "summary"),
}


def write_rows(path: Path, *rows: Any) -> Path:
    """Write rows as .jsonl."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def glue_row(task: str, number: int = 0, **values: Any) -> dict[str, Any]:
    """Return a row of a GLUE task; its label goes round the classes."""
    texts = {column: f"{column} says {number} things" for column in GLUE_TEXTS[task]}
    label: float = number / 2 if task == "stsb" else number % (3 if task == "mnli" else 2)
    return {**texts, "label": label, "idx": number, **values}


def squad_row(question: str, *answers: str, context: str = CONTEXT) -> dict[str, Any]:
    """Return a question of SQuAD; answers stand where they are first found."""
    places = [context.index(answer) for answer in answers]
    told = {"text": list(answers), "answer_start": places}
    return {"id": question, "title": "", "context": context, "question": question, "answers": told}


def write_glue(mirror: Path, task: str, **splits: int) -> None:
    """Write so many rows of each split of a GLUE task."""
    for split, count in splits.items():
        rows = [glue_row(task, number) for number in range(count)]
        write_rows(mirror / "nyu-mll" / "glue" / task / f"{split}.jsonl", *rows)


def write_squad(mirror: Path, **splits: list[dict[str, Any]]) -> None:
    """Write the rows of each split of SQuAD."""
    for split, rows in splits.items():
        write_rows(mirror / "rajpurkar" / "squad" / "plain_text" / f"{split}.jsonl", *rows)


def write_summaries(mirror: Path, task: str, **splits: list[tuple[str, str]]) -> None:
    """Write the (text, summary) pairs of each split of a summarization task."""
    folder, text, summary = SUMMARY_COLUMNS[task]
    for split, pairs in splits.items():
        rows = [{text: whole, summary: short} for whole, short in pairs]
        write_rows(mirror / folder / f"{split}.jsonl", *rows)
