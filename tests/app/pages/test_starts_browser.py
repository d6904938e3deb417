"""A person looks at families of starts, and at what each left of its layers, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from engine.initialize.error_report import ERROR_FILE
from tasks.settings import Settings
from tests.browser import browser, page, serve_samples
from tests.start_samples import StartSamples, add_start_runs

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENCE = 60_000
TRACES = "() => document.querySelector('#quality-figure .bd-chart-plot').data.length"
FIRST_CELL = "() => document.querySelector('#error-map .bd-chart-plot').data[0].text[0][1]"
MORE_TRACES = f"(count) => ({TRACES})() > count"
OTHER_CELL = f"(seen) => ({FIRST_CELL})() !== seen"


@dataclass(frozen=True)
class Site:
    """The pages on a store with families of starts."""

    address: str
    samples: StartSamples
    settings: Settings

    def find_report(self, run_id: int) -> Path:
        """Return where a run wrote its errors."""
        return self.settings.attempt_folder(run_id, 1) / ERROR_FILE


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a store in which three starts were tried at four widths."""
    folder = tmp_path_factory.mktemp("site")
    with serve_samples(folder, add_start_runs) as (address, samples, settings):
        yield Site(address, samples, settings)


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Two shared cores may be slow."""
    expect.set_options(timeout=PATIENCE)


def open_page(page: Page, site: Site, path: str, ready: str) -> None:
    """Open a page and wait until this selector is there."""
    page.set_default_timeout(PATIENCE)
    page.goto(site.address + path)
    page.wait_for_selector(ready)


def test_published_numbers_come_and_go(page: Page, site: Site) -> None:
    """The box shows rows that others published and hides them again, and a reload keeps that."""
    open_page(page, site, "/", "#leaderboard tbody tr")
    box = page.locator("#leaderboard input[data-act=published]")
    published = page.locator("#leaderboard tbody.published tr")
    own = page.locator("#leaderboard tbody:not(.published) tr")
    expect(published.first).to_be_visible()
    count = own.count()
    box.uncheck()
    expect(published).to_have_count(0)
    expect(own).to_have_count(count)
    page.reload()
    expect(own).to_have_count(count)
    expect(box).not_to_be_checked()
    box.check()
    expect(published.first).to_be_visible()


def test_families_are_lines_on_demand(page: Page, site: Site) -> None:
    """A look adds to the figure and to the address, and is there after a reload."""
    open_page(page, site, "/", "#quality-figure .scatterlayer .point")
    families = page.get_by_label("Lines by family")
    plain = page.evaluate(TRACES)
    families.check()
    page.wait_for_function(MORE_TRACES, arg=plain)
    expect(page).to_have_url(re.compile("looks=families"))
    page.reload()
    page.wait_for_selector("#quality-figure .scatterlayer .point")
    expect(families).to_be_checked()
    page.wait_for_function(MORE_TRACES, arg=plain)


def test_errors_are_followed_by_iteration(page: Page, site: Site) -> None:
    """The slider moves the map back; the table says every iteration in words."""
    open_page(page, site, f"/run?id={site.samples.mixed}", "#error-map .heatmaplayer image")
    last = page.evaluate(FIRST_CELL)
    page.locator("#iteration input[type=number]").fill("1")
    page.wait_for_function(OTHER_CELL, arg=last)
    page.locator("#error-table summary").click()
    errors = page.locator("#error-table table")
    expect(errors.locator("thead th")).to_have_count(7)
    expect(errors.locator("tbody tr")).to_have_count(211)
    expect(errors.locator("tbody tr").first).to_contain_text("mean of the best so far")
    page.locator("#widths-table summary").click()
    widths = page.locator("#widths-table table")
    expect(widths.locator("thead")).to_contain_text("nats per token")
    expect(widths.locator("tbody tr")).to_have_count(210)
    expect(page.locator("#widths-map .heatmap-label").first).to_have_text("4")


def test_what_is_gone_leaves_no_figure_behind(page: Page, site: Site) -> None:
    """A report damaged meanwhile is said in a sentence, without the curve of before."""
    open_page(page, site, f"/run?id={site.samples.loftq}", "#error-map .heatmaplayer image")
    curve = page.locator("#error-mean .bd-chart-plot")
    expect(curve).to_be_visible()
    report = site.find_report(site.samples.loftq)
    whole = report.read_bytes()
    report.write_text("{")
    try:
        page.locator("#iteration input[type=number]").fill("2")
        expect(page.locator("#error-map .bd-empty")).to_contain_text("The file loftq-error.json")
        expect(curve).to_be_hidden()
        expect(page.locator("#error-mean .bd-chart")).to_have_css("height", "0px")
    finally:
        report.write_bytes(whole)
    page.locator("#iteration input[type=number]").fill("3")
    expect(curve).to_be_visible()
    expect(page.locator("#error-map .bd-empty")).to_be_hidden()


def test_a_start_to_come_has_no_empty_boxes(page: Page, site: Site) -> None:
    """A waiting run says what will be there, and keeps no place for a curve it has not."""
    open_page(page, site, f"/run?id={site.samples.waiting}", "#error-map .bd-empty")
    expect(page.locator("#error-map .bd-empty")).to_contain_text("appears here")
    expect(page.locator("#error-mean .bd-chart-plot")).to_be_hidden()
    expect(page.locator("#error-mean .bd-chart")).to_have_css("height", "0px")
