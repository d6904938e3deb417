"""Promises of where a problem is shown."""

from __future__ import annotations

import pytest

from app.forms.fields import list_fields
from app.forms.problems import place_problems
from app.forms.values import fill, find_current
from engine.errors import Problem

FIELDS = list_fields()


@pytest.mark.parametrize(
    ("field", "element"),
    [
        ("quantizer.bits", "field-quantizer-integer-bits"),
        ("quantizer.include.0", "field-quantizer-integer-include"),
        ("model.source", "field-model-source"),
        ("adapter.r", ""),
        ("nowhere", ""),
        ("", ""),
    ],
)
def test_problems_find_their_field(field: str, element: str) -> None:
    """A problem stands at the field that is shown, else only in the list."""
    current = find_current(FIELDS, fill(FIELDS, {"preset": "rtn"}))
    (placed,) = place_problems([Problem(field, "is wrong")], FIELDS, current)
    assert (placed["element"], placed["message"]) == (element, "is wrong")
