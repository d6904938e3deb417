"""Promises of `bitdial up` and `bitdial demo`: refusals first, then all or nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from app.commands.demo import queue_demo
from app.commands.demo_specs import DEMO
from app.commands.following import describe_progress, follow
from app.commands.opening import open_desk_here
from app.commands.serving import check_address, list_parts
from engine.specs import resolve
from tasks.errors import SettingsError
from tasks.settings import Settings
from tasks.submit import cancel
from tests.app.commands.conftest import Bitdial
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("verb", ["up", "demo"])
def test_port_in_use_is_refused_before_anything_starts(
    bitdial: Bitdial, data_folder: Path, verb: str
) -> None:
    """A taken port is one sentence, exit code 2, no process and no file."""
    before = psutil.Process().children()  # servers that other tests share
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = bitdial(verb, "--port", str(port))
    assert answer.code == 2
    assert str(port) in answer.err
    assert "in use" in answer.err
    assert list(data_folder.iterdir()) == []
    assert set(psutil.Process().children()) <= set(before)


def test_open_address_is_refused(bitdial: Bitdial) -> None:
    """Listening beyond this machine is refused, as nobody has to sign in."""
    answer = bitdial("up", "--host", "0.0.0.0")
    assert answer.code == 2
    assert "sign-in" in answer.err


def test_open_address_is_accepted_on_a_trusted_network(data_folder: Path) -> None:
    """An administrator may vouch for the network, as a container's published port needs."""
    settings = Settings(data_folder=data_folder, host="0.0.0.0", port=0, trusted_network=True)
    check_address(settings)


def test_foreign_address_is_refused(data_folder: Path) -> None:
    """An address of another machine is named."""
    settings = Settings(data_folder=data_folder, host="192.0.2.1", trusted_network=True)
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        check_address(settings)


def test_own_broker_only_where_none_is_configured(data_folder: Path) -> None:
    """With a Redis of one's own no embedded broker is started; headless starts no web process."""
    embedded = list_parts(Settings(data_folder=data_folder), with_web=True)
    own = list_parts(Settings(data_folder=data_folder, broker_url="redis://h"), with_web=False)
    assert [part.name for part in embedded] == ["broker", "worker", "web"]
    assert [part.name for part in own] == ["worker"]


def test_demo_is_queued_once(bitdial: Bitdial) -> None:
    """A second start of the demo queues nothing that is there; a cancelled run is queued anew."""
    bitdial("db", "upgrade")
    with open_desk_here() as desk:
        first = queue_demo(desk)
        assert len(set(first)) == len(DEMO) == 6
        assert queue_demo(desk) == first
        cancel(desk, first[-1])
        assert queue_demo(desk)[:-1] == first[:-1]
        assert queue_demo(desk)[-1] > first[-1]
    listed = bitdial("runs", "list", "--json").json
    assert sum(run["is_baseline"] for run in listed) == 1


def test_demo_begins_with_the_baseline_and_compares_like_with_like() -> None:
    """All six share model and evaluation; bits fall from 16 to 2, trained or not."""
    specs = [resolve(values).spec for values in DEMO]
    assert [spec.bits for spec in specs] == [16, 4, 3, 2, 3, 2]
    assert specs[0].is_baseline
    assert len({(spec.model, spec.evaluation) for spec in specs}) == 1


def test_following_ends_when_told(bitdial: Bitdial, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run is spoken of once while nothing changes, and following stops when asked."""
    run_id = bitdial("submit", "--preset", "baseline", "name=quiet", "--json").json["id"]
    answers = iter([False, False, True])
    with open_desk_here() as desk:
        capsys.readouterr()
        runs = follow(desk.database, (run_id,), pause=lambda _: next(answers))
    assert capsys.readouterr().out == f"#{run_id} quiet: queued\n"
    assert describe_progress(runs[0]) == "queued"


def test_up_serves_and_ctrl_c_ends_everything(data_folder: Path) -> None:
    """The address is printed once the pages answer; SIGINT ends every process, exit code 0."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "app", "up", "--port", str(port)]
    environment = {**os.environ, "BITDIAL_DATA_FOLDER": str(data_folder)}
    output = data_folder / "terminal.txt"
    with output.open("w") as terminal:
        process = subprocess.Popen(words, cwd=ROOT, stdout=terminal, env=environment)
    try:
        wait_until(
            lambda: process.poll() is not None or "is up at" in output.read_text(),
            description="the address",
            timeout_seconds=120,
        )
        assert f"http://127.0.0.1:{port}" in output.read_text()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert len(children) >= 3
    wait_until(lambda: not any(child.is_running() for child in children), description="the end")
