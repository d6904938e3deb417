"""A queued run carried out here and now: `python -m tasks.foreground RUN_ID`.

For `bitdial run`, which needs no worker. The run is claimed by its id, so a worker that was faster
keeps it and we wait for its end. Start with `work_off`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

from engine.errors import BitdialError
from tasks.desk import Desk, open_desk
from tasks.lease import claim_run
from tasks.recovery import reap
from tasks.settings import load_settings
from tasks.store.records import TERMINAL_STATES, RunRecord
from tasks.store.runs import get_run
from tasks.supervisor import ATTEMPT_MODULE, supervise

WAIT_SECONDS = 0.5


def work_off(
    desk: Desk, run_id: int, *, leaving: threading.Event, module: str = ATTEMPT_MODULE
) -> RunRecord:
    """Carry a queued run out, attempt by attempt, until it has ended or `leaving` is set.

    Raises:
        RunNotFound: When there is no such run.
    """
    owner = f"{socket.gethostname()}/foreground-{os.getpid()}"
    run = get_run(desk.database, run_id)
    while run.state not in TERMINAL_STATES and not leaving.is_set():
        claim = claim_run(desk.database, desk.settings, owner, run_id=run_id)
        if claim is not None:
            supervise(desk, claim, module=module, leaving=leaving)
        else:
            reap(desk.database, desk.settings)
            leaving.wait(WAIT_SECONDS)
        run = get_run(desk.database, run_id)
    return run


def main(arguments: list[str]) -> int:
    """Carry out the run named; 0 where it succeeded, 1 where it did not, 2 for a bad request."""
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    try:
        desk = open_desk(load_settings())
        run = work_off(desk, int(arguments[0]), leaving=leaving)
        desk.database.dispose()
    except BitdialError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if error.kind == "spec" else 1
    return 0 if run.state == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
