"""A person asks for sensitivity, reads its map, sorts its table and goes from layer to layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from app.text import sensitivity as text
from tests.browser import browser, page, serve_samples
from tests.sensitivity_samples import SensitivitySamples, add_sensitivity_runs

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENCE = 60_000


@dataclass(frozen=True)
class Site:
    """The pages on a store with sensitivity runs."""

    address: str
    samples: SensitivitySamples


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a store in which layers were scored."""
    folder = tmp_path_factory.mktemp("site")
    with serve_samples(folder, add_sensitivity_runs) as (address, samples, _):
        yield Site(address, samples)


@pytest.fixture(autouse=True)
def _patience(page: Page) -> None:
    """Two shared cores may be slow."""
    expect.set_options(timeout=PATIENCE)
    page.set_default_timeout(PATIENCE)


def test_a_run_is_read_sorted_and_opened(page: Page, site: Site) -> None:
    """A width stays over a reload, a header sorts by keyboard, a link leads to its layer."""
    page.goto(f"{site.address}/run?id={site.samples.gradient}")
    card = page.locator("#sensitivity")
    expect(card).to_contain_text("to 2 bits")
    card.get_by_text("8 bits", exact=True).first.click()
    expect(card).to_contain_text("to 8 bits")
    page.wait_for_url("**width=8**")
    page.reload()
    expect(card).to_contain_text("to 8 bits")
    header = card.get_by_role("columnheader", name="Layer")
    expect(header).to_have_attribute("aria-sort", "none")
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    first = card.locator("tbody th a").first
    expect(first).to_have_text("0.mlp.down_proj")
    first.click()
    expect(page.locator("#layer-header h1")).to_have_text("model.layers.0.mlp.down_proj")


@pytest.mark.parametrize(("pixels", "seen"), [(1440, 7), (390, 2)])
def test_scores_fit_beside_their_names(page: Page, site: Site, pixels: int, seen: int) -> None:
    """A desk shows every width, a phone some; the sorted one is in view, names are not cut."""
    page.set_viewport_size({"width": pixels, "height": 900})
    page.goto(f"{site.address}/run?id={site.samples.gradient}&width=4")
    table = page.locator("#sensitivity-table")
    header = table.locator("thead th[aria-sort=descending]")
    expect(header).to_have_text("4 bits")
    frame, cell = table.locator(".scroll").bounding_box(), header.bounding_box()
    name = table.locator("tbody th").first
    title, link = name.bounding_box(), name.locator("a").bounding_box()
    assert frame
    assert cell
    assert title
    assert link
    end = frame["x"] + frame["width"]
    assert title["x"] + title["width"] - 1 <= cell["x"]
    assert cell["x"] + cell["width"] <= end + 1
    assert title["width"] < frame["width"] / 2
    assert link["height"] < 45  # two lines at most
    boxes = [box for each in table.locator("thead th").all() if (box := each.bounding_box())]
    whole = [box for box in boxes if title["x"] <= box["x"] <= end - box["width"] + 1]
    assert len(whole) >= seen


def test_a_click_on_the_map_opens_the_layer(page: Page, site: Site) -> None:
    """The cell that is clicked is the layer that opens."""
    page.goto(f"{site.address}/run?id={site.samples.gradient}")
    plot = page.locator("#sensitivity-map .nsewdrag").first
    expect(plot).to_be_visible()
    box = plot.bounding_box()
    assert box is not None
    cell = (box["width"] / 30, box["height"] / 7)
    page.mouse.click(box["x"] + 4.5 * cell[0], box["y"] + 6.5 * cell[1])
    expect(page.locator("#layer-header h1")).to_have_text("model.layers.4.mlp.down_proj")


def test_arrow_keys_go_from_layer_to_layer(page: Page, site: Site) -> None:
    """→ and ← follow the model's order; the page shows every figure of a layer."""
    name = "model.layers.3.mlp.gate_proj"
    page.goto(f"{site.address}/layer?run={site.samples.gradient}&name={name}")
    heading = page.locator("#layer-header h1")
    expect(heading).to_have_text(name)
    expect(page.locator("#figure-histogram .bd-chart[data-draws]")).to_be_visible()
    expect(page.locator("#score-widths .bd-chart[data-draws]")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(heading).to_have_text("model.layers.3.mlp.up_proj")
    page.keyboard.press("ArrowLeft")
    expect(heading).to_have_text(name)


def test_a_run_is_asked_for(page: Page, site: Site) -> None:
    """The form says what a method costs, refuses a width that is none, and leaves for the run."""
    page.goto(f"{site.address}/sensitivity")
    expect(page.locator("#launch")).to_be_enabled()
    widths = page.locator("#field-widths textarea")
    widths.fill("9")
    expect(page.locator("#problems")).to_contain_text("must be different widths")
    expect(page.locator("#launch")).to_be_disabled()
    widths.fill("4\n2")
    expect(page.locator("#launch")).to_be_enabled()
    page.locator("#launch").click()
    page.wait_for_url("**/run?id=*")
    expect(page.locator("#sensitivity")).to_contain_text(text.EMPTY_WAITING)


def test_a_run_opens_as_a_bit_map(page: Page, site: Site) -> None:
    """The button makes a bit map and leaves for it."""
    page.goto(f"{site.address}/run?id={site.samples.ablation}")
    page.get_by_role("button", name=text.OPENER["open"]).click()
    page.wait_for_url("**/layers?map=*")
