"""Rows of a task's data set: from a file of one's own, the mirror, or the hub.

What a row means is for `tasks` and `supervised_tasks` to say. Start with `TaskSource`, then
`iter_published` and `iter_own`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from engine.data.corpora import find_file
from engine.data.hub import load_hub_rows
from engine.data.mirror import find_in_mirror, list_configs
from engine.data.row_files import ROW_SUFFIXES, check_row, iter_rows
from engine.errors import DataError
from engine.specs.data import DataSpec

Row = dict[str, Any]
PlacedRow = tuple[str, Row]
"""Where a row stands ("line 3 of train.jsonl"), and the row."""


@dataclass(frozen=True)
class TaskSource:
    """Where a task's rows are.

    Attributes:
        source: Data set on the hub.
        configs: Its configurations, the preferred first; the next where the mirror lacks that.
        splits: Splits the hub has.
        columns: What every row must have.
    """

    source: str
    configs: tuple[str, ...]
    splits: tuple[str, ...]
    columns: tuple[str, ...]


def iter_own(
    source: str, task: TaskSource, split: str, *, field: str, data_folder: Path
) -> Iterator[PlacedRow]:
    """Return the rows of a file of one's own; `field` holds the task's data ("training.data").

    Raises:
        DataError: When there is no such file, it is of another kind, or not for training; while
            iterating, when a row lacks a column.
    """
    at = f"{field}.source"
    path = find_file(source, data_folder)
    if path is None:
        raise DataError(
            f"there is no file {source}; accepted is a {' or '.join(ROW_SUFFIXES)} file with the "
            f"columns {', '.join(task.columns)}",
            field=at,
        )
    if path.suffix.lower() not in ROW_SUFFIXES:
        raise DataError(
            f"{path.name} is not a file of rows; accepted are {', '.join(ROW_SUFFIXES)}", field=at
        )
    if split != "train":
        raise DataError(
            f"a file of one's own has no {split} split; hold examples out "
            f"({field}.held_out) or leave {at} empty",
            field=at,
        )
    return iter_rows(path, task.columns, field=at, column_field=at)


def iter_published(
    name: str, task: TaskSource, split: str, *, at: str, mirror: Path | None
) -> Iterator[PlacedRow]:
    """Return the rows of a task's own data set, from the mirror or else the hub.

    Args:
        name: The task's, for what is said.
        task: Where its rows are.
        split: Which part.
        at: The spec field errors are reported at.
        mirror: Folder of hub data sets that is consulted before the hub.

    Raises:
        DataError: When there is no such split or the data is out of reach; while iterating, when
            a row lacks a column.
    """
    if split not in task.splits:
        raise DataError(
            f"{name} has no {split} split; it has {', '.join(task.splits)}; hold training "
            "examples out instead",
            field=at,
        )
    asked = _ask(task, split, mirror)
    try:
        path = find_in_mirror(asked, field=at, mirror=mirror) if mirror else None
        if path is not None:
            return iter_rows(path, task.columns, field=at, column_field=at)
        rows = load_hub_rows(asked, field=at, instead="a local file with the task's columns")
    except DataError as error:
        _refuse_at(error, at)
    where = f"{task.source} ({split})"
    return (
        (where, check_row(row, task.columns, where=where, field=at, column_field=at))
        for row in rows
    )


def find_mirrored(task: TaskSource, split: str, *, at: str, mirror: Path | None) -> Path | None:
    """Return the mirror's file of a task's split; None where the rows come from the hub.

    Raises:
        DataError: When the mirror has the data set but not the configuration or split.
    """
    if mirror is None:
        return None
    try:
        return find_in_mirror(_ask(task, split, mirror), field=at, mirror=mirror)
    except DataError as error:
        _refuse_at(error, at)


def _ask(task: TaskSource, split: str, mirror: Path | None) -> DataSpec:
    """Return which data set to read, with the first configuration the mirror has."""
    there = list_configs(task.source, mirror) if mirror else ()
    config = next((config for config in task.configs if config in there), task.configs[0])
    return DataSpec(source=task.source, config=config, split=split)


def _refuse_at(error: DataError, field: str) -> NoReturn:
    """Raise the same sentence at the field a person chose the task with."""
    raise DataError(error.args[0], field=field) from error
