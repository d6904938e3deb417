"""A real server and a real browser for tests: Chromium of the machine, nothing from elsewhere.

`served` starts the web process on a free port; `page` opens a browser that fails the test on a
console error, an error of the page, or a request to another host. Use them as fixtures by importing
them; mark such tests `browser`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tasks.settings import Settings
from tasks.store.schema import upgrade
from tasks.submit import Desk
from tests.store_samples import open_sample_desk
from tests.waiting import wait_until

Samples = TypeVar("Samples")

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
_LOCAL_SCHEMES = ("data", "blob")
_START_SECONDS = 180.0


@dataclass(frozen=True)
class Served:
    """A running web process: where it is and what it works with."""

    address: str
    settings: Settings


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Start the web process on a free port with an empty store of its own."""
    folder = tmp_path_factory.mktemp("served")
    settings = Settings(data_folder=folder / "data", database_url="", broker_url=None)
    settings.data_folder.mkdir()
    upgrade(settings)
    with serve(settings, log=folder / "web.log") as address:
        yield Served(address, settings)


@contextmanager
def serve(settings: Settings, *, log: Path) -> Iterator[str]:
    """Run `python -m app.server` with these settings; yield its address once it is well."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        "BITDIAL_DATA_FOLDER": str(settings.data_folder),
        "DATABASE_URL": settings.database_url,
        "CELERY_BROKER_URL": settings.broker_url or "",
        "BITDIAL_HOST": "127.0.0.1",
        "BITDIAL_PORT": "0",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.server"],
            env=environment,
            cwd=Path(__file__).parents[1],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _wait_for_health(process, log)
        finally:
            process.terminate()
            process.wait(timeout=20)


@contextmanager
def serve_samples(
    folder: Path, add: Callable[[Desk], Samples]
) -> Iterator[tuple[str, Samples, Settings]]:
    """Serve a store with sample runs that `add` puts in; yield address, samples and settings."""
    settings = Settings(data_folder=folder / "data", database_url="", broker_url=None)
    settings.data_folder.mkdir()
    desk = open_sample_desk(settings.data_folder)
    samples = add(desk)
    desk.database.dispose()
    with serve(settings, log=folder / "web.log") as address:
        yield address, samples, settings


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the machine's Chromium; skip where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("BITDIAL_REQUIRE_SERVICES") == "1":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a fresh window; at the end, nothing may have gone wrong in it unseen."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    opened = context.new_page()
    troubles: list[str] = []
    watch(opened, troubles)
    yield opened
    context.close()
    assert not troubles, "\n".join(troubles)


def watch(page: Page, troubles: list[str]) -> None:
    """Note errors of the page and requests that leave this machine."""
    page.on("console", lambda message: _note_message(message, troubles))
    page.on("pageerror", lambda error: troubles.append(f"error of the page: {error}"))
    page.on("request", lambda request: _note_request(request, troubles))


def _note_message(message: ConsoleMessage, troubles: list[str]) -> None:
    if message.type == "error" and "net::ERR_ABORTED" not in message.text:
        troubles.append(f"console: {message.text}")


def _note_request(request: Request, troubles: list[str]) -> None:
    address = urlsplit(request.url)
    if address.scheme not in _LOCAL_SCHEMES and address.hostname not in ("127.0.0.1", "localhost"):
        troubles.append(f"request to {request.url}")


def _wait_for_health(process: subprocess.Popen[bytes], log: Path) -> str:
    def find_address() -> str:
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}: {log.read_text()}")
        words = [word for word in log.read_text().split() if word.startswith("http://")]
        return words[0] if words and _is_well(words[0]) else ""

    return wait_until(
        find_address,
        description="the web process to be well",
        timeout_seconds=_START_SECONDS,
        interval_seconds=0.2,
    )


def _is_well(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
