"""The bit map page on a served store, and what its tests ask of it. Start with `Site`."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.bit_map_samples import BitMapSamples

PATIENCE = 20_000
NUM_BLOCKS = 8
NUM_KINDS = 7


@dataclass(frozen=True)
class Site:
    """The pages on a store in which a model's layers are scored."""

    address: str
    samples: BitMapSamples

    def make_map(self, **values: Any) -> int:
        """Make a bit map over REST, of the sensitivity run where nothing else is asked."""
        asked = values or {"sensitivity": self.samples.sensitivity}
        made = self.ask("/api/v1/bit-maps", asked)
        return int(made["id"])

    def ask(self, path: str, body: Any = None) -> Any:
        """Ask REST for something; a body makes it a POST."""
        request = urllib.request.Request(
            self.address + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def read_state(self, map_id: int) -> Any:
        """Return what the store has of a map."""
        return self.ask(f"/api/v1/bit-maps/{map_id}/state")

    def edit(self, map_id: int, *edits: dict[str, Any]) -> Any:
        """Change a map as another tab would."""
        revision = self.read_state(map_id)["revision"]
        asked = {"revision": revision, "client": "another", "edits": list(edits)}
        return self.ask(f"/api/v1/bit-maps/{map_id}/edits", asked)


def open_map(page: Page, site: Site, map_id: int) -> None:
    """Open the page of a map and wait until it can be painted."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{site.address}/layers?map={map_id}")
    expect(page.locator(".bit-map")).to_have_attribute("data-ready", "true")


def find_cell(page: Page, row: int, column: int) -> Locator:
    """Return the cell of a layer, or of a header where one is -1."""
    return page.locator(f".bit-map [data-row='{row}'][data-column='{column}']")


def place_of(page: Page, row: int, column: int) -> int:
    """Return the place of a layer among the model's layers."""
    return int(find_cell(page, row, column).get_attribute("data-index") or -1)


def wait_until_saved(page: Page) -> None:
    """Wait until nothing is on its way to the server."""
    expect(page.locator(".bit-map")).to_have_attribute("data-saved", "true")


def list_widths(page: Page) -> list[int]:
    """Return what the cells say, in the model's order."""
    found = page.locator(".bit-map td[data-index]").evaluate_all(
        "cells => cells.map((cell) => [Number(cell.dataset.index), Number(cell.textContent)])"
    )
    return [bits for _, bits in sorted(found)]
