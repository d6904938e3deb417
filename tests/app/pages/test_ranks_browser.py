"""A person looks at a rank search in a real browser and goes on from one of its points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.browser import browser, page, serve_samples
from tests.rank_samples import NUM_BLOCKS, RankSamples, add_rank_runs

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENCE = 60_000
PLACE_OF_MARKER = """(wanted) => {
  const plot = document.querySelector('#candidates-figure .bd-chart-plot');
  const trace = plot._fullData.find((each) => each.name === wanted);
  const area = plot.getBoundingClientRect();
  const { xaxis, yaxis } = plot._fullLayout;
  return [area.left + xaxis._offset + xaxis.d2p(trace.x[0]),
    area.top + yaxis._offset + yaxis.d2p(trace.y[0])];
}"""


@dataclass(frozen=True)
class Site:
    """The pages on a store with rank searches."""

    address: str
    samples: RankSamples


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a store in which ranks were trained and searched."""
    folder = tmp_path_factory.mktemp("site")
    with serve_samples(folder, add_rank_runs) as (address, samples, _):
        yield Site(address, samples)


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Two shared cores may be slow."""
    expect.set_options(timeout=PATIENCE)


def open_run(page: Page, site: Site, run_id: int, ready: str) -> None:
    """Open a run's page and wait until this selector is there."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/run?id={run_id}")
    page.wait_for_selector(ready)


def test_a_point_shows_its_ranks_and_leads_on(page: Page, site: Site) -> None:
    """A click selects, a reload keeps it, and its ranks open in the form as they are."""
    open_run(page, site, site.samples.search, "#candidates-figure .scatterlayer .point")
    view = page.locator("#candidate-view .candidate")
    expect(view).to_contain_text("best")
    page.mouse.click(*page.evaluate(PLACE_OF_MARKER, "minimal"))
    expect(view).to_contain_text("Configuration 3, minimal")
    expect(page.locator("#rank-map-figure .heatmap-label").first).to_have_text("8")
    expect(page).to_have_url(f"{site.address}/run?id={site.samples.search}&candidate=2")
    page.reload()
    expect(view).to_contain_text("Configuration 3, minimal")
    page.get_by_role("link", name="Use in a new run").click()
    ranks = page.locator("#field-adapter-elastic-lora-ranks textarea")
    expect(ranks).to_have_value("\n".join(["8"] * NUM_BLOCKS))
    expect(page.locator("#note-rank-space")).to_contain_text("2.1 × 10¹⁴ configurations")


def test_a_row_is_chosen_by_keyboard_and_evaluated(page: Page, site: Site) -> None:
    """Enter on a number selects its row; the button queues an evaluation and opens it."""
    open_run(page, site, site.samples.search, "#candidate-table tbody tr")
    pick = page.get_by_role("button", name="Show configuration #2", exact=True)
    pick.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#candidate-view .candidate")).to_contain_text("Configuration 2, median")
    expect(pick).to_have_attribute("aria-pressed", "true")
    expect(pick).to_be_focused()
    page.get_by_role("button", name="Evaluate on the benchmarks").click()
    page.wait_for_url(lambda address: f"id={site.samples.search}" not in address)
    expect(page.locator("#run-facts")).to_contain_text("openbookqa, any rank")
    expect(page.locator("#run-header")).to_contain_text("ranks evaluated")


def test_a_search_is_asked_for_on_the_page(page: Page, site: Site) -> None:
    """Another strategy shows its own fields; a mistake is said at its field; then it is queued."""
    open_run(page, site, site.samples.trained, "#launch-search")
    page.get_by_label("evolutionary", exact=True).check(force=True)
    count = page.locator("#field-search-evolutionary-num_evaluations input")
    count.fill("many")
    page.locator("#launch-search").click()
    expect(count).to_have_attribute("aria-invalid", "true")
    count.fill("12")
    page.locator("#launch-search").click()
    page.wait_for_url(lambda address: f"id={site.samples.trained}" not in address)
    expect(page.locator("#run-facts")).to_contain_text("evolutionary (NSGA-II), up to 12")
    expect(page.locator("#candidates")).to_contain_text("A point appears here")
