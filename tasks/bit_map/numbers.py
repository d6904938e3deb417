"""Plain values of a request about a map: whole numbers, budgets, names, texts.

JSON of Python's reader may hold NaN, and truth is a number to Python; neither is one here. Start
with `read_whole`.
"""

from __future__ import annotations

import math
from typing import Any, cast, get_args

from engine.allocation.budgets import Budget, Unit
from engine.errors import SpecError
from tasks.store.records import LARGEST_ID

MAX_NAME = 120


def read_whole(value: Any, field: str, *, lowest: int, highest: int = LARGEST_ID) -> int:
    """Return a whole number within limits.

    Raises:
        SpecError: At the field.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        shown = "null" if value is None else repr(value)[:60]
        raise SpecError.at(field, f"must be a whole number from {lowest} up, not {shown}")
    return value


def read_number(text: str, field: str) -> int:
    """Return a number that stands in an address.

    Raises:
        SpecError: At the field.
    """
    if not text.isascii() or not text.isdecimal():
        raise SpecError.at(field, f"must be a number, or empty, not {text[:40]!r}")
    return read_whole(int(text), field, lowest=1)


def read_budget(value: Any, field: str) -> Budget:
    """Return a budget from {"amount": 3.0, "unit": "bits"}.

    Raises:
        SpecError: At the field, or at `amount` or `unit` in it.
    """
    units = get_args(Unit)
    if not isinstance(value, dict) or not set(value) <= {"amount", "unit"}:
        raise SpecError.at(field, 'must be a size, such as {"amount": 3.0, "unit": "bits"}')
    amount, unit = value.get("amount"), value.get("unit")
    if unit not in units:
        raise SpecError.at(f"{field}.unit", f"{str(unit)[:40]!r} is not one of {', '.join(units)}")
    is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not is_number or not _is_sensible(cast(float, amount)):
        raise SpecError.at(
            f"{field}.amount", f"must be a number above 0, such as 3.0, not {repr(amount)[:40]}"
        )
    return Budget(float(cast(float, amount)), cast(Unit, unit))


def read_name(value: Any, field: str) -> str:
    """Return a name of one line.

    Raises:
        SpecError: At the field.
    """
    name = value.strip() if isinstance(value, str) else ""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise SpecError.at(field, f"must be one line of 1 to {MAX_NAME} characters")
    return name


def read_text(value: Any, field: str) -> str:
    """Return the text of a file.

    Raises:
        SpecError: At the field.
    """
    if not isinstance(value, str) or not value.strip():
        raise SpecError.at(field, "must be the text of a layer map, and is empty")
    return value


def _is_sensible(amount: float) -> bool:
    """Whether a size can be computed with."""
    return 0 < amount <= 1e12 and math.isfinite(amount)
