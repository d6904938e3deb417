"""Promises of published numbers and of the figure's looks on the Leaderboard, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tasks.settings import Settings
from tests.browser import browser, page, serve
from tests.start_samples import StartSamples
from tests.store_samples import Samples

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENCE = 60_000
ROWS = "#leaderboard section:first-of-type tbody.published tr"
LEGEND = "#quality-figure .legendtext"


@pytest.fixture(scope="module")
def address(
    started_folder: tuple[Path, Samples, StartSamples], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Serve a store with families of runs on a text that others have published on."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(started_folder[0], folder / "data")
    settings = Settings(data_folder=folder / "data", database_url="", broker_url=None)
    with serve(settings, log=folder / "web.log") as found:
        yield found


def open_leaderboard(page: Page, address: str) -> None:
    """Open the page and wait for its rows and its figure."""
    expect.set_options(timeout=PATIENCE)
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_selector("#leaderboard tbody tr")
    page.wait_for_selector(LEGEND)


def test_published_numbers_name_their_source_and_can_be_hidden(page: Page, address: str) -> None:
    """The source stands under the rows; the box takes rows, source and markers away and back."""
    open_leaderboard(page, f"{address}/?published=foo")
    expect(page.locator(ROWS)).to_have_count(12)
    source = page.get_by_text("Published rows: Li, Yu, Liang").first
    expect(source).to_be_visible()
    expect(page.locator("#leaderboard .problem")).to_be_hidden()
    published = page.locator(LEGEND, has_text="published, another model")
    expect(published).to_have_count(2)
    box = page.get_by_role("checkbox", name="Published numbers")
    box.uncheck()
    expect(page.locator(ROWS)).to_have_count(0)
    expect(source).to_have_count(0)
    expect(published).to_have_count(0)
    assert "published=no" in page.url
    box.check()
    expect(page.locator(ROWS)).to_have_count(12)
    assert "published" not in page.url


def test_a_look_is_kept_in_the_address(page: Page, address: str) -> None:
    """Lines by family name families in the legend, and a reload shows them again."""
    open_leaderboard(page, f"{address}/?published=no")
    family = page.locator(LEGEND, has_text="NormalFloat, round to nearest")
    expect(family).to_have_count(0)
    page.get_by_role("checkbox", name="Lines by family").check()
    expect(family).to_have_count(1)
    page.wait_for_url("**looks=families**")
    page.reload()
    expect(family).to_have_count(1)
    expect(page.get_by_role("checkbox", name="Lines by family")).to_be_checked()
