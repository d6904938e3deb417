"""Texts from files on this machine: .txt, .jsonl and .parquet. Start with `read_documents`.

A .txt file is one document per blank-line-separated paragraph block; a .jsonl or .parquet file is
one document per row, read from one column. Empty rows are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.data.row_files import ROW_SUFFIXES, check_row, iter_rows, not_utf8, unreadable
from engine.errors import DataError

SUFFIXES = (".txt", *ROW_SUFFIXES)


def read_documents(path: Path, *, text_field: str, field: str) -> tuple[str, ...]:
    """Read the documents of a file; `field` is the spec field an error is reported at.

    Raises:
        DataError: When the file is unreadable, not UTF-8, malformed, empty, or lacks the column.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"{path.name} is not a file of a known kind; accepted are {', '.join(SUFFIXES)}",
            field=f"{field}.source",
        )
    texts = _iter_txt(path, field) if suffix == ".txt" else _iter_column(path, text_field, field)
    found = tuple(text for text in texts if text.strip())
    if not found:
        raise DataError(
            f"{path} holds no text; accepted is a file with at least one document that is not "
            "empty",
            field=f"{field}.source",
        )
    return found


def take_text(row: Any, text_field: str, *, where: str, field: str) -> str:
    """Return the text of a row.

    Raises:
        DataError: When the row has no such column or it holds no text; lists what there is.
    """
    column_field = f"{field}.text_field"
    row = check_row(
        row, (text_field,), where=where, field=f"{field}.source", column_field=column_field
    )
    if not isinstance(row[text_field], str):
        texts = [str(name) for name, value in row.items() if isinstance(value, str)]
        raise DataError(
            f"the column {text_field!r} of {where} holds no text; columns with text: "
            f"{', '.join(texts) or 'none'}",
            field=column_field,
        )
    return str(row[text_field])


def _iter_column(path: Path, text_field: str, field: str) -> Iterator[str]:
    rows = iter_rows(
        path, (text_field,), field=f"{field}.source", column_field=f"{field}.text_field"
    )
    for where, row in rows:
        yield take_text(row, text_field, where=where, field=field)


def _iter_txt(path: Path, field: str) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, f"{field}.source") from error
    except OSError as error:
        raise unreadable(path, error, f"{field}.source") from error
    block: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.strip():
            block.append(line)
        elif block:
            yield "".join(block)
            block = []
    if block:
        yield "".join(block)
