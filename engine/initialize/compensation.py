"""Rounding one layer so that its output changes least: each error is made up for by what follows.

With H the Hessian of the layer, the output error of a row of weight errors e is e·H·eᵀ. Columns are
rounded from first to last; the error of each is made up for by the columns that are still free.
What is returned is not the rounded weight but the value each column had just before it was rounded:
it rounds to the same codes, and training can go on from it.

Source: GPTQ (Frantar et al. 2022, arXiv:2210.17323, algorithm 1) in the order of the columns, on
any grid. We differ in the ranges: each is found on the compensated weights of its group by a search
that weighs errors with the diagonal of H, where the original takes smallest and largest. Start with
`compensate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.initialize.hessian import LayerHessian
from engine.initialize.range_search import GridKind, Parts, search_ranges


def compensate(
    weight: Tensor, hessian: LayerHessian, *, num_groups: int, kind: GridKind
) -> tuple[Tensor, Parts]:
    """Find ranges and start values of one layer, or of several that read the same input.

    Rows do not touch each other, so layers with the same input may be stacked.

    Args:
        weight: (O, I) float32; not modified.
        hessian: Of the layer's inputs.
        num_groups: G, groups per row.
        kind: Of the grid.

    Returns:
        (O, I) float32 values to be rounded, and the (O, G) parts of the grid; deterministic.
    """
    weight = weight.clone()
    weight[:, hessian.dead] = 0
    factor = hessian.inverse_factor
    group_size = weight.shape[1] // num_groups
    found: list[Parts] = []
    for start in range(0, weight.shape[1], group_size):
        columns = slice(start, start + group_size)
        grouped = weight[:, columns].unsqueeze(1)
        parts = search_ranges(kind, grouped, hessian.importance[columns].unsqueeze(0))
        errors = _round_group(weight, columns, factor, kind=kind, parts=parts)
        weight[:, columns.stop :] -= errors @ factor[columns, columns.stop :]
        found.append(parts)
    return weight, tuple(torch.cat(parts, dim=1) for parts in zip(*found, strict=True))


def _round_group(
    weight: Tensor, columns: slice, factor: Tensor, *, kind: GridKind, parts: Parts
) -> Tensor:
    """Round the columns of a group one by one, making up within the group, in place.

    Returns:
        (O, g) error of each column over the factor's diagonal, for the columns after the group.
    """
    inside = factor[columns, columns]
    round_column = kind.column_rounder(parts)
    # columns as rows: each is read and written many times
    tile = weight[:, columns].t().contiguous()  # (g, O)
    errors = torch.empty_like(tile)
    for index, value in enumerate(tile):
        torch.sub(value, round_column(value), out=errors[index]).div_(inside[index, index])
        tile[index + 1 :].addr_(inside[index, index + 1 :], errors[index], alpha=-1)
    weight[:, columns] = tile.t()
    return errors.t()
