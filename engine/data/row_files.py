"""Rows of .jsonl and .parquet files on this machine, each with the place it stands at.

What a row means (a text, an example of a task) is for others to say. Start with `iter_rows`.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import DataError

ROW_SUFFIXES = (".jsonl", ".parquet")


def iter_rows(
    path: Path, columns: Sequence[str] | None, *, field: str, column_field: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row with where it stands ("line 3 of train.jsonl").

    Args:
        path: A .jsonl or .parquet file.
        columns: What every row must have and, where the file is one of columns, all that is read;
            None for every column.
        field: The spec field an error of the file is reported at.
        column_field: The spec field a missing column is reported at.

    Raises:
        DataError: When the file is unreadable, not UTF-8, malformed, or lacks a column.
    """
    reader = _iter_parquet if path.suffix.lower() == ".parquet" else _iter_jsonl

    def check(row: Any, where: str) -> dict[str, Any]:
        return check_row(row, columns or (), where=where, field=field, column_field=column_field)

    try:
        yield from reader(path, columns, check, field=field)
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, field) from error
    except OSError as error:
        raise unreadable(path, error, field) from error


def check_row(
    row: Any, columns: Sequence[str], *, where: str, field: str, column_field: str
) -> dict[str, Any]:
    """Return the row when it is a mapping that has the columns.

    Raises:
        DataError: When it is not or has not; lists what there is.
    """
    if not isinstance(row, dict):
        shown = ", ".join(f'"{name}": "..."' for name in columns)
        raise DataError(f"{where} is not a JSON object; accepted is {{{shown}}}", field=field)
    for name in columns:
        if name not in row:
            raise missing_column(where, name, row, column_field)
    return row


def check_columns(path: Path, columns: Sequence[str], *, field: str) -> None:
    """Refuse a file whose first row lacks a column; the rest is not read.

    Nothing is told of a parquet file where the library for those is not installed.

    Raises:
        DataError: As `iter_rows` would, at `field`.
    """
    if path.suffix.lower() != ".parquet":
        next(iter_rows(path, columns, field=field, column_field=field), None)
    elif importlib.util.find_spec("pyarrow") is not None:
        names = dict.fromkeys(_read_names(path, field))
        check_row(names, columns, where=path.name, field=field, column_field=field)


def missing_column(
    where: str, name: str, there: Mapping[str, Any] | Sequence[str], field: str
) -> DataError:
    """Say that a column is missing and which there are."""
    return DataError(
        f"{where} has no column {name!r}; its columns are {', '.join(map(str, there))}",
        field=field,
    )


def not_utf8(path: Path, error: UnicodeDecodeError, field: str) -> DataError:
    """Say that a file is not text in UTF-8."""
    return DataError(
        f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8", field=field
    )


def unreadable(path: Path, error: OSError, field: str) -> DataError:
    """Say that the system would not read a file."""
    return DataError(f"{path} cannot be read: {error.strerror or error}", field=field)


Check = Callable[[Any, str], dict[str, Any]]


def _iter_jsonl(
    path: Path, _columns: Sequence[str] | None, check: Check, *, field: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"line {number} of {path.name}"
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise DataError(
                    f"{where} is not JSON; accepted is one JSON object per line", field=field
                ) from error
            yield where, check(row, where)


def _iter_parquet(
    path: Path, columns: Sequence[str] | None, check: Check, *, field: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow  # noqa: PLC0415  heavy, and only this kind of file needs it
    from pyarrow import parquet  # noqa: PLC0415

    check(dict.fromkeys(_read_names(path, field)), path.name)
    try:
        table = parquet.read_table(path, columns=None if columns is None else list(columns))
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a whole parquet file", field=field) from error
    for number, row in enumerate(table.to_pylist(), start=1):
        yield f"row {number} of {path.name}", row


def _read_names(path: Path, field: str) -> list[str]:
    """Return the names of a parquet file's columns."""
    import pyarrow  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    try:
        return list(parquet.read_schema(path).names)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a whole parquet file", field=field) from error
    except OSError as error:
        raise unreadable(path, error, field) from error
