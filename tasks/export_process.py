"""The process that writes a run for other programs.

`python -m tasks.export_process RUN FOLDER DTYPE`. What happens is told on stdout, one JSON
object a line: {"stage": ...}, {"note": ...}, and at the end {"exported": ...} or {"problem": ...,
"is_request": ...}. A termination leaves nothing behind. Start with `main`.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from engine.errors import BitdialError
from engine.events import Event, Logged, StageStarted
from engine.export.peft_folder import Exported, export_peft
from engine.export.rebuilding import RunFiles
from tasks.desk import open_desk
from tasks.exporting import get_exportable
from tasks.processes import die_with_parent
from tasks.settings import load_settings


def main(arguments: list[str]) -> int:
    """Write a run; 0 where the folder is there, 1 where it is not."""
    die_with_parent(number=signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        run_id, folder, dtype = arguments
        exported = _export(int(run_id), Path(folder), dtype)
    except BitdialError as error:
        is_request = error.kind == "spec" or bool(error.field)
        _tell({"problem": str(error), "is_request": is_request})
        return 1
    except KeyboardInterrupt:
        return 1
    _tell({"exported": asdict(exported)})
    return 0


def _export(run_id: int, folder: Path, dtype: Any) -> Exported:
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
        listener=_listen,
        dtype=dtype,
    )


def _listen(event: Event) -> None:
    if isinstance(event, StageStarted):
        _tell({"stage": event.stage})
    elif isinstance(event, Logged):
        _tell({"note": event.message})


def _tell(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
