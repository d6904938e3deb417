"""The Layers page: every bit map (`/layers`), or the one that is being painted (`/layers?map=7`).

Both components read and change the store over REST by themselves, so there is nothing to wire.
Start with `build`.
"""

from __future__ import annotations

from app.components.bit_map import BitMap
from app.components.bit_map_list import BitMapList
from app.services import Services


def build(services: Services) -> None:
    """Build the page; the address decides which of the two shows something."""
    del services
    BitMapList(elem_id="bit-maps")
    BitMap(elem_id="bit-map")
