"""What a person reaches at the bit map: notices, comparing, keys, a phone, the list's form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from engine.events import SensitivityScored
from tasks import submit
from tasks.settings import Settings
from tasks.submit import open_desk
from tests.app.pages.bit_map_site import (
    PATIENCE,
    Site,
    find_cell,
    open_map,
    wait_until_saved,
)
from tests.bit_map_samples import WIDTHS, add_bit_map
from tests.browser import browser, page, serve_samples
from tests.store_samples import carry_out, open_events, size_of

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class StoredSite(Site):
    """The same, with the store behind it."""

    settings: Settings


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredSite]:
    """Serve a store in which a model's layers are scored."""
    folder = tmp_path_factory.mktemp("site")
    with serve_samples(folder, add_bit_map) as (address, samples, settings):
        yield StoredSite(address, samples, settings)


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Two shared cores may be slow."""
    expect.set_options(timeout=PATIENCE)


def test_a_notice_moves_no_cell_and_stays_in_sight(page: Page, site: StoredSite) -> None:
    """What another tab did is told over the page: the grid stays where it was, wherever one is."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    before = find_cell(page, 3, 3).bounding_box()
    site.edit(map_id, {"edit": "set", "pattern": "model.layers.1.*", "bits": 8})
    notice = page.locator(".notice")
    expect(notice).to_contain_text("changed 7 layers")
    assert find_cell(page, 3, 3).bounding_box() == before
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(notice).to_be_in_viewport(ratio=1)
    notice.get_by_role("button", name="Close").click()
    expect(notice).to_be_hidden()


def test_a_card_says_itself_what_was_refused_in_it(page: Page, site: StoredSite) -> None:
    """A limit for nothing is refused in the card of limits."""
    open_map(page, site, site.make_map())
    page.get_by_text("Limits and sharing").click()
    page.get_by_role("button", name="Limit", exact=True).click()
    expect(page.locator(".rules [role=alert]")).to_contain_text("Select layers in the grid")


def test_comparing_with_now_follows_the_map(page: Page, site: StoredSite) -> None:
    """Cells and list tell the newest difference, in the color of the width that is now."""
    map_id = site.make_map()
    _save_version(site, map_id, "first")
    open_map(page, site, map_id)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator(".compared")).to_contain_text("They are the same")
    find_cell(page, 2, 3).focus()
    page.keyboard.press("8")
    expect(find_cell(page, 2, 3)).to_have_text("4→8")
    expect(find_cell(page, 2, 3)).to_have_class(re.compile(r"\bw8\b.*\bdiffers\b"))
    expect(page.locator(".compared")).to_contain_text("1 layer differs")
    page.keyboard.press("4")
    expect(find_cell(page, 2, 3)).to_have_text("4")
    expect(page.locator(".compared")).to_contain_text("They are the same")


def test_comparing_two_versions_shows_theirs_and_ends_with_a_change(
    page: Page, site: StoredSite
) -> None:
    """Cells have the widths and colors of the versions, not of the map; an edit shows the map."""
    map_id = site.make_map()
    layers = ["model.layers.0.self_attn.q_proj"]
    _save_version(site, map_id, "first")
    site.edit(map_id, {"edit": "set", "layers": layers, "bits": 2})
    _save_version(site, map_id, "second")
    site.edit(map_id, {"edit": "set", "pattern": "model.layers.0.*", "bits": 3})
    open_map(page, site, map_id)
    page.get_by_label("from", exact=True).select_option("first")
    page.get_by_label("to", exact=True).select_option("second")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(find_cell(page, 0, 0)).to_have_text("4→2")
    expect(find_cell(page, 0, 0)).to_have_class(re.compile(r"\bw2\b"))
    expect(find_cell(page, 0, 1)).to_have_text("4")
    find_cell(page, 5, 5).click()
    expect(find_cell(page, 0, 0)).to_have_text("3")
    expect(page.locator(".compared")).to_contain_text("The map was changed")


def test_the_focus_stays_where_a_button_was_used(page: Page, site: StoredSite) -> None:
    """Undo at the last step keeps the focus; where a button vanishes, its neighbour has it."""
    map_id = site.make_map()
    _save_version(site, map_id, "first")
    open_map(page, site, map_id)
    find_cell(page, 1, 1).click()
    wait_until_saved(page)
    undo = page.get_by_role("button", name="Undo")
    undo.focus()
    page.keyboard.press("Enter")
    expect(undo).to_have_attribute("aria-disabled", "true")
    expect(undo).to_be_focused()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("button", name="Stop comparing").click()
    expect(page.get_by_role("button", name="Compare", exact=True)).to_be_focused()
    find_cell(page, 1, 1).click(modifiers=["Shift"])
    page.get_by_text("Limits and sharing").click()
    page.get_by_role("button", name="Unpin all").click()
    expect(page.get_by_role("button", name="Unpin all")).to_have_count(0)
    expect(page.locator(".rules summary")).to_be_focused()
    page.locator(".help summary").click()
    page.keyboard.press("Escape")
    expect(page.locator(".help ul")).to_be_hidden()
    expect(page.locator(".help summary")).to_be_focused()
    page.get_by_role("button", name="Verify").click()
    expect(page.locator(".checks")).to_contain_text("Queued as run")
    expect(page.get_by_role("button", name="Verify")).to_be_focused()


def test_a_name_cannot_be_empty_and_the_title_follows_it(page: Page, site: StoredSite) -> None:
    """An emptied name comes back; a new one is also the name of the tab."""
    open_map(page, site, site.make_map())
    name = page.get_by_label("Rename this map")
    old = name.input_value()
    name.fill("  ")
    name.press("Tab")
    expect(name).to_have_value(old)
    name.fill("quite another")
    name.press("Tab")
    expect(page).to_have_title(re.compile("^quite another · "))


def test_an_address_that_is_no_number_is_a_missing_map(page: Page, site: StoredSite) -> None:
    """What stands in the address is repeated in a sentence, without asking the server."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/layers?map=abc")
    expect(page.locator(".bit-map")).to_contain_text("There is no bit map abc.")
    expect(page.get_by_role("link", name="See all maps")).to_be_visible()


def test_the_card_of_a_layer_marks_any_width_and_o_opens_its_page(
    page: Page, site: StoredSite
) -> None:
    """Also 5 bits, which nothing was measured at; a legend tells limits; small parts are told."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    expect(page.locator(".legend")).not_to_contain_text("limited")
    site.edit(map_id, {"edit": "limit", "pattern": "*.down_proj", "least": 3, "most": None})
    expect(page.locator(".legend")).to_contain_text("limited")
    expect(page.locator(".ledger tbody")).to_contain_text("Output head")
    expect(page.locator(".ledger tbody")).to_contain_text("Adapters")
    find_cell(page, 2, 2).focus()
    page.keyboard.press("5")
    expect(page.locator(".detail .scores .now dt")).to_have_text("5")
    page.keyboard.press("o")
    expect(page).to_have_url(
        re.compile(r"/layer\?run=\d+&name=model\.layers\.2\.self_attn\.v_proj")
    )


def test_a_finger_sets_pins_and_selects(browser: Browser, site: StoredSite) -> None:
    """On a phone the layer's card has a button for each width, one to pin and one to select."""
    map_id = site.make_map()
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    open_map(page, site, map_id)
    find_cell(page, 2, 2).tap()
    expect(find_cell(page, 2, 2)).to_have_text("6")
    page.get_by_role("button", name="Set block 2 v_proj to 3 bits").tap()
    expect(find_cell(page, 2, 2)).to_have_text("3")
    page.locator(".detail").get_by_role("button", name="Pin", exact=True).tap()
    expect(find_cell(page, 2, 2)).to_have_attribute("aria-label", re.compile("pinned"))
    page.get_by_role("button", name="Select several").tap()
    find_cell(page, 4, 4).tap()
    find_cell(page, 5, 5).tap()
    page.get_by_role("button", name="Set 2 selected layers to 8 bits").tap()
    expect(find_cell(page, 4, 4)).to_have_text("8")
    expect(find_cell(page, 5, 5)).to_have_text("8")
    page.get_by_role("button", name="End selecting").tap()
    find_cell(page, 4, 4).tap()
    expect(find_cell(page, 4, 4)).to_have_text("16")
    expect(find_cell(page, 5, 5)).to_have_text("8")
    height = page.locator(".curve text").first.evaluate(
        "node => node.getBoundingClientRect().height"
    )
    assert height > 10
    page.goto(f"{site.address}/layers")
    box = page.locator(".maps .danger").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390
    context.close()


def test_a_runs_map_is_made_with_scores_and_whole_scores_stand_first(
    page: Page, site: StoredSite
) -> None:
    """Finished scores are preselected, others say their state; a run's map takes scores too."""
    map_id = site.make_map()
    run = site.ask(f"/api/v1/bit-maps/{map_id}/verify", {})["run"]
    desk = open_desk(site.settings)
    try:
        carry_out(desk, run, [*open_events(), size_of(4)])
        asked = {"model": {"source": site.samples.model}, "widths": list(WIDTHS), "name": "half"}
        half = submit.submit_sensitivity(desk, asked)
        score = SensitivityScored("model.layers.0.mlp.down_proj", 4, "kl_divergence", 0.1, 0.01, 32)
        carry_out(desk, half.id, [*open_events(), score], ending=None)
    finally:
        desk.database.dispose()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/layers")
    scored = page.locator("select[name=sensitivity]")
    expect(scored).to_have_value(str(site.samples.sensitivity))
    expect(scored.locator(f"option[value='{half.id}']")).to_have_text(re.compile("half .* running"))
    page.get_by_label("a finished run").check()
    page.locator("select[name=run]").select_option(str(run))
    page.locator("select[name=run-scores]").select_option(str(site.samples.sensitivity))
    page.get_by_role("button", name="Create the map").click()
    expect(page.locator(".bit-map")).to_have_attribute("data-ready", "true")
    expect(page.get_by_role("slider")).to_have_count(1)


def test_maps_beyond_the_first_page_are_shown_when_asked_for(page: Page, site: StoredSite) -> None:
    """The list has every map, page by page, and keeps what was opened when it asks again."""
    made = {site.make_map() for _ in range(5)}

    def shorten(route: Route) -> None:
        url = route.request.url
        route.continue_(url=url + ("&" if "?" in url else "?") + "limit=2")

    page.route(re.compile(r"/api/v1/bit-maps(\?.*)?$"), shorten)
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/layers")
    rows = page.locator(".maps tbody tr")
    more = page.get_by_role("button", name="Show more maps")
    expect(rows).to_have_count(2)
    more.click()
    expect(rows).to_have_count(4)
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".bit-map-list")).to_have_attribute("data-loads", re.compile("[3-9]"))
    expect(rows).to_have_count(4)
    while more.is_visible():
        before = rows.count()
        more.click()
        expect(rows.nth(before)).to_be_visible()
    shown = rows.evaluate_all("rows => rows.map((row) => Number(row.dataset.map))")
    assert made <= set(shown)
    assert len(shown) == len(set(shown))


def _save_version(site: StoredSite, map_id: int, name: str) -> None:
    """Keep the map as it is."""
    site.ask(f"/api/v1/bit-maps/{map_id}/versions", {"name": name})
