"""Real servers for tests, on free unix sockets: Debian's Postgres and redis-server.

Where one is not installed the test is skipped with a reason; with BITDIAL_REQUIRE_SERVICES=1 it
fails instead. Use `postgres_address` and `redis_address` as fixtures by importing them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

DEADLINE_SECONDS = 120.0
POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"


def wait_until(is_true: Callable[[], bool], *, seconds: float = DEADLINE_SECONDS) -> None:
    """Poll until something is true; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"still waiting after {seconds} s"
        time.sleep(0.05)


def missing(what: str) -> None:
    """Skip the test, or fail it where services are required."""
    if os.environ.get("BITDIAL_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{what} is required and not installed")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A Postgres of its own, listening on a unix socket only; gives the socket's folder."""
    binaries = find_postgres()
    if binaries is None:
        missing("Postgres")
    folder = Path(tempfile.mkdtemp(prefix="bitdial-pg-"))
    as_user = _drop_root(folder)
    data = folder / "data"
    initdb = [binaries / "initdb", "-D", data, "-A", "trust", "-U", "bitdial", "-E", "UTF8", "-N"]
    subprocess.run([*as_user, *map(str, initdb)], check=True, capture_output=True)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-F"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*as_user, str(binaries / "postgres"), "-D", str(data), *options],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until((folder / ".s.PGSQL.5432").exists)
        yield str(folder)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_address(postgres_server: str) -> Iterator[str]:
    """The address of an empty database."""
    name = f"t{uuid.uuid4().hex}"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    yield f"postgresql://bitdial@/{name}?host={postgres_server}"
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis of its own, on a unix socket."""
    binary = shutil.which("redis-server")
    if binary is None:
        missing("redis-server")
    folder = Path(tempfile.mkdtemp(prefix="bitdial-redis-"))
    socket = folder / "redis.sock"
    arguments = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(binary), *arguments], stdout=log, stderr=log)
    try:
        wait_until(socket.exists)
        yield f"redis+socket://{socket}"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def find_postgres() -> Path | None:
    """Return the folder of the newest installed Postgres, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path))
    return found[-1].parent if found else None


def _drop_root(folder: Path) -> list[str]:
    """Return what to put before a command so that it is not run as root, which Postgres refuses."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _execute(folder: str, statement: str) -> None:
    engine = create_engine(
        f"postgresql+psycopg://bitdial@/postgres?host={folder}", isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
