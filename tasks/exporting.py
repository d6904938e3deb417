"""Which runs can be written for other programs, and what of them is needed. No torch.

The writing is `engine.export`; `export_process` does it in a process of its own. Start with
`get_exportable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.specs import Subject, load_spec
from tasks.desk import Desk
from tasks.errors import ParentGone, WrongState
from tasks.store.files import find_newest
from tasks.store.runs import get_run

FORMATS = ("peft",)


@dataclass(frozen=True)
class Exportable:
    """A run that can be written.

    Attributes:
        spec: What it was asked.
        result: Its newest result: codes, ranges and adapters.
        head: Its newest head that was trained whole; None where there is none.
    """

    spec: Subject
    result: Path
    head: Path | None = None


def get_exportable(desk: Desk, run_id: int) -> Exportable:
    """Return what of a run is needed to write it.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it has not succeeded, or changed nothing of its model.
        ParentGone: When its result is no longer on disk.
    """
    run = get_run(desk.database, run_id)
    if run.state != "succeeded":
        raise WrongState(f"run {run_id} is {run.state}; only a run that succeeded can be exported")
    if run.is_baseline:
        raise WrongState(
            f"run {run_id} is the 16-bit model as it was, and has no result to export; name a run "
            "that rounds or adapts it"
        )
    if run.kind == "map-evaluation":
        parent = run.spec["parent"]
        raise WrongState(f"run {run_id} measured run {parent} and has no result; export that one")
    data_folder = desk.settings.data_folder
    result = find_newest(desk.database, run_id, "result", data_folder=data_folder)
    if result is None:
        raise ParentGone(f"run {run_id} has no result in {data_folder} any more")
    head = find_newest(desk.database, run_id, "head", data_folder=data_folder)
    return Exportable(load_spec(run.spec), result, head)
