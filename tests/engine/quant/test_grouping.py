"""Promises of groups: neighbors of a row, refused where they do not come out even."""

from __future__ import annotations

import pytest
import torch

from engine.errors import SpecError
from engine.quant.grouping import count_groups, join, split


def test_a_group_is_neighbors_of_one_row() -> None:
    """Splitting groups neighbors, keeps rows apart, copies nothing, and joins back."""
    weight = torch.arange(12.0).view(2, 6)
    grouped = split(weight, 3)
    assert grouped[1, 2].tolist() == [10.0, 11.0]
    assert grouped.data_ptr() == weight.data_ptr()
    assert torch.equal(join(grouped), weight)


def test_without_a_group_size_a_row_is_one_group() -> None:
    """None means per channel."""
    assert count_groups(96, None) == 1
    assert count_groups(96, 32) == 3


def test_a_group_size_that_does_not_divide_is_refused() -> None:
    """The refusal names the field and both numbers."""
    with pytest.raises(SpecError, match=r"quantizer\.group_size: 64 does not divide the 96"):
        count_groups(96, 64)
