"""The worker: `python -m tasks.worker [--slot N]` serves one slot of this machine until terminated.

It keeps a Celery process that wakes on hints, patrols for what was lost, and works itself when
hints do not arrive: without a broker runs start some seconds later, that is all. On SIGTERM or
SIGINT the running attempt goes back to the queue. Start with `serve`.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from engine.errors import BitdialError
from tasks.desk import Desk, open_desk
from tasks.errors import StoreUnavailable
from tasks.processes import signal_group, stop
from tasks.recovery import leave, patrol, reap_owner
from tasks.settings import Settings, load_settings
from tasks.slot import holding_slot, work
from tasks.supervisor import ATTEMPT_MODULE

logger = logging.getLogger(__name__)

RESTART_SECONDS = 2.0
CELERY_STOP_SECONDS = 6.0


def serve(settings: Settings, *, slot: int | None, module: str, leaving: threading.Event) -> None:
    """Serve a slot until `leaving` is set; puts a running attempt back into the queue.

    Raises:
        SlotTaken: When the slot is served already.
        SchemaOutdated: When the database is not at this version's revision.
    """
    with holding_slot(settings, slot) as owner:
        desk = open_desk(settings)
        logger.info("serving the queue %s as %s", settings.queue, owner)
        worker = _Worker(desk, owner, module, leaving)
        try:
            reap_owner(desk.database, settings, owner)
            while not leaving.is_set():
                worker.keep_celery()
                worker.patrol()
                leaving.wait(min(settings.patrol_seconds, RESTART_SECONDS))
        finally:
            leaving.set()
            worker.end()
            desk.database.dispose()


def main(arguments: list[str]) -> int:
    """Run a worker; 2 where it cannot be started as asked."""
    parser = argparse.ArgumentParser(prog="python -m tasks.worker", description=__doc__)
    parser.add_argument("--slot", type=int, help="number of the slot; the first free one if left")
    parser.add_argument("--attempt-module", default=ATTEMPT_MODULE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    try:
        serve(load_settings(), slot=options.slot, module=options.attempt_module, leaving=leaving)
    except BitdialError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if error.kind == "spec" else 1
    return 0


@dataclass
class _Worker:
    """What one worker has started; used by its main thread only."""

    desk: Desk
    owner: str
    module: str
    leaving: threading.Event
    celery: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    patrolled_at: float = 0.0
    stand_in: threading.Thread | None = field(default=None)

    def keep_celery(self) -> None:
        """Start the Celery process, again when it has ended."""
        if self.celery is not None and self.celery.poll() is None:
            return
        if time.monotonic() - self.started_at < RESTART_SECONDS:
            return
        if self.celery is not None:
            logger.warning("the Celery process ended with %s; restarting", self.celery.returncode)
        self.started_at = time.monotonic()
        self.celery = subprocess.Popen(
            [sys.executable, "-m", "tasks.jobs", self.owner, str(os.getpid()), self.module],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=self.desk.settings.build_environment(),
        )

    def patrol(self) -> None:
        """Bring lost runs back; work here where hints are lost."""
        if time.monotonic() - self.patrolled_at < self.desk.settings.patrol_seconds:
            return
        self.patrolled_at = time.monotonic()
        try:
            needs_help = patrol(self.desk.database, self.desk.settings)
        except StoreUnavailable as error:
            logger.warning("%s", error)
            return
        if needs_help and (self.stand_in is None or not self.stand_in.is_alive()):
            self.stand_in = threading.Thread(target=self._work, name="stand-in")
            self.stand_in.start()

    def end(self) -> None:
        """End all that was started and give the running attempt back."""
        if self.celery is not None:
            signal_group(self.celery, signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                self.celery.wait(CELERY_STOP_SECONDS)
            stop(self.celery, grace_seconds=0.0)
        if self.stand_in is not None:
            self.stand_in.join()
        with suppress(StoreUnavailable):
            leave(self.desk.database, self.desk.settings, self.owner)

    def _work(self) -> None:
        try:
            work(self.desk, self.owner, module=self.module, leaving=self.leaving)
        except BitdialError as error:
            logger.warning("%s", error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
