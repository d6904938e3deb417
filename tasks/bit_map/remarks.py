"""What of a request was left undone, or done otherwise, gathered into a few sentences.

Start with `Remarks`; `write` says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NUM_NAMED = 3


@dataclass
class Remarks:
    """What happened to layers, in the order of their names; fills up while edits are made."""

    left: dict[int, None] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    crossed: dict[int, None] = field(default_factory=dict)
    held: dict[int, None] = field(default_factory=dict)
    moved: dict[int, None] = field(default_factory=dict)
    leveled: dict[int, None] = field(default_factory=dict)
    apart: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    sentences: dict[str, None] = field(default_factory=dict)

    def leave(self, places: Iterable[int]) -> None:
        """Another tab changed these meanwhile."""
        self.left.update(dict.fromkeys(places))

    def refuse(self, places: Iterable[int], bits: int) -> None:
        """Limits stand against a width."""
        self.refused.update(dict.fromkeys(places, bits))

    def cross(self, places: Iterable[int]) -> None:
        """A least above a most leaves no width."""
        self.crossed.update(dict.fromkeys(places))

    def hold(self, places: Iterable[int]) -> None:
        """Pins stand against limits."""
        self.held.update(dict.fromkeys(places))

    def move(self, places: Iterable[int]) -> None:
        """Widths were moved to their new limits."""
        self.moved.update(dict.fromkeys(places))

    def level(self, places: Iterable[int]) -> None:
        """Layers that share a width were given one."""
        self.leveled.update(dict.fromkeys(places))

    def part(self, places: Iterable[int], why: str) -> None:
        """Layers cannot share a width."""
        self.apart.append((tuple(places), why))

    def say(self, sentence: str) -> None:
        """Say a whole sentence; once, and nothing where it is empty."""
        if sentence:
            self.sentences[sentence] = None

    def write(self, names: Sequence[str]) -> str:
        """Return everything as one text; empty where all went as asked."""
        said: list[tuple[Iterable[int], str]] = [
            (self.left, "left as another tab changed {it} meanwhile: {names}."),
            (self.refused, "kept {its} width, since the limits leave no {bits} bits: {names}."),
            (self.crossed, "kept {its} limits, since least would be above most: {names}."),
            (self.held, "kept {its} limits, since {its} pinned width would break them: {names}."),
            (self.moved, "moved to {its} new limits: {names}."),
            (self.leveled, "given one width, since they share it: {names}."),
        ]
        found = [_write(places, text, names, self.refused) for places, text in said if places]
        for places, why in self.apart:
            found.append(f"Layers go on without sharing widths: {_name(places, names)}: {why}.")
        return " ".join([*found, *self.sentences])


def _write(places: Iterable[int], text: str, names: Sequence[str], refused: dict[int, int]) -> str:
    ordered = sorted(places)
    one = len(ordered) == 1
    bits = " or ".join(map(str, sorted(set(refused.values()))))
    told = text.format(
        it="it" if one else "them",
        its="its" if one else "their",
        bits=bits,
        names=_name(ordered, names),
    )
    return f"{len(ordered)} {'layer' if one else 'layers'} {told}"


def _name(places: Sequence[int], names: Sequence[str]) -> str:
    """Return "a, b, c and 9 others"."""
    shown = [names[place] for place in places[:NUM_NAMED]]
    others = len(places) - len(shown)
    if others:
        return f"{', '.join(shown)} and {others} {'other' if others == 1 else 'others'}"
    return " and ".join((", ".join(shown[:-1]), shown[-1])) if len(shown) > 1 else shown[0]
