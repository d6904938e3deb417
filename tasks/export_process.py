"""The process that writes a run for other programs.

`python -m tasks.export_process OWNER RUN FOLDER DTYPE`. What happens is told on stdout, one JSON
object a line: {"stage": ...}, {"note": ...}, and at the end {"exported": ...} or {"problem": ...,
"is_request": ...}; what libraries print goes to stderr. It ends with its owner, and a termination
leaves nothing behind. Start with `main`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from engine.errors import BitdialError
from engine.events import Event, Logged, StageStarted
from tasks.processes import die_with_parent

if TYPE_CHECKING:
    from engine.export.peft_folder import Exported

STDOUT, STDERR = 1, 2
Tell = Callable[[dict[str, Any]], None]


def main(arguments: list[str]) -> int:
    """Write a run; 0 where the folder is there, 1 where it is not."""
    owner, run_id, folder, dtype = arguments
    die_with_parent(int(owner), number=signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    told = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    tell = partial(_tell, told)
    try:
        exported = _export(int(run_id), Path(folder), dtype, tell=tell)
    except BitdialError as error:
        is_request = error.kind == "spec" or bool(error.field)
        tell({"problem": str(error), "is_request": is_request})
        return 1
    except KeyboardInterrupt:
        return 1
    tell({"exported": asdict(exported)})
    return 0


def _export(run_id: int, folder: Path, dtype: Any, *, tell: Tell) -> Exported:
    # seconds of imports, which must come after this process is tied to its owner
    from engine.export.peft_folder import export_peft  # noqa: PLC0415
    from engine.export.rebuilding import RunFiles  # noqa: PLC0415
    from tasks.desk import open_desk  # noqa: PLC0415
    from tasks.exporting import get_exportable  # noqa: PLC0415
    from tasks.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    desk = open_desk(settings)
    try:
        found = get_exportable(desk, run_id)
    finally:
        desk.database.dispose()
    return export_peft(
        found.spec,
        folder,
        files=RunFiles(found.result, found.head),
        data_folder=settings.data_folder,
        listener=partial(_listen, tell),
        dtype=dtype,
    )


def _listen(tell: Tell, event: Event) -> None:
    if isinstance(event, StageStarted):
        tell({"stage": event.stage})
    elif isinstance(event, Logged):
        tell({"note": event.message})


def _tell(told: int, values: dict[str, Any]) -> None:
    os.write(told, (json.dumps(values) + "\n").encode())


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
