"""A person asks for a trained run's scores at other widths in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tasks.settings import Settings
from tasks.submit import open_desk
from tests.browser import browser, page, serve_samples
from tests.map_samples import MapSamples, add_map_runs
from tests.store_samples import carry_out, open_events

__all__ = ["browser", "page"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PATIENCE = 60_000


@dataclass(frozen=True)
class Site:
    """The pages on a store with layer maps."""

    address: str
    samples: MapSamples
    settings: Settings


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a store in which runs were measured at many maps."""
    folder = tmp_path_factory.mktemp("site")
    with serve_samples(folder, add_map_runs) as (address, samples, settings):
        yield Site(address, samples, settings)


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Two shared cores may be slow."""
    expect.set_options(timeout=PATIENCE)


def end_evaluation(site: Site) -> None:
    """Let the evaluation of the cyclic run that waits succeed, as a worker would."""
    desk = open_desk(site.settings)
    try:
        carry_out(desk, site.samples.waiting, open_events())
    finally:
        desk.database.dispose()


def test_a_form_is_left_alone_while_an_evaluation_ends(page: Page, site: Site) -> None:
    """What is ticked and typed stays when the page hears of a child's end, which is shown."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/run?id={site.samples.cyclic}")
    widths = page.locator("#measured-widths")
    expect(widths.get_by_label("3", exact=True)).to_be_checked()
    for width in ("8", "7", "6", "5"):
        widths.get_by_label(width, exact=True).uncheck()
    name = page.locator("#field-maps-name input, #field-maps-name textarea").first
    name.fill("mine")
    end_evaluation(site)
    expect(page.locator("#run-facts")).to_contain_text("Succeeded")
    expect(widths.get_by_label("3", exact=True)).to_be_checked()
    expect(widths.get_by_label("8", exact=True)).not_to_be_checked()
    expect(name).to_have_value("mine")


def test_an_attack_says_what_it_costs_before(page: Page, site: Site) -> None:
    """Choosing the attack shows its fields and its hours; a wrong number says so at once."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/run?id={site.samples.classifier}")
    line = page.locator("#width-estimate")
    expect(line).to_contain_text("6 maps: about ")
    page.locator("#attacked input").check()
    steps = page.locator("#field-attack-num_steps input, #field-attack-num_steps textarea").first
    expect(steps).to_be_visible()
    expect(line).to_contain_text(" h ")
    steps.fill("many")
    expect(line).to_contain_text("No estimate: ")
