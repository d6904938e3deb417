"""Budgets: read in every accepted notation, turned into bits exactly, refused with examples."""

from __future__ import annotations

import pytest

from engine.allocation.budgets import (
    MIB_BITS,
    Budget,
    Unit,
    find_least,
    limit_bits,
    parse_budget,
    to_unit,
)
from engine.allocation.choices import LayerChoices, Table, build_table
from engine.errors import SpecError


def table_of(num_weights: int) -> Table:
    """Return one layer of 2.5 or 16 bits per weight."""
    stored = (num_weights * 5 // 2, num_weights * 16)
    return build_table([LayerChoices("a", num_weights, (2, 16), (1.0, 0.0), stored)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60MiB", Budget(60, "mib")),
        ("60 MiB", Budget(60, "mib")),
        (" 60mib ", Budget(60, "mib")),
        ("1.2GiB", Budget(1228.8, "mib")),
        ("512KiB", Budget(0.5, "mib")),
        ("3", Budget(3, "bits")),
        ("3.0 bits", Budget(3, "bits")),
        ("2.75bits", Budget(2.75, "bits")),
        ("25%", Budget(25, "percent")),
        ("18.75 %", Budget(18.75, "percent")),
    ],
)
def test_accepted(text: str, expected: Budget) -> None:
    """Sizes in units of 1024, bits per weight and percent of 16 bits are read."""
    assert parse_budget(text) == expected
    assert parse_budget(str(expected)) == expected


def test_of_the_whole_model() -> None:
    """Sizes alone can be of the whole model."""
    assert parse_budget("100MiB", whole_model=True) == Budget(100, "model-mib")
    assert str(Budget(100, "model-mib")) == "100 MiB of the whole model"
    for text in ("3", "25%"):
        with pytest.raises(SpecError, match=r"^budget: .* of the whole model write a size such as"):
            parse_budget(text, whole_model=True)


@pytest.mark.parametrize(
    "text",
    ["", "MiB", "-3", "+3", "3 bytes", "60 Mi B", "1e3MiB", "3,5", "nan", "inf", "0", "0MiB",
     "3.", ".5", "60MiB ok", "٣", "9" * 13, "60MiB\n25%", "3 %%", "60M", "60TiB"],
)  # fmt: skip
def test_refused(text: str) -> None:
    """Anything else is refused in one sentence with examples."""
    with pytest.raises(SpecError, match=r"^budget: .*write 60MiB, 1.2GiB, 512KiB, 3 bits or 25%$"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("text", "proposed"), [("60MB", "57.22MiB"), ("1.5 GB", "1431MiB"), ("300kB", "0.2861MiB")]
)
def test_decimal_units(text: str, proposed: str) -> None:
    """Units of 1000 are refused with the same size in MiB."""
    with pytest.raises(SpecError, match="1 MiB = 1024² bytes") as found:
        parse_budget(text)
    assert f"write {proposed} " in str(found.value)
    assert parse_budget(proposed).unit == "mib"


@pytest.mark.parametrize(("amount", "unit"), [(float("nan"), "mib"), (0, "bits"), (-1, "percent")])
def test_amounts_that_are_none(amount: float, unit: Unit) -> None:
    """A budget of nothing, less, or no number is refused however it is made."""
    with pytest.raises(SpecError, match=r"^budget: "):
        Budget(amount, unit)


def test_unknown_unit() -> None:
    """A unit there is not is refused with those there are."""
    with pytest.raises(SpecError, match="'mb' is not one of mib, model-mib, bits, percent"):
        Budget(3, "mb")  # type: ignore[arg-type]


def test_exact_bits() -> None:
    """Every unit comes to the same whole number of bits, rounded down."""
    table = table_of(1_000_000)
    assert limit_bits(Budget(3.1, "bits"), table) == 3_100_000
    assert limit_bits(Budget(25, "percent"), table) == 4_000_000
    assert limit_bits(Budget(1, "mib"), table) == MIB_BITS
    assert limit_bits(Budget(2, "model-mib"), table, other_bytes=1024**2) == MIB_BITS
    assert limit_bits(Budget(99, "bits"), table) == 99_000_000
    assert to_unit(3_100_000, "bits", table) * 10 == 31


@pytest.mark.parametrize("unit", ["mib", "model-mib", "bits", "percent"])
@pytest.mark.parametrize("num_weights", [1_000, 1_234_567, 987_654_321])
def test_the_smallest_possible(unit: Unit, num_weights: int) -> None:
    """A budget that is too small is refused with the smallest in its unit, which then works."""
    table = table_of(num_weights)
    other_bytes = 12_345_678
    least = find_least(unit, table, other_bytes=other_bytes)
    assert limit_bits(least, table, other_bytes=other_bytes) >= table.smallest_bits
    with pytest.raises(SpecError) as found:
        limit_bits(Budget(least.amount * 0.2, unit), table, other_bytes=other_bytes)
    assert str(found.value).startswith("budget: ")
    assert str(found.value).endswith(f"use at least {least}")


def test_the_smallest_is_easy_to_write() -> None:
    """MiB are rounded up to one digit."""
    table = table_of(100_000_000)
    with pytest.raises(SpecError, match=r"^budget: 20 MiB is less .* use at least 29.9 MiB$"):
        limit_bits(Budget(20, "mib"), table)
