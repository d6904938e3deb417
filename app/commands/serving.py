"""Everything a machine needs, up while a block runs: broker, worker and, if wanted, web process.

How processes are kept alive stands in `app.supervisor`. Start with `everything_up`.
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.commands.opening import migrate_own_store
from app.processes import read_last_lines
from app.security import is_local
from app.supervisor import Part, PartFailed, Supervisor, stop_requests, wait_while_looking
from app.text import shell
from tasks.broker import find_socket
from tasks.errors import SettingsError
from tasks.settings import Settings

_READY_SECONDS = 120.0


@dataclass(frozen=True)
class Running:
    """A machine that is up.

    Attributes:
        supervisor: Keeps the parts alive.
        asked_to_stop: Set by Ctrl-C and SIGTERM.
    """

    supervisor: Supervisor
    asked_to_stop: threading.Event

    def wait(self, seconds: float | None = None) -> bool:
        """Keep everything alive for a while, or for ever; True when asked to stop."""
        return wait_while_looking(self.supervisor, self.asked_to_stop, seconds=seconds)


@contextmanager
def everything_up(settings: Settings, *, parts: tuple[Part, ...]) -> Iterator[Running]:
    """Migrate the store and keep the parts running until the block ends.

    Raises:
        SettingsError: When another `bitdial up` uses this data folder.
        BitdialError: When the store cannot be used or a part keeps failing.
    """
    migrate_own_store(settings)
    with (
        _only_here(settings.data_folder),
        stop_requests() as asked,
        Supervisor(settings.data_folder / "logs") as supervisor,
    ):
        running = Running(supervisor, asked)
        for part in parts:
            supervisor.start(part)
            if part.name == "broker":
                _wait_for(lambda: _accepts(find_socket(settings)), running, name="broker")
        yield running


def list_parts(settings: Settings, *, with_web: bool) -> tuple[Part, ...]:
    """Return what must run here for these settings, in the order of their start."""
    parts = [Part("worker", ("-m", "tasks.worker"), grace_seconds=15.0)]
    if settings.broker_url is None:
        parts.insert(0, Part("broker", ("-m", "tasks.broker")))
    if with_web:
        address = ("--host", settings.host, "--port", str(settings.port))
        parts.append(Part("web", ("-m", "app", "web", *address)))
    return tuple(parts)


def check_address(settings: Settings) -> None:
    """Make sure the web process will get its port, before anything is started.

    Raises:
        SettingsError: When the port is in use or the host is not this machine.
    """
    if not (is_local(settings.host) or settings.trusted_network):
        raise SettingsError(shell.HOST_OPEN.format(host=settings.host))
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        is_taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        sentence = shell.PORT_IN_USE if is_taken else shell.HOST_UNKNOWN
        raise SettingsError(sentence.format(host=settings.host, port=settings.port)) from None


def wait_until_healthy(settings: Settings, running: Running) -> bool:
    """Wait until the web process says it is well; False when asked to stop first.

    Raises:
        PartFailed: When it does not come up; holds the end of its log.
    """
    return _wait_for(lambda: _is_healthy(settings), running, name="web")


def _wait_for(is_ready: Callable[[], bool], running: Running, *, name: str) -> bool:
    waited, step = 0.0, 0.2
    while not is_ready():
        if running.wait(step):
            return False
        waited += step
        if waited > _READY_SECONDS:
            log_path = running.supervisor.log_folder / f"{name}.log"
            raise PartFailed(f"the {name} process does not answer:\n{read_last_lines(log_path)}")
    return True


def _is_healthy(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(settings.host, settings.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def _only_here(data_folder: Path) -> Iterator[None]:
    """Hold the data folder's lock, which the kernel frees however we end."""
    lock = os.open(data_folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise SettingsError(
            f"another `bitdial up` uses the data folder {data_folder}; stop it, or set "
            "BITDIAL_DATA_FOLDER to another folder"
        ) from None
    finally:
        os.close(lock)
