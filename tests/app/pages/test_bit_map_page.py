"""A person paints a bit map in a real browser: mouse, keys, slider, two tabs, a lost server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.pages.bit_map_site import (
    NUM_BLOCKS,
    NUM_KINDS,
    PATIENCE,
    Site,
    find_cell,
    list_widths,
    open_map,
    place_of,
    wait_until_saved,
)
from tests.bit_map_samples import add_bit_map
from tests.browser import browser, page, serve_samples, watch

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
# A tab that hears nothing of others, though it can still send.
DEAF = """() => {
  const ask = window.fetch;
  window.fetch = (address, ...more) => (String(address).includes('after=')
    ? new Promise(() => {}) : ask(address, ...more));
}"""
TEN = tuple((number % NUM_BLOCKS, (3 * number) % NUM_KINDS) for number in range(10))


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


def test_ten_fast_clicks_hit_ten_right_cells(page: Page, site: Site) -> None:
    """Each click takes the cell under it to its next width, and no other cell."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    before = list_widths(page)
    centers = []
    for row, column in TEN:
        box = find_cell(page, row, column).bounding_box()
        assert box is not None
        centers.append((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    for x, y in centers:
        page.mouse.click(x, y)
    wait_until_saved(page)
    after = site.read_state(map_id)["bits"]
    asked = {place_of(page, row, column) for row, column in TEN}
    assert {place for place, bits in enumerate(after) if bits != before[place]} == asked
    assert {after[place] for place in asked} == {6}
    assert list_widths(page) == after


def test_ten_fast_edits_survive_a_reload(page: Page, site: Site) -> None:
    """Nothing is lost when the page is left at once after the tenth change."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    find_cell(page, 0, 0).focus()
    for _ in range(NUM_KINDS):
        page.keyboard.press("8")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    for digit in ("2", "3", "6"):
        page.keyboard.press("ArrowRight")
        page.keyboard.press(digit)
    page.reload()
    expect(page.locator(".bit-map")).to_have_attribute("data-ready", "true")
    expect(find_cell(page, 1, 2)).to_have_text("6")
    texts = page.locator(".bit-map td[data-index]").all_inner_texts()
    assert texts[: NUM_KINDS + 3] == ["8"] * NUM_KINDS + ["2", "3", "6"]


def test_a_stroke_paints_what_it_passes_and_is_one_step(page: Page, site: Site) -> None:
    """Dragging gives every cell on the way the first one's new width; one undo takes all back."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    find_cell(page, 1, 1).hover()
    page.mouse.down()
    find_cell(page, 5, 1).hover()
    page.mouse.up()
    wait_until_saved(page)
    painted = [place_of(page, row, 1) for row in range(1, 6)]
    after = site.read_state(map_id)["bits"]
    assert [place for place, bits in enumerate(after) if bits == 6] == painted
    page.keyboard.press("Control+z")
    expect(find_cell(page, 3, 1)).to_have_text("4")
    wait_until_saved(page)
    assert set(site.read_state(map_id)["bits"]) == {4}
    page.keyboard.press("Control+Shift+z")
    expect(find_cell(page, 3, 1)).to_have_text("6")


def test_a_reload_keeps_widths_pins_and_undo(page: Page, site: Site) -> None:
    """After a reload the map is as it was, and what was done can still be undone."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    find_cell(page, 2, 2).click()
    find_cell(page, 2, 2).click(modifiers=["Shift"])
    wait_until_saved(page)
    page.reload()
    expect(find_cell(page, 2, 2)).to_have_attribute("aria-label", "block 2 v_proj: 6 bits, pinned")
    page.get_by_role("button", name="Undo").click()
    expect(find_cell(page, 2, 2)).to_have_attribute("aria-label", "block 2 v_proj: 6 bits")
    page.get_by_role("button", name="Undo").click()
    expect(find_cell(page, 2, 2)).to_have_attribute("aria-label", "block 2 v_proj: 4 bits")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_two_tabs_see_each_other_and_overwrite_nothing_unsaid(
    page: Page, browser: Browser, site: Site
) -> None:
    """What one tab changes the other shows with a note; over an unseen change it does not paint."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    troubles: list[str] = []
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    other = context.new_page()
    watch(other, troubles)
    open_map(other, site, map_id)
    find_cell(other, 4, 4).click()
    expect(find_cell(page, 4, 4)).to_have_text("6")
    expect(page.locator(".notice")).to_contain_text("changed 1 layer: block 4 gate_proj")
    page.evaluate(DEAF)
    find_cell(other, 5, 5).click()
    wait_until_saved(other)
    page.keyboard.press("Escape")
    find_cell(page, 5, 5).focus()
    page.keyboard.press("2")
    expect(page.locator(".notice")).to_contain_text("model.layers.5.mlp.up_proj")
    expect(find_cell(page, 5, 5)).to_have_text("6")
    assert site.read_state(map_id)["bits"][place_of(page, 5, 5)] == 6
    context.close()
    assert not troubles


def test_keys_alone_build_pin_undo_and_launch(page: Page, site: Site) -> None:
    """Without a mouse a map is painted, pinned, selected, undone, solved and verified."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    find_cell(page, 0, 0).focus()
    page.keyboard.press("8")
    expect(page.locator(".bit-map [aria-live=polite]")).to_contain_text("block 0 q_proj: 8 bits, ")
    page.keyboard.press("p")
    expect(find_cell(page, 0, 0)).to_have_attribute("aria-label", "block 0 q_proj: 8 bits, pinned")
    page.keyboard.press("Control+End")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator(".bit-map td[aria-selected=true]")).to_have_count(4)
    page.keyboard.press("f")
    expect(find_cell(page, 7, 6)).to_have_text("16")
    expect(find_cell(page, 6, 5)).to_have_text("16")
    page.keyboard.press("Escape")
    expect(page.locator(".bit-map td[aria-selected=true]")).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(find_cell(page, 7, 6)).to_have_text("4")
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(find_cell(page, 0, 3)).not_to_have_text("4")
    wait_until_saved(page)
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    expect(find_cell(page, 5, 3)).to_have_text("16")
    wait_until_saved(page)
    expect(find_cell(page, 0, 0)).not_to_have_text("16")
    page.get_by_role("button", name="Verify").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".checks a").first).to_be_visible()
    assert len(site.read_state(map_id)["checks"]) == 1


def test_a_dragged_slider_solves_as_it_goes_and_is_one_step(page: Page, site: Site) -> None:
    """Each step repaints grid and ledger without storing; letting go is one change."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    revision = site.read_state(map_id)["revision"]
    slider = page.get_by_role("slider")
    before = page.locator(".ledger .effective").inner_text()
    for amount in ("3.5", "3.2", "3"):
        slider.evaluate("(node, value) => { node.value = value;"
                        " node.dispatchEvent(new Event('input')); }", amount)  # fmt: skip
    expect(page.locator(".ledger .effective")).not_to_have_text(before)
    expect(page.locator(".ledger .effective")).to_have_text(re.compile("2.9|3.00"))
    assert site.read_state(map_id)["revision"] == revision
    slider.evaluate("node => node.dispatchEvent(new Event('change'))")
    expect(page.locator(".bit-map")).to_have_attribute("data-revision", str(revision + 1))
    wait_until_saved(page)
    state = site.read_state(map_id)
    assert 2.9 < state["ledger"]["effective_bits"] <= 3
    assert list_widths(page) == state["bits"]
    page.get_by_role("button", name="Undo").click()
    expect(find_cell(page, 3, 3)).to_have_text("4")
    wait_until_saved(page)
    assert set(site.read_state(map_id)["bits"]) == {4}


def test_a_pattern_sets_by_name_and_says_how_many(page: Page, site: Site) -> None:
    """The box counts what it matches as it is typed, and Enter sets it."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    box = page.get_by_label("Names with * and =")
    box.fill("*.mlp.*=3")
    expect(page.locator(".under")).to_contain_text("24 layers match")
    box.press("Enter")
    expect(find_cell(page, 0, 4)).to_have_text("3")
    wait_until_saved(page)
    texts = page.locator(".bit-map td[data-index]").all_inner_texts()
    assert texts == list("4444333") * NUM_BLOCKS
    assert site.read_state(map_id)["bits"] == list_widths(page)
    box.fill("*.mlp.*=9")
    box.press("Enter")
    expect(page.locator(".notice")).to_contain_text("a width of 2 to 8 or 16")


def test_a_header_sets_its_row_or_column(page: Page, site: Site) -> None:
    """A click on a header offers the widths for all of it."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    find_cell(page, -1, 6).click()
    page.get_by_role("menuitem", name="8", exact=True).click()
    expect(find_cell(page, 7, 6)).to_have_text("8")
    find_cell(page, 3, -1).click()
    page.get_by_role("menuitem", name="2", exact=True).click()
    expect(find_cell(page, 3, 6)).to_have_text("2")
    wait_until_saved(page)
    texts = page.locator(".bit-map td[data-index]").all_inner_texts()
    assert texts == [*list("4444448") * 3, *"2222222", *list("4444448") * 4]
    assert site.read_state(map_id)["bits"] == list_widths(page)


def test_changes_wait_while_the_server_is_away(browser: Browser, site: Site) -> None:
    """What cannot be saved stays painted, is said, and is saved once the server answers again."""
    map_id = site.make_map()
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    open_map(page, site, map_id)
    page.route("**/api/v1/bit-maps/**", lambda route: route.abort())
    for row, column in TEN[:5]:
        find_cell(page, row, column).click()
    notice = page.get_by_role("alert").filter(has_text="5 changes wait")
    expect(notice).to_be_visible()
    expect(find_cell(page, *TEN[4])).to_have_text("6")
    page.unroute("**/api/v1/bit-maps/**")
    wait_until_saved(page)
    expect(notice).to_be_hidden()
    bits = site.read_state(map_id)["bits"]
    assert [bits[place_of(page, row, column)] for row, column in TEN[:5]] == [6] * 5
    context.close()
