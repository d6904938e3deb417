"""A real worker process on a real broker, with a runner that counts instead of training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tasks.broker import find_socket
from tasks.processes import stop
from tasks.settings import Settings
from tasks.store.measurements import list_scores, list_series
from tasks.store.records import RunRecord
from tasks.store.runs import get_run, list_attempts, list_stages
from tasks.store.schema import upgrade
from tasks.submit import Desk, cancel, open_desk, wake
from tests.services import wait_until
from tests.tasks.builders import make_run

MODULE = "tests.tasks.fake_attempt"
ROOT = Path(__file__).parents[2]


@contextmanager
def started(settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A python process with these settings, ended with all it started."""
    environment = {**settings.build_environment(), "PYTHONPATH": str(ROOT)}
    log = settings.data_folder.parent / f"{arguments[0]}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment,
            cwd=settings.data_folder.parent,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process, grace_seconds=20)


@pytest.fixture
def broker(desk: Desk) -> Iterator[subprocess.Popen[bytes]]:
    """The embedded broker of the desk's data folder."""
    with started(desk.settings, "tasks.broker") as process:
        wait_until(find_socket(desk.settings).exists)
        yield process


@contextmanager
def worker(desk: Desk) -> Iterator[subprocess.Popen[bytes]]:
    with started(desk.settings, "tasks.worker", "--attempt-module", MODULE) as process:
        yield process


def has_steps(desk: Desk, run_id: int, count: int) -> bool:
    series = list_series(desk.database, run_id)
    return bool(series) and len(series[0].steps) >= count


def wait_for(desk: Desk, run_id: int, state: str) -> RunRecord:
    wait_until(lambda: get_run(desk.database, run_id).state == state)
    return get_run(desk.database, run_id)


def find_attempt_process(worker_process: subprocess.Popen[bytes]) -> psutil.Process:
    found = [
        child
        for child in psutil.Process(worker_process.pid).children(recursive=True)
        if MODULE in child.cmdline() and "tasks.jobs" not in child.cmdline()
    ]
    assert len(found) == 1
    return found[0]


def test_a_queued_run_is_carried_out_and_recorded(
    desk: Desk, broker: subprocess.Popen[bytes]
) -> None:
    """A run queued while a worker serves is carried out, with curve, stages, score and size."""
    with worker(desk):
        run_id = make_run(desk.database, "steps=6")
        wake(desk, [run_id])
        run = wait_for(desk, run_id, "succeeded")
    assert run.attempt == 1
    assert run.size is not None
    assert run.size["effective_bits"] == 4.25
    assert run.device == "cpu"
    assert list_series(desk.database, run_id)[0].steps == (1, 2, 3, 4, 5, 6)
    assert [score.metric for score in list_scores(desk.database, run_id)] == ["perplexity"]
    stages = list_stages(desk.database, run_id)
    assert [stage.name for stage in stages] == ["load", "train", "evaluate"]
    assert all(stage.seconds is not None for stage in stages)
    assert [one.outcome for one in list_attempts(desk.database, run_id)] == ["succeeded"]


def test_a_killed_attempt_goes_on_from_its_checkpoint_under_the_same_id(
    desk: Desk, broker: subprocess.Popen[bytes]
) -> None:
    """A kill -9 of the run's process costs only the steps since its last checkpoint."""
    with worker(desk) as process:
        run_id = make_run(desk.database, "steps=30")
        wake(desk, [run_id])
        wait_until(lambda: has_steps(desk, run_id, 12))
        find_attempt_process(process).kill()
        run = wait_for(desk, run_id, "succeeded")
    assert run.attempt == 2
    series = list_series(desk.database, run_id)[0]
    assert series.steps == tuple(range(1, 31))
    assert series.num_points == 30
    assert [one.outcome for one in list_attempts(desk.database, run_id)] == ["lost", "succeeded"]


def test_a_killed_worker_loses_nothing(desk: Desk, broker: subprocess.Popen[bytes]) -> None:
    """A kill -9 of the worker ends the run's process, and the next worker finishes the run."""
    with worker(desk) as process:
        run_id = make_run(desk.database, "steps=30")
        wake(desk, [run_id])
        wait_until(lambda: has_steps(desk, run_id, 12))
        orphan = find_attempt_process(process)
        os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs([orphan], timeout=10)
        assert not orphan.is_running()
    with worker(desk):
        run = wait_for(desk, run_id, "succeeded")
    assert run.attempt == 2
    assert list_series(desk.database, run_id)[0].num_points == 30


def test_a_running_run_can_be_cancelled(desk: Desk, broker: subprocess.Popen[bytes]) -> None:
    """A cancel stops a run that reports, and the next run is not touched by it."""
    with worker(desk):
        run_id = make_run(desk.database, "steps=2000")
        after = make_run(desk.database, "steps=2")
        wake(desk, [run_id, after])
        wait_until(lambda: has_steps(desk, run_id, 3))
        assert cancel(desk, run_id).state == "running"
        assert wait_for(desk, run_id, "cancelled").attempt == 1
        wait_for(desk, after, "succeeded")


def test_a_deaf_run_is_ended_when_cancelled(desk: Desk, broker: subprocess.Popen[bytes]) -> None:
    """A run that announces nothing for long is terminated after the grace."""
    with worker(desk):
        run_id = make_run(desk.database, "deaf steps=2000")
        wake(desk, [run_id])
        wait_until(lambda: get_run(desk.database, run_id).stage == "train")
        cancel(desk, run_id)
        wait_for(desk, run_id, "cancelled")


def test_runs_finish_without_a_broker(desk: Desk) -> None:
    """With no broker at all, a worker finds queued runs by itself."""
    first, second = make_run(desk.database, "steps=2"), make_run(desk.database, "steps=2")
    with worker(desk):
        wait_for(desk, first, "succeeded")
        wait_for(desk, second, "succeeded")


def test_a_killed_broker_loses_no_run(desk: Desk, broker: subprocess.Popen[bytes]) -> None:
    """Killing the broker neither ends the running run nor loses the queued one."""
    with worker(desk):
        running, queued = make_run(desk.database, "steps=30"), make_run(desk.database, "steps=2")
        wake(desk, [running, queued])
        wait_until(lambda: has_steps(desk, running, 3))
        broker.kill()
        broker.wait()
        late = make_run(desk.database, "steps=2")
        for run_id in (running, queued, late):
            assert wait_for(desk, run_id, "succeeded").attempt == 1


def test_a_worker_that_shuts_down_gives_its_run_back(
    desk: Desk, broker: subprocess.Popen[bytes]
) -> None:
    """SIGTERM of the worker puts the run back into the queue at once, not as lost."""
    with worker(desk) as process:
        run_id = make_run(desk.database, "steps=2000")
        wake(desk, [run_id])
        wait_until(lambda: has_steps(desk, run_id, 6))
        process.terminate()
        assert process.wait(30) == 0
    assert get_run(desk.database, run_id).state == "queued"
    assert list_attempts(desk.database, run_id)[0].outcome != "succeeded"


@pytest.mark.services
def test_a_worker_serves_postgres_and_redis(
    settings: Settings, postgres_address: str, redis_address: str
) -> None:
    """The same promises hold on Postgres and Redis: a killed attempt is finished by a second."""
    remote = settings.model_copy(
        update={"database_url": postgres_address, "broker_url": redis_address}
    )
    upgrade(remote)
    desk = open_desk(remote)
    with worker(desk) as process:
        run_id = make_run(desk.database, "steps=40")
        wake(desk, [run_id])
        wait_until(lambda: has_steps(desk, run_id, 12))
        find_attempt_process(process).kill()
        assert wait_for(desk, run_id, "succeeded").attempt == 2
    assert list_series(desk.database, run_id)[0].num_points == 40
    desk.database.dispose()
