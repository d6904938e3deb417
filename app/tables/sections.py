"""Sections of facts, as `app/components/facts.js` shows them. Start with `Section`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fact:
    """One cell.

    Attributes:
        text: What is read.
        note: A smaller second line.
        title: Said on hovering.
        tone: "better" or "worse"; colors the text.
        badge: Shows the text as a badge of this kind.
        mark: A badge behind the text.
        href: Makes the text a link; `is_download` for a file.
        copies: What a copy button beside it copies; `copy_label` is its name.
        mono: Whether it is set in a fixed width.
    """

    text: str
    note: str = ""
    title: str = ""
    tone: str = ""
    badge: str = ""
    mark: str = ""
    href: str = ""
    is_download: bool = False
    copies: str = ""
    copy_label: str = ""
    mono: bool = False


@dataclass(frozen=True)
class FactRow:
    """One row; a quiet one is dimmed, and folded away where the section folds."""

    cells: tuple[Fact, ...]
    quiet: bool = False


@dataclass(frozen=True)
class Tool:
    """A button in the section's head: "download" or "copy" what is at `href`."""

    kind: str
    text: str
    href: str
    done: str = ""


@dataclass(frozen=True)
class Section:
    """A titled table.

    Attributes:
        id: Id of the element.
        title: Its heading.
        rows: What it holds.
        empty: What is said where there are no rows.
        columns: Headers; empty for pairs of name and value.
        numbers: Positions of columns set to the right.
        note: A sentence under the heading.
        tools: Buttons.
        fold: Words for unfolding and folding quiet rows, with {count}; None to show them always.
    """

    id: str
    title: str
    rows: tuple[FactRow, ...]
    empty: str
    columns: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    note: str = ""
    tools: tuple[Tool, ...] = ()
    fold: dict[str, str] | None = field(default=None)


def build_row(*cells: Fact | str, quiet: bool = False) -> FactRow:
    """Make a row of facts and plain texts."""
    return FactRow(tuple(_as_fact(cell) for cell in cells), quiet)


def show_sections(sections: Sequence[Section]) -> dict[str, Any]:
    """Return the value of the `Facts` component."""
    return {"sections": [asdict(section) for section in sections]}


def _as_fact(cell: Fact | str) -> Fact:
    return cell if isinstance(cell, Fact) else Fact(cell)
