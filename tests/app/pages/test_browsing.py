"""Promises of the Leaderboard, Runs and Run pages in a real browser, on a store full of runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tasks import submit
from tasks.settings import Settings
from tasks.store import runs
from tests.browser import browser, page, serve
from tests.store_samples import HOSTILE_NAME, LONG_NAME, Samples, fill_store, open_sample_desk
from tests.waiting import wait_until

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENCE = 60_000


@dataclass(frozen=True)
class Site:
    """The pages on a filled store: where they are, what is in it, and its desk."""

    address: str
    samples: Samples
    desk: submit.Desk


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a filled store; tests of this module change different runs."""
    folder = tmp_path_factory.mktemp("site")
    settings = Settings(data_folder=folder / "data", database_url="", broker_url=None)
    settings.data_folder.mkdir()
    desk = open_sample_desk(settings.data_folder)
    samples = fill_store(desk)
    with serve(settings, log=folder / "web.log") as address:
        yield Site(address, samples, desk)
    desk.database.dispose()


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Two shared cores may be slow."""
    expect.set_options(timeout=PATIENCE)


def open_page(page: Page, site: Site, path: str, ready: str) -> None:
    """Open a page and wait until this selector is there."""
    page.set_default_timeout(PATIENCE)
    page.goto(site.address + path)
    page.wait_for_selector(ready)


def list_rows(page: Page, table: str) -> list[int]:
    """Return the runs in the order of the table's rows."""
    rows = page.locator(f"{table} tbody tr").all()
    return [int(row.get_attribute("data-run") or 0) for row in rows]


def test_leaderboard_sorts_by_keyboard_and_keeps_it(page: Page, site: Site) -> None:
    """Enter on a header sorts, aria-sort says so, a reload keeps it, the baseline stays on top."""
    open_page(page, site, "/", "#leaderboard tbody tr")
    header = page.get_by_role("columnheader", name="Sort by Perplexity").first
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(header.get_by_role("button")).to_be_focused()
    ascending = list_rows(page, "#leaderboard section:first-of-type")
    assert ascending[:2] == [site.samples.baseline, site.samples.rtn[8]]
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    descending = list_rows(page, "#leaderboard section:first-of-type")
    assert descending == [ascending[0], *reversed(ascending[1:])]
    page.reload()
    page.wait_for_selector("#leaderboard tbody tr")
    assert list_rows(page, "#leaderboard section:first-of-type") == descending


def test_leaderboard_filter_reaches_table_files_and_figure(page: Page, site: Site) -> None:
    """A search leaves fewer rows and markers, and the files show the same."""
    open_page(page, site, "/", "#quality-figure .scatterlayer .point")
    page.get_by_label("Search by name, model or method").fill("QAT 2-bit")
    expect(page.locator("#leaderboard section:first-of-type tbody tr")).to_have_count(2)
    expect(page.locator("#quality-figure .scatterlayer .point")).to_have_count(1)
    address = page.locator("[data-act=csv]").get_attribute("href") or ""
    lines = page.request.get(site.address + address).text().splitlines()
    assert len(lines) == 1 + page.locator("#leaderboard tbody tr").count()
    assert "search=QAT" in page.url


def test_chosen_columns_are_remembered(page: Page, site: Site) -> None:
    """A column switched on is there in a new tab without its address."""
    open_page(page, site, "/", "#leaderboard tbody tr")
    page.locator("#leaderboard summary").click()
    page.get_by_role("checkbox", name="Peak memory (MiB)").check()
    expect(page.get_by_role("columnheader", name="Sort by Peak memory").first).to_be_visible()
    open_page(page, site, "/", "#leaderboard tbody tr")
    expect(page.get_by_role("columnheader", name="Sort by Peak memory").first).to_be_visible()


def test_marker_opens_its_run(page: Page, site: Site) -> None:
    """A click on a marker of the figure leads to the run behind it."""
    open_page(page, site, "/?search=QAT+3-bit", "#quality-figure .scatterlayer .point")
    expect(page.locator("#quality-figure .scatterlayer .point")).to_have_count(1)
    box = page.locator("#quality-figure .scatterlayer .point").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url(f"**/run?id={site.samples.qat}")


def test_hostile_name_is_text_everywhere(page: Page, site: Site) -> None:
    """A name full of tags and templates is shown as it is on all three pages."""
    for path, place in (
        ("/", "#leaderboard"),
        ("/runs", "#runs"),
        (f"/run?id={site.samples.hostile}", "#run-header"),
    ):
        open_page(page, site, path, f"{place} :text('onerror')")
        expect(page.locator(place).get_by_text(HOSTILE_NAME, exact=True).first).to_be_visible()
        assert page.locator(f"{place} img").count() == 0


def test_queued_run_is_cancelled_and_deleted_by_keyboard(page: Page, site: Site) -> None:
    """Cancel shows the new state; delete asks first, Escape keeps, Enter on Delete removes."""
    run_id = site.samples.queued[2]
    open_page(page, site, "/runs", f"#runs tr[data-run='{run_id}']")
    row = page.locator(f"#runs tr[data-run='{run_id}']")
    row.get_by_role("button", name=f"Cancel run {run_id}").click()
    expect(row.get_by_text("Cancelled", exact=True)).to_be_visible()
    delete = row.get_by_role("button", name=f"Delete run {run_id}")
    delete.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(delete).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("[data-act=confirm]").focus()
    page.keyboard.press("Enter")
    expect(row).to_have_count(0)
    assert runs.find_run(site.desk.database, run_id) is None


def test_runs_filter_lives_in_the_address(page: Page, site: Site) -> None:
    """State and search survive a reload and can be cleared where nothing matches."""
    open_page(page, site, "/runs?state=failed", "#runs tbody tr")
    assert list_rows(page, "#runs") == [site.samples.failed]
    page.get_by_label("Search by name, model or number").fill("no such run")
    expect(page.get_by_text("No run matches.")).to_be_visible()
    page.reload()
    page.wait_for_selector("#runs >> text=No run matches.")
    page.get_by_role("button", name="Clear search and filter").click()
    expect(page.locator("#runs tbody tr").first).to_be_visible()
    assert page.url.endswith("/runs")


def test_run_page_survives_reload_and_a_second_tab(page: Page, site: Site) -> None:
    """A running run shows progress, curves and log; a reload and a second tab show the same."""
    path = f"/run?id={site.samples.running}"
    for tab in (page, page, page.context.new_page()):
        open_page(tab, site, path, "#run-curves .scatterlayer .trace")
        expect(tab.get_by_role("heading", level=1)).to_have_text(LONG_NAME)
        bar = tab.locator("#run-header").get_by_role("progressbar")
        expect(bar).to_have_attribute("aria-valuenow", "26")
        expect(tab.locator("#run-log .line").last).to_contain_text("Step 30 of 120.")
        expect(tab.locator("#run-curves .scatterlayer .trace")).to_have_count(4)


def test_failed_run_explains_itself_and_can_be_retried(page: Page, site: Site) -> None:
    """The sentence is visible, the traceback folded; a retry puts the run back into the queue."""
    run_id = site.samples.failed
    open_page(page, site, f"/run?id={run_id}", "#run-header .failure")
    expect(page.get_by_text("choose a smaller training.learning_rate")).to_be_visible()
    traceback = page.locator("#run-header pre")
    expect(traceback).to_be_hidden()
    page.get_by_text("Traceback", exact=True).click()
    expect(traceback).to_contain_text("<b>not bold</b>")
    page.get_by_role("button", name=f"Retry run {run_id}").click()
    expect(page.locator("#run-header").get_by_text("Queued", exact=True)).to_be_visible()
    wait_until(
        lambda: runs.get_run(site.desk.database, run_id).state == "queued",
        description="the run to be queued",
    )


def test_log_is_searched_and_spec_unfolds(page: Page, site: Site) -> None:
    """Searching hides other lines, the level reaches debug, defaults of the spec unfold."""
    open_page(page, site, f"/run?id={site.samples.qat}", "#run-log .line")
    page.get_by_label("Search the log").fill("step 120")
    expect(page.locator("#run-log .line:visible")).to_have_count(1)
    page.get_by_label("Search the log").fill("adapters of rank")
    expect(page.get_by_text("No line matches.")).to_be_visible()
    page.get_by_label("Least level").select_option("debug")
    expect(page.locator("#run-log .line:visible")).to_have_count(1)
    before = page.locator("#run-spec tbody tr").count()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("button", name="Hide")).to_be_focused()
    assert page.locator("#run-spec tbody tr").count() > before


@pytest.mark.parametrize("query", ["", "?id=abc", "?id=99999"])
def test_no_run_is_an_explained_page(page: Page, site: Site, query: str) -> None:
    """An address without a run says so and leads on."""
    open_page(page, site, f"/run{query}", "#run-header >> text=See all runs")
    expect(page.locator("#run-body")).to_have_count(0)


def test_new_store_says_what_to_do(page: Page, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Before anything was run, both tables lead to the form."""
    folder = tmp_path_factory.mktemp("empty")
    settings = Settings(data_folder=folder / "data", database_url="", broker_url=None)
    settings.data_folder.mkdir()
    open_sample_desk(settings.data_folder).database.dispose()
    with serve(settings, log=folder / "web.log") as address:
        page.set_default_timeout(PATIENCE)
        for path, place in (("/", "#leaderboard"), ("/runs", "#runs")):
            page.goto(address + path)
            expect(page.locator(f"{place} .nothing a.primary")).to_have_attribute("href", "/new")
