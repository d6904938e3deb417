"""Promises of the roof over broker, worker and web process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from app.processes import read_last_lines, start_child
from app.supervisor import Part, PartFailed, Supervisor, stop_requests, wait_while_looking
from tasks.processes import stop
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
SLEEPS = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"
WITH_CHILD = (
    "import subprocess, sys; "
    f"subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], start_new_session=True); {SLEEPS}"
)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_line(path: Path, line: str) -> None:
    """Wait until a log holds the line."""
    wait_until(lambda: line in read_last_lines(path).splitlines(), description=f"{line} in {path}")


def find_started(before: list[psutil.Process]) -> list[psutil.Process]:
    """Return this process's other children and theirs, without servers that tests share."""
    started = [process for process in psutil.Process().children() if process not in before]
    return [each for process in started for each in (process, *process.children(recursive=True))]


def test_leaving_ends_every_process_however_deep(tmp_path: Path) -> None:
    """Parts end, and so do their children in other sessions that ignore SIGTERM."""
    before = psutil.Process().children()
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Part("deep", ("-c", WITH_CHILD), grace_seconds=5))
        log = tmp_path / "deep.log"
        wait_until(lambda: read_last_lines(log).count("up") == 2, description="both are up")
        pids = [process.pid for process in find_started(before)]
    assert len(pids) == 2
    assert [pid for pid in pids if is_alive(pid)] == []


def test_part_that_dies_is_started_again(tmp_path: Path) -> None:
    """A part that is killed is back soon, as a new process."""
    before = psutil.Process().children()
    with Supervisor(tmp_path) as supervisor, stop_requests() as asked:
        supervisor.start(Part("once", ("-c", SLEEPS)))
        wait_for_line(tmp_path / "once.log", "up")
        (first,) = find_started(before)
        first.kill()

        def is_back() -> bool:
            wait_while_looking(supervisor, asked, seconds=0.05)
            return read_last_lines(tmp_path / "once.log").count("up") == 2

        wait_until(is_back, description="the second start")
        assert not is_alive(first.pid)


def test_part_that_cannot_live_is_given_up(tmp_path: Path) -> None:
    """A part that keeps ending at once is an error with the end of its log."""
    part = Part("broken", ("-c", "raise SystemExit('no such thing')"), max_quick_ends=2)
    with Supervisor(tmp_path) as supervisor, stop_requests() as asked:
        supervisor.start(part)
        with pytest.raises(PartFailed, match="no such thing"):
            wait_while_looking(supervisor, asked, seconds=30)


def test_signals_ask_to_stop_and_handlers_come_back() -> None:
    """SIGTERM inside the block sets the event; the old handler is back afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(10)
    assert signal.getsignal(signal.SIGTERM) is before


def test_large_log_begins_anew(tmp_path: Path) -> None:
    """A log never grows without bound over restarts."""
    log = tmp_path / "part.log"
    log.write_bytes(b"x" * 10_000_001)
    child = start_child("part", ("-c", SLEEPS), log_path=log)
    wait_for_line(log, "up")
    stop(child.process, grace_seconds=5)
    assert log.stat().st_size < 1000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    """Killed outright, the supervisor leaves none of its parts behind."""
    program = (
        "from pathlib import Path\n"
        "from app.supervisor import *\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "with Supervisor(folder) as supervisor, stop_requests() as asked:\n"
        f"    supervisor.start(Part('part', ('-c', {SLEEPS!r})))\n"
        "    wait_while_looking(supervisor, asked)\n"
    )
    roof = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    try:
        wait_for_line(tmp_path / "part.log", "up")
        pids = [process.pid for process in psutil.Process(roof.pid).children(recursive=True)]
    finally:
        roof.kill()
        roof.wait()
    assert pids
    wait_until(lambda: not any(map(is_alive, pids)), description="the part to end")
