"""The embedded broker: private, without a port, one per data folder."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import redis

from tasks.broker import MAX_SOCKET_BYTES, find_server, find_socket, get_broker_url, prepare
from tasks.processes import stop
from tasks.settings import Settings
from tasks.wake import send_hints
from tests.services import wait_until


def answers(socket: Path) -> bool:
    client = redis.Redis(unix_socket_path=str(socket))
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()


def start(settings: Settings) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.broker"],
        env={**settings.build_environment(), "PYTHONPATH": root},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_the_broker_is_private_and_takes_hints(settings: Settings) -> None:
    """It answers on a socket only its user can open; a second one for the folder is refused."""
    assert not send_hints(settings, [1])
    broker = start(settings)
    socket = find_socket(settings)
    try:
        wait_until(lambda: answers(socket))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert send_hints(settings, [1, 2])
        client = redis.Redis(unix_socket_path=str(socket))
        assert client.llen("bitdial.cpu") == 2
        assert client.config_get("port") == {"port": "0"}
        client.close()
        second = start(settings)
        _, said = second.communicate(timeout=30)
        assert second.returncode == 1
        assert b"a broker already runs for the data folder" in said
    finally:
        stop(broker, grace_seconds=10)
        broker.communicate()


def test_a_long_data_folder_has_its_socket_elsewhere(settings: Settings, tmp_path: Path) -> None:
    """The socket's address stays short and private whatever the data folder."""
    folder = tmp_path / ("x" * 120)
    long = settings.model_copy(update={"data_folder": folder})
    socket = find_socket(long)
    assert len(str(socket)) <= MAX_SOCKET_BYTES
    assert find_socket(long) == socket
    prepared = prepare(long)
    assert stat.S_IMODE(prepared.socket.parent.stat().st_mode) == 0o700
    prepared.socket.parent.rmdir()


def test_a_configured_broker_is_used(settings: Settings) -> None:
    """With CELERY_BROKER_URL nothing embedded is touched."""
    remote = settings.model_copy(update={"broker_url": "redis://h:1/0"})
    assert get_broker_url(remote) == "redis://h:1/0"
    assert get_broker_url(settings) == f"redis+socket://{find_socket(settings)}"


def test_a_server_is_found() -> None:
    """The wheel's server or the system's can be executed."""
    server = find_server()
    assert server is not None
    assert os.access(server, os.X_OK)
