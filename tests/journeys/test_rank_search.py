"""The best ranks by hand: train on a task, look at what was sampled, search, choose, measure.

Everything is real: `bitdial up`, Chromium, SmolLM2-135M, and OpenBookQA from the data mirror, asked
through lm-eval; only the numbers of steps and questions are small.
"""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Page, expect

from tests.browser import browser, page
from tests.journeys.everything import address, fill_and_launch

__all__ = ["address", "browser", "page"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        "BITDIAL_DATA_MIRROR" not in os.environ,
        reason="BITDIAL_DATA_MIRROR is not set; it holds OpenBookQA and WikiText-2",
    ),
]
PATIENCE = 120_000
LONG = 400_000
QUESTIONS = 6
FIELDS = {
    "name": "elastic by hand",
    "training-qat-data-task-held_out": "8",
    "training-qat-max_steps": "3",
    "training-qat-per_device_train_batch_size": "2",
    "evaluation-limit": "2",
    "evaluation-benchmark_limit": str(QUESTIONS),
}


def open_when_done(page: Page, address: str, run_id: int) -> None:
    """Open a run's page and wait until it has succeeded."""
    page.goto(f"{address}/run?id={run_id}")
    expect(page.locator("#run-header [data-state=succeeded]")).to_be_visible(timeout=LONG)


def id_of(page: Page, other_than: int) -> int:
    """Wait until the page shows another run and return its number."""
    page.wait_for_url(lambda url: f"id={other_than}" not in url and "id=" in url)
    return int(page.url.rpartition("id=")[2].partition("&")[0])


def test_from_elastic_training_to_the_best_ranks(page: Page, address: str) -> None:
    """A preset trained by hand is searched and its median measured; all of it is on the board."""
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)

    page.goto(f"{address}/new?preset=qat-nls")
    expect(page.locator("#note-rank-space")).to_contain_text("2.1 × 10¹⁴ configurations")
    trained = fill_and_launch(page, FIELDS)
    open_when_done(page, address, trained)
    expect(page.locator("#sampled-ranks")).to_contain_text("block 0")
    expect(page.locator("#run-body")).to_contain_text("acc_norm")
    expect(page.locator("#rank-map")).to_contain_text("12")

    page.get_by_label("heuristics", exact=True).check(force=True)
    page.locator("#launch-search").click()
    search = id_of(page, trained)
    open_when_done(page, address, search)
    points = page.locator("#candidates-figure .scatterlayer .point")
    assert points.count() >= 3
    expect(page.locator("#candidate-table")).to_contain_text("median")
    expect(page.locator("#run-body")).to_contain_text("held-out")

    page.get_by_role("button", name="Show configuration #2", exact=True).click()
    page.get_by_role("button", name="Evaluate on the benchmarks").click()
    evaluated = id_of(page, search)
    open_when_done(page, address, evaluated)
    expect(page.locator("#run-header")).to_contain_text("ranks evaluated")

    page.goto(address)
    for run_id in (trained, search, evaluated):
        expect(page.locator(f"#leaderboard tr[data-run='{run_id}']")).to_be_visible()
