"""What is edited: a width for each layer, what a solve must keep, and the last budget.

Layers go by their place among the map's layers. Contents are values: an edit makes another one.
Start with `Content`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from engine.allocation.budgets import Budget, Unit


@dataclass(frozen=True)
class Content:
    """A map at one moment.

    Attributes:
        widths: Of each layer.
        pins: Layers whose width a solve keeps.
        least: The lowest width of a layer, where there is one.
        most: The highest.
        fused: Whether layers that exporters need at one width share it.
        budget: What the map was solved for; None before, and once a width was changed since.
    """

    widths: tuple[int, ...]
    pins: frozenset[int] = frozenset()
    least: Mapping[int, int] = field(default_factory=dict)
    most: Mapping[int, int] = field(default_factory=dict)
    fused: bool = False
    budget: Budget | None = None

    def get_cell(self, place: int) -> tuple[int, bool, int | None, int | None]:
        """Return everything that is said of a layer."""
        return self.widths[place], place in self.pins, self.least.get(place), self.most.get(place)

    def allows(self, place: int, bits: int) -> bool:
        """Whether a layer's limits leave a width."""
        return self.least.get(place, bits) <= bits <= self.most.get(place, bits)


def write_content(content: Content) -> dict[str, Any]:
    """Return a content as JSON values, as the store keeps it."""
    budget = content.budget
    return {
        "widths": list(content.widths),
        "pins": sorted(content.pins),
        "least": {str(place): bits for place, bits in sorted(content.least.items())},
        "most": {str(place): bits for place, bits in sorted(content.most.items())},
        "fused": content.fused,
        "budget": None if budget is None else {"amount": budget.amount, "unit": budget.unit},
    }


def read_content(values: Mapping[str, Any]) -> Content:
    """Return what `write_content` wrote."""
    budget = values["budget"]
    return Content(
        widths=tuple(values["widths"]),
        pins=frozenset(values["pins"]),
        least={int(place): bits for place, bits in values["least"].items()},
        most={int(place): bits for place, bits in values["most"].items()},
        fused=values["fused"],
        budget=None if budget is None else Budget(budget["amount"], cast(Unit, budget["unit"])),
    )


def list_changed(before: Content, after: Content) -> frozenset[int]:
    """Return the layers of which anything is said otherwise."""
    if before.pins == after.pins and before.least == after.least and before.most == after.most:
        pairs = enumerate(zip(before.widths, after.widths, strict=True))
        return frozenset(place for place, (old, new) in pairs if old != new)
    places = range(len(before.widths))
    return frozenset(each for each in places if before.get_cell(each) != after.get_cell(each))


def hash_widths(content: Content) -> str:
    """Return the same 64 characters for the same widths."""
    return hashlib.sha256(json.dumps(content.widths).encode()).hexdigest()
