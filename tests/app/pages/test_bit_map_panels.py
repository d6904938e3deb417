"""A person makes, checks, compares, limits and launches bit maps in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from engine.events import ScoreMeasured, SensitivityScored
from tasks import submit
from tasks.lease import claim_run
from tasks.settings import Settings
from tasks.store.clock import later
from tasks.store.recording import Batch, finish, write_batch
from tasks.store.tables import Run
from tasks.submit import open_desk
from tests.app.pages.bit_map_site import (
    PATIENCE,
    Site,
    find_cell,
    list_widths,
    open_map,
    wait_until_saved,
)
from tests.bit_map_samples import add_bit_map, list_layers
from tests.browser import Served, browser, page, serve_samples, served
from tests.store_samples import carry_out, open_events, size_of

__all__ = ["browser", "page", "served"]
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


def test_an_empty_store_says_what_to_do_first(page: Page, served: Served) -> None:
    """Without a map the page leads to measuring sensitivity, and offers a map from a model."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{served.address}/layers")
    expect(page.get_by_role("link", name="Measure sensitivity")).to_have_attribute(
        "href", "/sensitivity"
    )
    expect(page.get_by_label("a model")).to_be_checked()


def test_a_map_is_made_listed_and_deleted(page: Page, site: StoredSite) -> None:
    """From the list a sensitivity run becomes a map with a name; deleting it asks first."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/layers?sensitivity={site.samples.sensitivity}")
    expect(page.get_by_label("a sensitivity run")).to_be_checked()
    page.get_by_label("Name").fill("from the list")
    page.get_by_role("button", name="Create the map").click()
    expect(page.locator(".bit-map")).to_have_attribute("data-ready", "true")
    expect(page.get_by_label("Rename this map")).to_have_value("from the list")
    page.goto(f"{site.address}/layers")
    expect(page.get_by_role("link", name="from the list")).to_be_visible()
    page.get_by_role("button", name="Delete from the list").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("link", name="from the list")).to_have_count(0)


def test_a_map_without_scores_can_be_painted_but_not_solved(page: Page, site: StoredSite) -> None:
    """The budget says what is missing and leads there; the ledger counts all the same."""
    quantizer = {"grid": "integer", "bits": 4, "group_size": 64}
    map_id = site.make_map(model=site.samples.model, quantizer=quantizer)
    open_map(page, site, map_id)
    expect(page.locator(".budget")).to_contain_text("this map has none")
    expect(page.get_by_role("slider")).to_have_count(0)
    before = page.locator(".ledger .total").inner_text()
    find_cell(page, -1, 6).click()
    page.get_by_role("menuitem", name="16", exact=True).click()
    expect(page.locator(".ledger .total")).not_to_have_text(before)


def test_sensitivity_colors_the_grid(page: Page, site: StoredSite) -> None:
    """The switch colors by score at the present or a chosen width, and cells say the score."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    page.get_by_role("button", name="Sensitivity", exact=True).click()
    cell = find_cell(page, 0, 6)
    expect(cell).to_have_attribute("aria-label", re.compile(r"4 bits, sensitivity .* nats"))
    present = cell.get_attribute("aria-label")
    page.get_by_label("Sensitivity at").select_option("2")
    expect(cell).not_to_have_attribute("aria-label", present or "")
    expect(cell).to_have_text("4")
    cell.hover()
    expect(page.locator(".detail")).to_contain_text("model.layers.0.mlp.down_proj")
    query = f"run={site.samples.sensitivity}&name=model.layers.0.mlp.down_proj"
    expect(page.locator(".detail a")).to_have_attribute("href", f"/layer?{query}")


def test_predicted_and_measured_stand_together(page: Page, site: StoredSite) -> None:
    """Verifying queues a run; once it has its score, both stand in one row with the run."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    expect(page.locator(".budget")).to_contain_text("not yet verified")
    page.get_by_role("button", name="Verify").click()
    row = page.locator(".checks tbody tr")
    expect(row).to_contain_text("this map")
    run = site.read_state(map_id)["checks"][0]["run"]
    expect(row.locator("a")).to_have_attribute("href", f"/run?id={run}")
    desk = open_desk(site.settings)
    try:
        scores = [
            ScoreMeasured(
                "text/bundled:python-docs", metric, value, 0.01, 64, "lower", limited=False
            )
            for metric, value in (("kl_divergence", 0.1), ("perplexity", 21.5))
        ]
        carry_out(desk, run, [*open_events(), size_of(4), *scores])
    finally:
        desk.database.dispose()
    expect(row).to_contain_text("21.5")
    expect(row).to_contain_text("0.100")


def test_a_tab_that_was_hidden_learns_what_ended_meanwhile(page: Page, site: StoredSite) -> None:
    """A measurement that ended minutes before the tab is looked at again stands there then."""
    map_id = site.make_map()
    run = site.ask(f"/api/v1/bit-maps/{map_id}/verify", {})["run"]
    open_map(page, site, map_id)
    row = page.locator(".checks tbody tr")
    expect(row).to_contain_text("this map")
    page.evaluate(
        """() => {
          window.isHidden = true;
          const now = Date.now.bind(Date);
          Date.now = () => now() + (window.isHidden ? 0 : 600000);
          Object.defineProperty(document, 'visibilityState',
            { get: () => (window.isHidden ? 'hidden' : 'visible') });
        }"""
    )
    desk = open_desk(site.settings)
    try:
        score = ScoreMeasured(
            "text/bundled:python-docs", "perplexity", 23.5, 0.01, 64, "lower", limited=False
        )
        carry_out(desk, run, [*open_events(), size_of(4), score])
        with desk.database.writing() as session:
            session.get_one(Run, run).finished_at = later(-600)
    finally:
        desk.database.dispose()
    page.evaluate(
        """() => {
          window.isHidden = false;
          document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    expect(row).to_contain_text("23.5")


def test_scores_that_come_in_are_shown_wherever_they_stand(page: Page, site: StoredSite) -> None:
    """An open map follows its run: heading, grid, card of a layer, widths to choose and curve."""
    layers = list_layers(8)

    def tell(name: str, bits: int, value: float) -> SensitivityScored:
        return SensitivityScored(name, bits, "kl_divergence", value, None, 32)

    desk = open_desk(site.settings)
    try:
        asked = {"model": {"source": site.samples.model}, "widths": [2, 4], "name": "coming"}
        run = submit.submit_sensitivity(desk, asked).id
        claim = claim_run(desk.database, site.settings, "host/0", run_id=run)
        assert claim is not None
        first = [tell(name, 4, 0.01) for name in layers[:-1]]
        write_batch(desk.database, claim, Batch(sensitivity_scores=first))
        map_id = site.make_map(sensitivity=run)
        open_map(page, site, map_id)
        expect(page.locator(".map-heading .badge")).to_be_visible()
        more = [tell(layers[-1], 4, 0.5), *(tell(name, 2, 0.25) for name in layers)]
        with page.expect_response(re.compile("/frontier$")):
            write_batch(desk.database, claim, Batch(sensitivity_scores=more))
        finish(desk.database, claim, Batch(), ending="succeeded", columns={})
    finally:
        desk.database.dispose()
    expect(page.locator(".map-heading .badge")).to_have_count(0)
    expect(page.locator(".map-heading .note-line")).to_be_hidden()
    page.get_by_role("button", name="Sensitivity", exact=True).click()
    expect(page.get_by_label("Sensitivity at").locator("option[value='2']")).to_have_count(1)
    find_cell(page, 7, 6).hover()
    expect(page.locator(".detail .scores")).to_contain_text("0.500")
    expect(find_cell(page, 7, 6)).to_have_attribute("aria-label", re.compile("0.500"))


def test_versions_are_kept_compared_and_restored(page: Page, site: StoredSite) -> None:
    """A version's difference stands in the grid and as a list; restoring it is one step."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    page.get_by_label("Name of the version").fill("all at four")
    page.get_by_role("button", name="Save version").click()
    expect(page.locator(".versions tbody")).to_contain_text("all at four")
    find_cell(page, 1, 1).click()
    wait_until_saved(page)
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(find_cell(page, 1, 1)).to_have_text("4→6")
    expect(page.locator(".compared")).to_contain_text("1 layer differs; +")
    page.get_by_role("button", name="Stop comparing").click()
    expect(find_cell(page, 1, 1)).to_have_text("6")
    page.get_by_role("button", name="Restore all at four").click()
    expect(find_cell(page, 1, 1)).to_have_text("4")
    page.get_by_role("button", name="Undo").click()
    expect(find_cell(page, 1, 1)).to_have_text("6")


def test_limits_and_sharing_hold_for_later_changes(page: Page, site: StoredSite) -> None:
    """A limited layer refuses other widths with a note; fused layers move together."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    page.get_by_text("Limits and sharing").click()
    page.get_by_label("Layers by name").fill("*.down_proj")
    page.get_by_label("At least").select_option("4")
    page.get_by_role("button", name="Limit", exact=True).click()
    expect(page.locator(".rules-now")).to_contain_text("down_proj of 8 blocks at least 4 bits")
    find_cell(page, 2, 6).focus()
    page.keyboard.press("2")
    expect(page.locator(".notice")).to_contain_text("model.layers.2.mlp.down_proj")
    expect(find_cell(page, 2, 6)).to_have_text("4")
    page.get_by_label("share a width").check()
    wait_until_saved(page)
    find_cell(page, 3, 0).click()
    expect(find_cell(page, 3, 1)).to_have_text("6")
    expect(find_cell(page, 3, 2)).to_have_text("6")
    wait_until_saved(page)
    assert site.read_state(map_id)["bits"] == list_widths(page)


def test_a_map_goes_out_and_comes_in_as_a_file(page: Page, site: StoredSite) -> None:
    """Four formats are plain links; and a pasted map is imported."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    page.get_by_text("Import and export").click()
    links = page.locator(".files a")
    expect(links).to_have_count(4)
    with page.expect_download() as download:
        links.first.click()
    text = download.value.path().read_text()
    assert "model.layers.0.self_attn.q_proj" in text
    page.get_by_label("Paste it here").fill(re.sub(r"(down_proj\D+)4", r"\g<1>8", text))
    page.get_by_role("button", name="Import", exact=True).click()
    expect(find_cell(page, 0, 6)).to_have_text("8")


def test_what_cannot_be_is_said(browser: Browser, site: StoredSite) -> None:
    """A map that is not there, a file of another model, a budget too small: each is a sentence."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/layers?map=77")
    expect(page.locator(".bit-map")).to_contain_text("bit map 77")
    expect(page.get_by_role("link", name="See all maps")).to_be_visible()
    open_map(page, site, site.make_map())
    page.get_by_text("Import and export").click()
    page.get_by_label("Paste it here").fill('{"other.model.q_proj": 4}')
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".notice")).to_contain_text("other.model.q_proj")
    box = page.get_by_role("textbox", name="Budget")
    box.fill("0.5")
    box.press("Enter")
    expect(page.locator(".bit-map")).to_contain_text(re.compile("smallest possible|at least"))
    expect(find_cell(page, 0, 0)).to_have_text("4")
    context.close()


def test_training_starts_from_the_map(page: Page, site: StoredSite) -> None:
    """A preset opens the form of a new experiment with this map's widths in it."""
    map_id = site.make_map()
    site.edit(map_id, {"edit": "set", "pattern": "*.down_proj", "bits": 8})
    open_map(page, site, map_id)
    page.get_by_label("Preset").select_option("qat-lora")
    page.get_by_role("button", name="Set up the experiment").click()
    expect(page).to_have_url(re.compile(r"/new\?draft=\d+"))


def test_names_are_text_and_no_page(page: Page, browser: Browser, site: StoredSite) -> None:
    """A name of a map or a version that looks like a page stays a name."""
    hostile = "<img src=x onerror=alert(1)>${7*7}{{1}}"
    map_id = site.make_map()
    site.edit(map_id, {"edit": "name", "name": hostile})
    site.ask(f"/api/v1/bit-maps/{map_id}/versions", {"name": hostile})
    open_map(page, site, map_id)
    expect(page.get_by_label("Rename this map")).to_have_value(hostile)
    expect(page.locator(".versions tbody")).to_contain_text(hostile)
    page.goto(f"{site.address}/layers")
    expect(page.get_by_role("link", name=hostile)).to_be_visible()
