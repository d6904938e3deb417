"""How many rows the files have that tasks are read from, remembered until a file changes.

Asked before launch and by estimates: no rows are kept, nothing heavy. Start with `count_tasks`;
`count_rows` is one file's.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from engine.data.corpora import find_file
from engine.data.row_files import ROW_SUFFIXES, unreadable
from engine.data.supervised_tasks import GLUE, SPANS, SUMMARIES, SUPERVISED
from engine.data.task_sources import TaskSource, find_mirrored
from engine.data.tasks import TASKS
from engine.errors import DataError
from engine.estimates.row_counts import RowCounts
from engine.specs import Subject, TaskData

KNOWN: Mapping[str, TaskSource] = MappingProxyType({**TASKS, **SUPERVISED})
MEASURED_SPLITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: tuple(task.measured)
        for catalogue in (GLUE, SPANS, SUMMARIES)
        for name, task in catalogue.items()
    }
)
Key = TypeVar("Key")
FIELD = "training.data"
MOST_FILES = 256


def count_tasks(specs: Iterable[Subject], *, data_folder: Path, mirror: Path | None) -> RowCounts:
    """Count the examples of the tasks that specs train on and are measured on.

    What lies in no file here, or cannot be read, is left out: it is said elsewhere.

    Args:
        specs: Any number of runs.
        data_folder: Local files may be named relative to it.
        mirror: Folder of hub data sets that is consulted before the hub.
    """
    trained: dict[tuple[str, str | None], int | None] = {}
    asked: dict[str, int | None] = {}
    for spec in specs:
        data = spec.training_task
        if data is not None and (data.task, data.source) not in trained:
            trained[data.task, data.source] = _count_trained(data, data_folder, mirror)
        for name in () if spec.model.head == "causal-lm" else spec.measured_tasks:
            if name not in asked:
                asked[name] = _count_asked(name, mirror)
    return RowCounts(_drop_unknown(trained), _drop_unknown(asked))


def count_rows(path: Path, *, field: str) -> int | None:
    """Return how many rows a file has; None where this machine cannot tell.

    Raises:
        DataError: At `field`, when the file cannot be read.
    """
    try:
        stat = path.stat()
        return _count_once(path, stat.st_size, stat.st_mtime_ns, field=field)
    except OSError as error:
        raise unreadable(path, error, field) from error


@lru_cache(MOST_FILES)
def _count_once(path: Path, size: int, changed: int, *, field: str) -> int | None:
    """Count the rows of a file as it was with this size at this moment."""
    del size, changed
    if path.suffix.lower() == ".parquet":
        return _count_parquet(path, field)
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _count_parquet(path: Path, field: str) -> int | None:
    """Return the rows a parquet file says it has; not where the library is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        return None
    import pyarrow  # noqa: PLC0415  heavy, and only this kind of file needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        return int(parquet.read_metadata(path).num_rows)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a whole parquet file", field=field) from error


def _count_trained(data: TaskData, data_folder: Path, mirror: Path | None) -> int | None:
    try:
        if data.source:
            path = find_file(data.source, data_folder)
        else:
            path = find_mirrored(KNOWN[data.task], "train", at=FIELD, mirror=mirror)
        return _count_file(path)
    except (DataError, OSError):
        return None


def _count_asked(name: str, mirror: Path | None) -> int | None:
    """Return the rows of all splits a task is scored on; None where one of them is elsewhere."""
    splits = MEASURED_SPLITS.get(name, ())
    try:
        found = [find_mirrored(KNOWN[name], split, at=FIELD, mirror=mirror) for split in splits]
        counts = [_count_file(path) for path in found]
    except (DataError, OSError):
        return None
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(splits) else None


def _count_file(path: Path | None) -> int | None:
    if path is None or path.suffix.lower() not in ROW_SUFFIXES:
        return None
    return count_rows(path, field=FIELD)


def _drop_unknown(counts: Mapping[Key, int | None]) -> dict[Key, int]:
    return {name: count for name, count in counts.items() if count is not None}
