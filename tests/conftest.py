"""What every test stands on: a clean environment, fixed seeds, an own data folder, no network.

Two variables steer the tests and therefore stay: `BITDIAL_DATA_MIRROR` (real benchmarks) and
`BITDIAL_REQUIRE_SERVICES` (a missing Redis or Postgres is a failure). Start with `data_folder`.
"""

from __future__ import annotations

import ipaddress
import os
import random
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

STEERING = ("BITDIAL_DATA_MIRROR", "BITDIAL_REQUIRE_SERVICES")
LONG_MARKERS = ("slow", "browser", "services")
FOREIGN_PREFIXES = ("BITDIAL_", "CELERY_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "GRADIO_", "PG")
FIXED_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "TOKENIZERS_PARALLELISM": "false",
}


def _clean_environment() -> None:
    """Drop what the machine sets for us, before any library reads it."""
    for name in list(os.environ):
        if name == "DATABASE_URL" or (name.startswith(FOREIGN_PREFIXES) and name not in STEERING):
            del os.environ[name]
    os.environ.update(FIXED_ENVIRONMENT)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: threads wait more than they work


_clean_environment()
hypothesis.settings.register_profile("bitdial", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("bitdial")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest where two processes share the tests, so that they end alike."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not any(map(item.get_closest_marker, LONG_MARKERS)))


def _is_local(family: int, address: Any) -> bool:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = str(address[0])
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Refuse every connection that leaves this machine; loopback and unix sockets work."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            original = getattr(socket.socket, name)

            def guarded(self: socket.socket, address: Any, original: Any = original) -> Any:
                if not _is_local(self.family, address):
                    raise OSError(f"a test tried to leave this machine for {address!r}")
                return original(self, address)

            patch.setattr(socket.socket, name, guarded)
        yield


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    """Start every test from the same random states."""
    random.seed(0)
    for library, seed in (("numpy", "random.seed"), ("torch", "manual_seed")):
        if library in sys.modules:
            function: Any = sys.modules[library]
            for part in seed.split("."):
                function = getattr(function, part)
            function(0)


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """Return an empty data folder of this test's own."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def data_mirror() -> Path:
    """Return the mirror of real data sets; skip where none is set."""
    value = os.environ.get("BITDIAL_DATA_MIRROR")
    if not value or not Path(value).is_dir():
        pytest.skip("BITDIAL_DATA_MIRROR names no folder with real data sets")
    return Path(value)
