"""How large a map may be: MiB, bits per weight, or percent of 16 bits. Start with `parse_budget`.

Counted are the layers that are quantized, with their scales and zero points; of the whole model
where that is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isfinite
from typing import Literal, get_args

from engine.allocation.choices import Table
from engine.errors import SpecError
from engine.specs.layer_bits import UNROUNDED

FIELD = "budget"
Unit = Literal["mib", "model-mib", "bits", "percent"]
MIB_BITS = 8 * 1024**2
ACCEPTED = "60MiB, 1.2GiB, 512KiB, 3 bits or 25%"
_MOST = 1e12
_IN_MIB = {"kib": Fraction(1, 1024), "mib": Fraction(1), "gib": Fraction(1024)}
_DECIMAL = {"kb": 1000, "mb": 1000**2, "gb": 1000**3}
_NOTATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)\s*([a-z]+|%)?", re.I)
_SUFFIXES = {"mib": " MiB", "model-mib": " MiB", "bits": " bits", "percent": "%"}


@dataclass(frozen=True)
class Budget:
    """A size that must not be exceeded.

    Attributes:
        amount: How much, above zero.
        unit: "mib", "bits" (per weight, on the mean) and "percent" (of 16 bits) are of the
            quantized layers with scales and zero points; "model-mib" is of the whole model.
    """

    amount: float
    unit: Unit

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise SpecError.at(
                FIELD, f"{str(self.unit)[:40]!r} is not one of {', '.join(get_args(Unit))}"
            )
        if not isfinite(self.amount) or not 0 < self.amount <= _MOST:
            raise SpecError.at(FIELD, f"{self.amount:g} is no size; write {ACCEPTED}")

    def __str__(self) -> str:
        """Write it as a person would: "60 MiB", "3 bits", "25%"."""
        whole = " of the whole model" if self.unit == "model-mib" else ""
        return f"{self.amount:.12g}{_SUFFIXES[self.unit]}{whole}"


def parse_budget(text: str, *, whole_model: bool = False) -> Budget:
    """Read "60MiB", "1.2 GiB", "512KiB", "3", "3.0 bits" or "25%".

    Args:
        text: What was written; a number alone is bits per weight.
        whole_model: Whether MiB are of the whole model instead of its quantized layers.

    Raises:
        SpecError: At "budget", when it is anything else, saying what is accepted.
    """
    found = _NOTATION.fullmatch(text.strip())
    if found is None:
        raise SpecError.at(FIELD, f"{text[:40]!r} is no size; write {ACCEPTED}")
    amount, unit = Fraction(found[1]), (found[2] or "bits").lower()
    if unit in _DECIMAL:
        in_mib = float(amount * _DECIMAL[unit] / 1024**2)
        raise SpecError.at(
            FIELD,
            f"{text.strip()[:40]!r} is not in units of 1024 bytes; write {in_mib:.4g}MiB "
            "(1 MiB = 1024² bytes)",
        )
    if unit in _IN_MIB:
        return Budget(float(amount * _IN_MIB[unit]), "model-mib" if whole_model else "mib")
    if unit not in ("bits", "bit", "%"):
        raise SpecError.at(FIELD, f"{text.strip()[:40]!r} is no size; write {ACCEPTED}")
    if whole_model:
        raise SpecError.at(
            FIELD,
            f"{text.strip()[:40]!r} is of the quantized layers; of the whole model write a size "
            "such as 100MiB",
        )
    return Budget(float(amount), "percent" if unit == "%" else "bits")


def limit_bits(budget: Budget, table: Table, *, other_bytes: int = 0) -> int:
    """Return how many bits the layers of a table may take together.

    A budget above what the widest map takes is allowed; nothing more is spent.

    Args:
        budget: The budget.
        table: The layers with their choices.
        other_bytes: What the model has beside these layers, unrounded weights and adapters that
            stay; counted in "model-mib" alone.

    Raises:
        SpecError: At "budget", when the lowest widths take more; says the smallest possible.
    """
    limit = int(Fraction(str(budget.amount)) * _unit_bits(budget.unit, table))
    limit -= 8 * other_bytes if budget.unit == "model-mib" else 0
    if limit < table.smallest_bits:
        least = find_least(budget.unit, table, other_bytes=other_bytes)
        raise SpecError.at(
            FIELD, f"{budget} is less than these layers can take; use at least {least}"
        )
    return limit


def find_least(unit: Unit, table: Table, *, other_bytes: int = 0) -> Budget:
    """Return the smallest budget there is, rounded up to what is easy to write."""
    amount = to_unit(table.smallest_bits, unit, table, other_bytes=other_bytes)
    digits = 1 if unit in ("mib", "model-mib") and amount >= 1 else 3
    return Budget(float(Fraction(ceil(amount * 10**digits), 10**digits)), unit)


def to_unit(stored_bits: int, unit: Unit, table: Table, *, other_bytes: int = 0) -> Fraction:
    """Return what a map of so many bits is in a budget's unit, exactly."""
    bits = stored_bits + (8 * other_bytes if unit == "model-mib" else 0)
    return bits / _unit_bits(unit, table)


def _unit_bits(unit: Unit, table: Table) -> Fraction:
    """Return how many bits one of a unit is."""
    if unit == "bits":
        return Fraction(table.num_weights)
    if unit == "percent":
        return Fraction(UNROUNDED * table.num_weights, 100)
    return Fraction(MIB_BITS)
