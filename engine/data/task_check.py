"""What is wrong with the data a spec names, as far as it shows without reading the data.

Asked before launch: no hub, no rows, nothing heavy. Where only the worker can tell, nothing is
known to be wrong. The sentences are the readers' own (`task_sources`, `corpora`): they are called
where they are sure to refuse. Start with `check_data`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.data.corpora import BUNDLED_CORPORA, find_file, load_documents
from engine.data.mirror import find_in_mirror
from engine.data.python_docs import SPLITS
from engine.data.row_counting import KNOWN, MEASURED_SPLITS, count_rows
from engine.data.row_files import ROW_SUFFIXES, check_columns
from engine.data.supervised_tasks import MEASURED_FIELD, SUPERVISED
from engine.data.task_sources import find_mirrored, iter_own
from engine.data.tasks import split_held_out
from engine.data.text_files import SUFFIXES
from engine.errors import DataError, Problem
from engine.estimates.task_lengths import TASK_EXAMPLES
from engine.specs.data import DataSpec, TaskData


def check_data(
    spec: TaskData | DataSpec, *, data_folder: Path, mirror: Path | None, field: str
) -> tuple[Problem, ...]:
    """Return what keeps data from being used, whichever it is; arguments as for `check_task`."""
    if isinstance(spec, TaskData):
        return check_task(spec, data_folder=data_folder, mirror=mirror, field=field)
    return check_text(spec, data_folder=data_folder, mirror=mirror, field=field)


def check_task(
    spec: TaskData, *, data_folder: Path, mirror: Path | None, field: str
) -> tuple[Problem, ...]:
    """Return what keeps a task's training examples from being read and held out.

    Args:
        spec: Which task, and a file of one's own.
        data_folder: Local files may be named relative to it.
        mirror: Folder of hub data sets that is consulted before the hub.
        field: The spec field that holds `spec` ("training.data").
    """
    at = f"{field}.source" if spec.source else f"{field}.task"
    try:
        if spec.source:
            rows = _find_own(spec, data_folder=data_folder, field=field)
        else:
            rows = find_mirrored(KNOWN[spec.task], "train", at=at, mirror=mirror)
        if spec.held_out:
            count = TASK_EXAMPLES[spec.task] if rows is None else count_rows(rows, field=at)
            _check_held_out(spec, count, field=at)
    except (DataError, OSError) as error:
        return (_to_problem(error, at),)
    return ()


def check_measured(names: Sequence[str], *, mirror: Path | None) -> tuple[Problem, ...]:
    """Return what keeps the tasks a head is measured on from being read; other names are not ours.

    Args:
        names: A spec's `measured_tasks`.
        mirror: Folder of hub data sets that is consulted before the hub.
    """
    problems = []
    for name in names:
        try:
            for split in MEASURED_SPLITS.get(name, ()):
                find_mirrored(SUPERVISED[name], split, at=MEASURED_FIELD, mirror=mirror)
        except DataError as error:
            problems.append(Problem(error.field, error.args[0]))
    return tuple(problems)


def check_text(
    spec: DataSpec, *, data_folder: Path, mirror: Path | None, field: str
) -> tuple[Problem, ...]:
    """Return what keeps a text from being read; arguments as for `check_task`."""
    try:
        if _is_refused(spec, data_folder):
            load_documents(spec, field=field, data_folder=data_folder, mirror=mirror)
        elif mirror and _is_elsewhere(spec, data_folder):
            find_in_mirror(spec, field=field, mirror=mirror)
    except (DataError, OSError) as error:
        return (_to_problem(error, f"{field}.source"),)
    return ()


def _find_own(spec: TaskData, *, data_folder: Path, field: str) -> Path | None:
    """Return the file of one's own; the reader refuses one that is missing or of another kind."""
    source, task = spec.source or "", KNOWN[spec.task]
    path = find_file(source, data_folder)
    if path is None or path.suffix.lower() not in ROW_SUFFIXES:
        iter_own(source, task, "train", field=field, data_folder=data_folder)
    else:
        check_columns(path, task.columns, field=f"{field}.source")
    return path


def _check_held_out(spec: TaskData, count: int | None, *, field: str) -> None:
    """Refuse to hold out as many examples as there are, or more; None is not known."""
    if count == 0:
        raise DataError(
            f"there is no example in {spec.source or KNOWN[spec.task].source}", field=field
        )
    if count is not None and spec.held_out >= count:
        split_held_out(range(count), spec.held_out)


def _is_refused(spec: DataSpec, data_folder: Path) -> bool:
    """Whether the reader is sure to refuse a text before it reads any."""
    if spec.source.startswith("bundled:"):
        return spec.source not in BUNDLED_CORPORA or spec.split not in SPLITS
    path = find_file(spec.source, data_folder)
    if path is not None:
        return path.suffix.lower() not in SUFFIXES
    is_path = spec.source[0] in "./~" or spec.source.count("/") > 1
    return is_path or spec.source.lower().endswith(SUFFIXES)


def _is_elsewhere(spec: DataSpec, data_folder: Path) -> bool:
    """Whether a text is neither bundled nor a file: from the mirror or the hub."""
    return not spec.source.startswith("bundled:") and find_file(spec.source, data_folder) is None


def _to_problem(error: DataError | OSError, field: str) -> Problem:
    """Return what was raised as a problem; the system's errors (too long a name) at `field`."""
    if isinstance(error, DataError):
        return Problem(error.field, error.args[0])
    name = Path(str(error.filename)).name[:60]
    return Problem(field, f"{name} cannot be read: {error.strerror or error}")
