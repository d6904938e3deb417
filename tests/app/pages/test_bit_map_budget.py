"""The budget of a bit map by mouse, by key and by hand: what is shown is what is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.app.pages.bit_map_site import PATIENCE, Site, list_widths, open_map, wait_until_saved
from tests.bit_map_samples import add_bit_map
from tests.browser import browser, page, serve_samples

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a store in which a model's layers are scored."""
    folder = tmp_path_factory.mktemp("site")
    with serve_samples(folder, add_bit_map) as (address, samples, _):
        yield Site(address, samples)


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Two shared cores may be slow."""
    expect.set_options(timeout=PATIENCE)


def find_thumb(slider: Locator) -> tuple[float, float]:
    """Return where the thumb of a slider is."""
    box = slider.bounding_box()
    assert box is not None
    share = slider.evaluate("node => (node.value - node.min) / (node.max - node.min)")
    return box["x"] + 8 + (box["width"] - 16) * float(share), box["y"] + box["height"] / 2


def test_a_thumb_that_is_put_back_changes_nothing(page: Page, site: Site) -> None:
    """Dragged away and back with the mouse, the map on screen is the stored one again."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    before = list_widths(page)
    slider = page.get_by_role("slider")
    slider.scroll_into_view_if_needed()
    x, y = find_thumb(slider)
    start = slider.input_value()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=4)
    expect(page.locator(".bit-map")).not_to_have_attribute("data-preview", "")
    for step in range(60, -1, -1):
        page.mouse.move(x - step, y)
    assert slider.input_value() == start
    page.mouse.up()
    expect(page.locator(".bit-map")).to_have_attribute("data-preview", "")
    assert list_widths(page) == before
    assert site.read_state(map_id)["revision"] == 1


def test_a_thumb_that_is_moved_is_one_change(page: Page, site: Site) -> None:
    """Let go elsewhere, the solved map is stored."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    slider = page.get_by_role("slider")
    slider.scroll_into_view_if_needed()
    x, y = find_thumb(slider)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=4)
    page.mouse.up()
    expect(page.locator(".bit-map")).to_have_attribute("data-revision", "2")
    wait_until_saved(page)
    state = site.read_state(map_id)
    assert (state["revision"], state["bits"]) == (2, list_widths(page))
    assert set(state["bits"]) != {4}


def test_arrows_are_one_change_after_a_pause(page: Page, site: Site) -> None:
    """Several presses of a key in a row make one step of undo, of the last value."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".bit-map")).to_have_attribute("data-revision", "2")
    wait_until_saved(page)
    state = site.read_state(map_id)
    assert (state["revision"], state["bits"]) == (2, list_widths(page))
    assert state["budget"]["amount"] == pytest.approx(float(slider.input_value()), abs=0.02)


@pytest.mark.parametrize(
    ("typed", "unit"),
    [
        ("3.2 bits", "bits"),
        ("3,2", "bits"),
        ("20%", "percent"),
        ("{mib} MiB", "mib"),
        ("{kib}KiB", "mib"),
    ],
)
def test_a_typed_unit_is_taken(page: Page, site: Site, typed: str, unit: str) -> None:
    """What stands behind the amount chooses the unit, and the box is written anew."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    kib = round(site.read_state(map_id)["ledger"]["quantized"] * 0.8 / 1024, 1)
    amount = {"bits": 3.2, "percent": 20, "mib": kib / 1024}[unit]
    typed = typed.format(mib=kib / 1024, kib=kib)
    box = page.get_by_role("textbox", name="Budget")
    box.fill(typed)
    box.press("Enter")
    expect(page.locator(".bit-map")).to_have_attribute("data-revision", "2")
    wait_until_saved(page)
    assert site.read_state(map_id)["budget"] == {"amount": pytest.approx(amount), "unit": unit}
    expect(page.get_by_label("Unit of the budget")).to_have_value(unit)
    expect(box).to_have_value(re.compile(r"^[\d.]+$"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("1,234.5", "separator of thousands"),
        ("60 MB", "MiB"),
        ("", "Write an amount"),
        ("many", "is no amount"),
        ("-3", "is no amount"),
    ],
)
def test_what_is_no_amount_is_said(page: Page, site: Site, typed: str, said: str) -> None:
    """A sentence stands under the box, and nothing is asked for."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    box = page.get_by_role("textbox", name="Budget")
    box.fill(typed)
    box.press("Enter")
    expect(page.locator(".budget .refusal")).to_contain_text(said)
    assert site.read_state(map_id)["revision"] == 1


def test_a_refused_budget_is_said_once_and_asked_once(browser: Browser, site: Site) -> None:
    """In words for a person, under the box, which then shows what the map takes."""
    map_id = site.make_map()
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    open_map(page, site, map_id)
    box = page.get_by_role("textbox", name="Budget")
    before = box.input_value()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    box.fill("0.5")
    box.press("Enter")
    refusal = page.locator(".budget .refusal")
    expect(refusal).to_contain_text("use at least")
    expect(box).to_have_value(before)
    assert not refusal.inner_text().startswith("budget")
    expect(page.locator(".notice")).to_be_hidden()
    assert [url for url in asked if "/edits" in url] == []
    assert len([url for url in asked if "/solution" in url]) == 1
    context.close()
