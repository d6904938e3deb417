"""The main job by hand: set up, launch, watch, reload, cancel another, compare.

Everything is real: `bitdial up` with its broker, worker and web process, Chromium, and SmolLM2-135M
on the bundled text. The page fixture fails on a console error or a request to another host.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser import browser, page
from tests.journeys.everything import address, fill_and_launch
from tests.waiting import wait_until

__all__ = ["address", "browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
PATIENCE = 120_000
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
