"""Rows of a weight as groups that share a scale, and back. Views only. Start with `split`."""

from __future__ import annotations

from torch import Tensor

from engine.errors import SpecError


def count_groups(in_features: int, group_size: int | None) -> int:
    """Return G, the number of groups in a row of `in_features` weights.

    Args:
        in_features: Weights in a row.
        group_size: Weights per group; None for the whole row.

    Raises:
        SpecError: When the group size does not divide the row.
    """
    if group_size is None:
        return 1
    if in_features % group_size:
        raise SpecError.at(
            "quantizer.group_size",
            f"{group_size} does not divide the {in_features} inputs of a layer",
        )
    return in_features // group_size


def split(weight: Tensor, num_groups: int) -> Tensor:
    """View (O, I) as (O, G, g)."""
    return weight.view(weight.shape[0], num_groups, -1)


def join(grouped: Tensor) -> Tensor:
    """View (O, G, g) as (O, I)."""
    return grouped.view(grouped.shape[0], -1)
