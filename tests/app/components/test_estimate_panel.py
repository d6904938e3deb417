"""Promises of how an estimate is put into words."""

from __future__ import annotations

from app.components.estimate_panel import describe_parts
from app.quantities import MIB


def test_parts_add_up_to_the_whole_bar() -> None:
    """Shares sum to 100 percent, empty parts are left out, neighbors differ in color."""
    parts = describe_parts({"base_weights": 300 * MIB, "nothing": 0, "activations": 100 * MIB})
    assert [part["percent"] for part in parts] == [75.0, 25.0]
    assert parts[0]["name"] == "Base weights"
    assert parts[0]["color"] != parts[1]["color"]


def test_no_parts_are_no_bar() -> None:
    """Nothing to show is nothing, not a division by zero."""
    assert describe_parts({}) == []
