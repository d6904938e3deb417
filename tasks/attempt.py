"""The process of one attempt: `python -m tasks.attempt RUN_ID ATTEMPT PARENT`.

It carries the run out and writes its own end in the transaction that holds the result; whoever
started it only watches. A termination puts the run back into the queue, unless it was asked to
stop.
Start with `carry_out`.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from engine.errors import Cancelled
from engine.events import Logged
from engine.specs import RunSpec, load_spec
from tasks.desk import Desk, open_desk
from tasks.errors import Fenced
from tasks.failures import describe
from tasks.lease import Claim, find_pulse
from tasks.log_capture import capturing
from tasks.microbatch import apply_halvings, halve
from tasks.pace import Pace, count_passes
from tasks.parents import load_done, load_known, load_parent, load_scored
from tasks.processes import die_with_parent
from tasks.recorder import Recorder
from tasks.runners.context import RunContext, Runner
from tasks.settings import load_settings
from tasks.store.files import find_checkpoint
from tasks.store.records import RunKind, RunRecord
from tasks.store.runs import get_run

logger = logging.getLogger(__name__)

Runners = Mapping[RunKind, Runner]


def carry_out(desk: Desk, claim: Claim, runners: Runners) -> None:
    """Carry out a claimed run and write how it ended.

    Raises:
        Fenced: When the attempt lost the run meanwhile; nothing was written then.
    """
    run = get_run(desk.database, claim.run_id)
    spec = apply_halvings(load_spec(run.spec), run.microbatch_halvings)
    recorder = _build_recorder(desk, claim, run, passes=count_passes(spec))
    try:
        with capturing(recorder.note):
            _run(desk, recorder, run, spec=spec, runner=runners[run.kind])
    except Fenced:
        raise
    except Cancelled:
        recorder.finish("cancelled")
    except KeyboardInterrupt:
        pulse = find_pulse(desk.database, claim)
        recorder.finish("cancelled" if pulse and pulse.control else "queued")
    except Exception as error:  # noqa: BLE001 - the border: every failure becomes a stored sentence
        _end_badly(recorder, run, spec, error)
    else:
        recorder.finish("succeeded")


def main(arguments: list[str], load_runners: Callable[[], Runners]) -> int:
    """Be the process of one attempt; 0 when its end is written, 1 when it lost the run."""
    run_id, attempt, parent = (int(argument) for argument in arguments)
    die_with_parent(parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    desk = open_desk(load_settings())
    try:
        carry_out(desk, Claim(run_id, attempt, ""), load_runners())
    except Fenced as error:
        logger.warning("%s", error)
        return 1
    return 0


def load_runners() -> Runners:
    """Import the runners, and with them torch, only now that they are needed."""
    from tasks.runners.catalogue import RUNNERS  # noqa: PLC0415 - torch; the parent is tied first

    return RUNNERS


def _run(desk: Desk, recorder: Recorder, run: RunRecord, *, spec: RunSpec, runner: Runner) -> None:
    recorder.folder.mkdir(parents=True, exist_ok=True)
    data_folder = desk.settings.data_folder
    context = RunContext(
        spec=spec,
        folder=recorder.folder,
        data_folder=data_folder,
        mirror=desk.settings.data_mirror,
        resume_from=find_checkpoint(desk.database, run.id, data_folder=data_folder),
        listener=recorder,
        parent=load_parent(desk.database, spec, data_folder=data_folder),
        known=load_known(desk.database, spec),
        done=load_done(desk.database, run.id, spec),
        scored=load_scored(desk.database, run.id, spec),
    )
    runner(context)
    recorder.flush()


def _build_recorder(
    desk: Desk, claim: Claim, run: RunRecord, *, passes: Mapping[str, int]
) -> Recorder:
    predicted = (run.estimate or {}).get("seconds_parts") or {}
    return Recorder(
        desk.database,
        claim,
        folder=desk.settings.attempt_folder(claim.run_id, claim.attempt),
        data_folder=desk.settings.data_folder,
        pace=Pace(predicted, passes),
    )


def _end_badly(recorder: Recorder, run: RunRecord, spec: RunSpec, error: Exception) -> None:
    failure = describe(error)
    smaller = halve(spec) if failure.kind == "out_of_memory" else None
    if smaller is not None:
        recorder.note(Logged("warning", f"{failure.message}; trying with half the microbatch"))
        recorder.finish("queued", microbatch_halvings=run.microbatch_halvings + 1)
        return
    recorder.note(Logged("error", failure.message))
    recorder.finish(
        "failed",
        failure_kind=failure.kind,
        failure_message=failure.message,
        failure_traceback=failure.traceback,
    )


def _interrupt(number: int, frame: FrameType | None) -> Any:
    del number, frame
    for again in (signal.SIGTERM, signal.SIGINT):
        signal.signal(again, signal.SIG_IGN)  # the end is being written; once is enough
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], load_runners))
