"""A table that can be sorted, as `app/components/sortable_table.js` shows it.

Start with `show_table`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SortCell:
    """What one row says in one column: the text to read, the value to sort by; None stands last.

    `small` stands below the text: its error.
    """

    text: str
    value: float | str | None
    small: str = ""


@dataclass(frozen=True)
class SortRow:
    """One row; the first cell names it, and is a link where there is an `href`.

    `hint` is the name in full, where the cell has it shortened.
    """

    cells: tuple[SortCell, ...]
    href: str = ""
    hint: str = ""


def show_table(
    columns: Sequence[str], rows: Sequence[SortRow], *, sorted_by: int = 0, note: str = ""
) -> dict[str, Any]:
    """Return the value of the `SortableTable` component.

    Args:
        columns: Headers; all but the first are numbers.
        rows: What it holds, in any order.
        sorted_by: The column it is sorted by at first: names upward, numbers downward.
        note: A sentence above it.
    """
    return {
        "columns": list(columns),
        "rows": [
            {
                "href": row.href,
                "hint": row.hint,
                "cells": [
                    {"text": cell.text, "value": cell.value, "small": cell.small}
                    for cell in row.cells
                ],
            }
            for row in rows
        ],
        "sorted": {"column": sorted_by, "down": sorted_by > 0},
        "note": note,
    }
