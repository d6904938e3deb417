"""Texts from files on this machine: .txt, .jsonl and .parquet. Start with `read_documents`.

A .txt file is one document per blank-line-separated paragraph block; a .jsonl or .parquet file is
one document per row, read from one column. Empty rows are dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import DataError

SUFFIXES = (".txt", ".jsonl", ".parquet")


def read_documents(path: Path, *, text_field: str, field: str) -> tuple[str, ...]:
    """Read the documents of a file; `field` is the spec field an error is reported at.

    Raises:
        DataError: When the file is unreadable, not UTF-8, malformed, empty, or lacks the column.
    """
    readers = {".txt": _iter_txt, ".jsonl": _iter_jsonl, ".parquet": _iter_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path.name} is not a file of a known kind; accepted are {', '.join(SUFFIXES)}",
            field=f"{field}.source",
        )
    try:
        found = tuple(text for text in reader(path, text_field, field) if text.strip())
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8",
            field=f"{field}.source",
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}", field=f"{field}.source"
        ) from error
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
    if not isinstance(row, dict):
        raise DataError(
            f'{where} is not a JSON object; accepted is {{"{text_field}": "..."}}',
            field=f"{field}.source",
        )
    if text_field not in row:
        raise DataError(
            f"{where} has no column {text_field!r}; its columns are {', '.join(map(str, row))}",
            field=f"{field}.text_field",
        )
    if not isinstance(row[text_field], str):
        texts = [str(name) for name, value in row.items() if isinstance(value, str)]
        raise DataError(
            f"the column {text_field!r} of {where} holds no text; columns with text: "
            f"{', '.join(texts) or 'none'}",
            field=f"{field}.text_field",
        )
    return str(row[text_field])


def _iter_txt(path: Path, _text_field: str, _field: str) -> Iterator[str]:
    text = path.read_text(encoding="utf-8-sig")
    block: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.strip():
            block.append(line)
        elif block:
            yield "".join(block)
            block = []
    if block:
        yield "".join(block)


def _iter_jsonl(path: Path, text_field: str, field: str) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"line {number} of {path.name}"
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise DataError(
                    f"{where} is not JSON; accepted is one JSON object per line",
                    field=f"{field}.source",
                ) from error
            yield take_text(row, text_field, where=where, field=field)


def _iter_parquet(path: Path, text_field: str, field: str) -> Iterator[str]:
    import pyarrow  # noqa: PLC0415  heavy, and only this kind of file needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        columns = parquet.read_schema(path).names
        if text_field not in columns:
            raise DataError(
                f"{path.name} has no column {text_field!r}; its columns are {', '.join(columns)}",
                field=f"{field}.text_field",
            )
        table = parquet.read_table(path, columns=[text_field])
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a whole parquet file", field=f"{field}.source") from error
    for number, text in enumerate(table.column(text_field).to_pylist(), start=1):
        row = {text_field: text}
        yield take_text(row, text_field, where=f"row {number} of {path.name}", field=field)
