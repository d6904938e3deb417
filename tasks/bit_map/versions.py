"""States of a map that were given a name, and what differs between two. Start with `Versions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import SpecError
from tasks.bit_map.content import Content, read_content
from tasks.bit_map.ground import Ground
from tasks.bit_map.ledger import write_ledger
from tasks.store.bit_map_records import VersionRecord


@dataclass(frozen=True)
class Versions:
    """The versions of a map, oldest first."""

    records: tuple[VersionRecord, ...] = ()

    def get(self, number: int, field: str) -> Content:
        """Return what a version holds.

        Raises:
            SpecError: At the field, when there is no such version.
        """
        for record in self.records:
            if record.number == number:
                return read_content(record.content)
        there = ", ".join(str(record.number) for record in self.records[-8:])
        hint = f"there are {there}" if there else "none was kept yet"
        raise SpecError.at(field, f"there is no version {number}; {hint}")


@dataclass(frozen=True)
class ChangedLayer:
    """A layer of two widths."""

    name: str
    index: int
    before: int
    after: int


@dataclass(frozen=True)
class Difference:
    """What differs: layers of another width, and bytes by part, later minus earlier."""

    layers: tuple[ChangedLayer, ...]
    ledger: dict[str, int]


def compare(before: Content, after: Content, ground: Ground) -> Difference:
    """Return what differs from one content to another."""
    pairs = enumerate(zip(before.widths, after.widths, strict=True))
    changed = tuple(
        ChangedLayer(ground.names[place], place, old, new)
        for place, (old, new) in pairs
        if old != new
    )
    earlier, later = (write_ledger(ground, each).parts for each in (before, after))
    names: Sequence[str] = tuple(dict.fromkeys((*earlier, *later)))
    parts = {name: later.get(name, 0) - earlier.get(name, 0) for name in names}
    return Difference(changed, parts)
