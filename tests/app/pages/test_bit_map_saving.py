"""Nothing a person does on a bit map is lost, nor said to be saved where it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.app.pages.bit_map_site import (
    PATIENCE,
    Site,
    find_cell,
    list_widths,
    open_map,
    place_of,
    wait_until_saved,
)
from tests.bit_map_samples import add_bit_map, list_layers
from tests.browser import browser, page, serve_samples

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
EDITS = re.compile(r"/bit-maps/\d+/edits$")


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


@pytest.fixture
def rough(browser: Browser) -> Iterator[Page]:
    """A page on which requests may fail, which browsers write to the console."""
    context = browser.new_context(viewport={"width": 1360, "height": 900})
    yield context.new_page()
    context.close()


def test_a_large_file_is_saved_and_so_is_what_follows(page: Page, site: Site) -> None:
    """A layer map of more than 64 KiB goes through, though browsers take no more on leaving."""
    map_id = site.make_map()
    open_map(page, site, map_id)
    page.get_by_text("Import and export").click()
    text = "# " + "x" * 70_000 + f"\n{list_layers(8)[0]}: 3\n"
    page.get_by_label("Paste it here").fill(text)
    page.get_by_role("button", name="Import", exact=True).click()
    find_cell(page, 5, 5).click()
    wait_until_saved(page)
    bits = site.read_state(map_id)["bits"]
    assert sorted(bits) == sorted([3, 6, *[4] * (len(bits) - 2)])
    assert list_widths(page) == bits


def test_what_the_server_fails_at_holds_up_nothing_else(rough: Page, site: Site) -> None:
    """A change that the server has an error at is given up and said; the next one is saved."""
    map_id = site.make_map()
    open_map(rough, site, map_id)
    attempts = []

    def fail(route: Route) -> None:
        asked = json.loads(route.request.post_data or "{}")
        if asked["edits"][0].get("bits") != 8:
            route.continue_()
            return
        attempts.append(asked)
        route.fulfill(status=500, json={"message": "an error of ours", "problems": []})

    rough.route(EDITS, fail)
    find_cell(rough, 0, 0).focus()
    rough.keyboard.press("8")
    rough.keyboard.press("ArrowRight")
    rough.keyboard.press("3")
    wait_until_saved(rough)
    expect(rough.locator(".notice")).to_contain_text("given up")
    expect(rough.get_by_role("alert").filter(has_text="does not answer")).to_be_hidden()
    assert len(attempts) > 1
    places = [place_of(rough, 0, column) for column in (0, 1)]
    assert [site.read_state(map_id)["bits"][place] for place in places] == [4, 3]
    expect(find_cell(rough, 0, 0)).to_have_text("4")


def test_a_success_whose_end_was_lost_is_no_failure(rough: Page, site: Site) -> None:
    """Done but answered in part: the page asks until it has the answer, and gives up nothing."""
    map_id = site.make_map()
    open_map(rough, site, map_id)
    cut: list[int] = []

    def shorten(route: Route) -> None:
        if len(cut) == 5:
            route.continue_()
            return
        reply = route.fetch()
        cut.append(reply.status)
        route.fulfill(response=reply, body=reply.text()[:20])

    rough.route(EDITS, shorten)
    find_cell(rough, 0, 0).click()
    expect(rough.locator(".bit-map")).to_have_attribute("data-revision", "2")
    wait_until_saved(rough)
    assert cut == [200] * 5
    expect(rough.locator(".notice")).to_be_hidden()
    expect(find_cell(rough, 0, 0)).to_have_text("6")
    assert site.read_state(map_id)["revision"] == 2


def test_what_was_refused_stays_when_something_else_goes_well(rough: Page, site: Site) -> None:
    """A version kept and a run queued say nothing against a change that was refused before."""
    map_id = site.make_map()
    open_map(rough, site, map_id)
    problems = [{"field": "edits.0", "message": "is not to be"}]
    rough.route(
        EDITS,
        lambda route: route.fulfill(status=422, json={"message": "refused", "problems": problems}),
    )
    find_cell(rough, 0, 0).click()
    notice = rough.locator(".notice")
    expect(notice).to_contain_text("is not to be")
    with rough.expect_response(re.compile("/state$")):
        rough.get_by_role("button", name="Verify").click()
    expect(rough.locator(".checks [role=status]")).to_be_visible()
    wait_until_saved(rough)
    expect(notice).to_contain_text("is not to be")


def test_leaving_while_one_change_is_on_its_way_keeps_the_newest(rough: Page, site: Site) -> None:
    """A request that arrives after the page handed over the rest takes nothing back."""
    map_id = site.make_map()
    open_map(rough, site, map_id)
    sent: list[Route] = []
    rough.route(EDITS, lambda route: sent.append(route))  # noqa: PLW0108
    find_cell(rough, 2, 2).focus()
    for digit in ("2", "3", "8"):
        rough.keyboard.press(digit)
    rough.wait_for_function("() => document.querySelector('.bit-map').dataset.saved === 'false'")
    rough.evaluate("() => window.dispatchEvent(new Event('pagehide'))")
    _wait_for(rough, sent, 2)
    bodies = [json.loads(route.request.post_data or "") for route in sent]
    place = place_of(rough, 2, 2)
    for body in reversed(bodies):
        site.ask(f"/api/v1/bit-maps/{map_id}/edits", body)
    assert [len(body["edits"]) for body in bodies] == [1, 2]
    assert site.read_state(map_id)["bits"][place] == 8


def _wait_for(page: Page, found: list[Route], count: int) -> None:
    """Let the page go on until so many requests were made."""
    for _ in range(200):
        if len(found) >= count:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{len(found)} requests, not {count}")


def test_a_deleted_map_says_so_and_asks_no_more(rough: Page, site: Site) -> None:
    """An open tab of a map that was deleted shows that, and no longer says that it saves."""
    map_id = site.make_map()
    open_map(rough, site, map_id)
    rough.evaluate("address => fetch(address, { method: 'DELETE' })", f"/api/v1/bit-maps/{map_id}")
    expect(rough.locator(".bit-map")).to_contain_text(f"There is no bit map {map_id}.")
    expect(rough.get_by_role("link", name="See all maps")).to_be_visible()
    expect(rough.locator(".saved")).to_have_count(0)
    asked: list[str] = []
    rough.on("request", lambda request: asked.append(request.url))
    rough.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    rough.evaluate("() => fetch('/api/v1/bit-maps')")
    assert [url for url in asked if f"/bit-maps/{map_id}" in url] == []


def test_undo_without_a_server_is_said_to_wait(rough: Page, site: Site) -> None:
    """The grid cannot show what an undo makes; that it waits is said until it is done."""
    map_id = site.make_map()
    open_map(rough, site, map_id)
    find_cell(rough, 1, 1).click()
    wait_until_saved(rough)
    rough.route("**/api/v1/bit-maps/**", lambda route: route.abort())
    rough.get_by_role("button", name="Undo").click()
    notice = rough.get_by_role("alert").filter(has_text="Undo waits")
    expect(notice).to_be_visible()
    expect(find_cell(rough, 1, 1)).to_have_text("6")
    rough.unroute("**/api/v1/bit-maps/**")
    wait_until_saved(rough)
    expect(notice).to_be_hidden()
    expect(find_cell(rough, 1, 1)).to_have_text("4")


def test_a_page_that_cannot_be_built_says_so(rough: Page, site: Site) -> None:
    """An answer that is no map ends the loading with a sentence; after an error it asks again."""
    map_id = site.make_map()
    replies = [(503, {"message": "away", "problems": []}), (200, {"id": map_id})]

    def answer(route: Route) -> None:
        status, news = replies.pop(0)
        route.fulfill(status=status, json=news)

    rough.route(f"**/api/v1/bit-maps/{map_id}", answer)
    rough.goto(f"{site.address}/layers?map={map_id}")
    expect(rough.locator(".bit-map")).to_contain_text("The server does not answer")
    expect(rough.locator(".bit-map")).to_contain_text("This map cannot be shown")
    assert replies == []
