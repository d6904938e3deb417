"""Promises of drawn widths: chances stay with the widths they were given for, and can be added."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from engine.specs import RandomMap
from engine.specs.bit_policy import MAX_WEIGHT, CurriculumBits, RandomBits, SwitchableBits

DRAWN = [RandomBits, RandomMap]


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize(
    ("widths", "weights"),
    [([4, 8, 6], [90, 10, 5]), ([8, 6, 4], [10, 5, 90]), (["4", "6", "8"], ["90", "5", "10"])],
)
def test_chances_follow_their_widths(kind: type, widths: list[Any], weights: list[Any]) -> None:
    """In whatever order pairs are given, they are kept with the highest width first, for good."""
    spec = kind(widths=widths, weights=weights)
    assert spec.widths == (8, 6, 4)
    assert spec.weights == (10, 5, 90)
    assert kind.model_validate(spec.model_dump(mode="json")) == spec
    assert kind.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize(
    "weights", [[1e308] * 3, [MAX_WEIGHT + 1, 1, 1], [math.nan] * 3, [math.inf] * 3, [0, 1, 1], [1]]
)
def test_chances_that_cannot_be_added_are_refused(kind: type, weights: list[float]) -> None:
    """One sentence at the field says how many, and how large each may be."""
    with pytest.raises(ValidationError) as refused:
        kind(widths=[4, 6, 8], weights=weights)
    (problem,) = refused.value.errors()
    assert problem["loc"] == ("weights",)
    assert "3 numbers above 0 and up to 1,000,000" in problem["msg"]
    assert kind(widths=[4, 6, 8], weights=[MAX_WEIGHT] * 3).weights == (MAX_WEIGHT,) * 3


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"widths": [4, 8], "weights": ["much", 1]}, ("weights", 0)),
        ({"widths": [4, 4], "weights": [1, 2]}, ("widths",)),
        ({"widths": "all", "weights": [1]}, ("widths",)),
    ],
)
def test_what_cannot_be_paired_is_told_where_it_stands(
    kind: type, given: dict[str, Any], place: tuple[Any, ...]
) -> None:
    """A value that is no number keeps its place; so do widths that are wrong by themselves."""
    with pytest.raises(ValidationError) as refused:
        kind(**given)
    (problem,) = refused.value.errors()
    assert problem["loc"] == place


@pytest.mark.parametrize("kind", [SwitchableBits, CurriculumBits, *DRAWN])
def test_widths_are_different_and_sorted(kind: type) -> None:
    """Every kind keeps the highest first, and refuses one twice, none, and one that is none."""
    assert kind(widths=[3, 16, 8]).widths == (16, 8, 3)
    for widths in ([4, 4], [], [9], [1]):
        with pytest.raises(ValidationError, match="widths"):
            kind(widths=widths)
