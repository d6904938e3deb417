"""What can be done to a map, each with the places of its layers. Reading them is `reading`'s.

Start with `Edit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.allocation.budgets import Budget
from tasks.bit_map.content import Content

Places = tuple[int, ...]


@dataclass(frozen=True)
class SetWidth:
    """Give layers a width."""

    places: Places
    bits: int


@dataclass(frozen=True)
class Pin:
    """Let a solve keep the width of layers, or no longer."""

    places: Places
    pinned: bool


@dataclass(frozen=True)
class Limit:
    """Change the limits of layers; a bound that is not `changes` stays, None takes it away."""

    places: Places
    changes: Mapping[str, int | None]


@dataclass(frozen=True)
class Fuse:
    """Let layers that exporters need at one width share it, or no longer."""

    fused: bool


@dataclass(frozen=True)
class Solve:
    """Give every layer that is not pinned the width that loses least within a budget."""

    budget: Budget
    field: str


@dataclass(frozen=True)
class Restore:
    """Make the map what a version is."""

    number: int
    content: Content


@dataclass(frozen=True)
class Import:
    """Give the layers that a file names its widths."""

    widths: Mapping[int, int]
    note: str


@dataclass(frozen=True)
class Rename:
    """Call the map something else; it is no step of undo."""

    name: str


@dataclass(frozen=True)
class Move:
    """Go a step back (-1) or forward (1)."""

    step: int


Change = SetWidth | Pin | Limit | Fuse | Solve | Restore | Import
"""What makes another content."""
Edit = Change | Rename | Move
