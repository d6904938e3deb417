"""Rounding one layer so that its output changes least: search each range, make up for each error.

With H the second moments of the layer's inputs, the output error of a row of weight errors e is
e·H·eᵀ. Columns are rounded from first to last; the error of each is made up for by the columns that
are still free. What is returned is not the rounded weight but the value each column had just before
it was rounded: it rounds to the same codes, and training can go on from it.

Source: GPTQ (Frantar et al. 2022, arXiv:2210.17323, algorithm 1) in the order of the columns. We
differ in the ranges: each is found on the compensated weights of its group by a search that weighs
errors with the diagonal of H, where the original takes smallest and largest. Start with
`compensate`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.quant.ranges import Grid
from engine.quant.uniform import fake_quantize

DAMPING = 0.01
SHRINKS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)

FitGrid = Callable[[Tensor], Grid]


class Compensated(NamedTuple):
    """A layer's start.

    Attributes:
        weight: (O, I) float32 values to be rounded.
        lower: (O, G) lower end of each group's grid.
        width: (O, G) width of each group's grid.
        zero_point: (O, G) code of zero.
    """

    weight: Tensor
    lower: Tensor
    width: Tensor
    zero_point: Tensor


def compensate(weight: Tensor, moments: Tensor, *, num_groups: int, fit: FitGrid) -> Compensated:
    """Find ranges and start values of one layer, or of several that read the same input.

    Rows do not touch each other, so layers with the same input may be stacked.

    Args:
        weight: (O, I) float32; not modified.
        moments: (I, I) float32 sum of x·xᵀ over calibration tokens.
        num_groups: G, groups per row.
        fit: Gives the round-to-nearest grid of (O, 1, g) weights.

    Returns:
        Start values and ranges; deterministic.
    """
    weight = weight.clone()
    importance = moments.diagonal().clone()
    dead = importance == 0
    weight[:, dead] = 0
    factor = inverse_factor(moments, dead)
    group_size = weight.shape[1] // num_groups
    grids = []
    for start in range(0, weight.shape[1], group_size):
        columns = slice(start, start + group_size)
        grid = search_grid(weight[:, columns], importance[columns].clamp(min=1e-8), fit)
        errors = _round_group(weight, columns, factor, grid)
        weight[:, columns.stop :] -= errors @ factor[columns, columns.stop :]
        grids.append(grid)
    parts = [torch.cat(parts, dim=1) for parts in zip(*(grid[:3] for grid in grids), strict=True)]
    return Compensated(weight, *parts)


def inverse_factor(moments: Tensor, dead: Tensor) -> Tensor:
    """Return the upper Cholesky factor of the damped inverse of the moments, (I, I).

    Args:
        moments: (I, I) sum of x·xᵀ.
        dead: (I,) inputs that were always zero.
    """
    damped = moments.clone()
    diagonal = damped.diagonal()
    diagonal += dead.to(damped.dtype) + DAMPING * moments.diagonal().mean().clamp(min=1e-8)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)


def search_grid(weight: Tensor, importance: Tensor, fit: FitGrid) -> Grid:
    """Find the grid of one group with the least importance-weighted squared error.

    Args:
        weight: (O, g) of the group.
        importance: (g,) weight of each column's error.
        fit: Gives the round-to-nearest grid of (O, 1, g) weights.

    Returns:
        A grid of (O, 1) each: the best of a few that clip more and more of the extremes.
    """
    grouped = weight.unsqueeze(1)
    best = fit(grouped)
    best_error = torch.full_like(best.width, torch.inf)
    for shrink in SHRINKS:
        candidate = fit(grouped * shrink)
        errors = (fake_quantize(grouped, candidate) - grouped).square() * importance
        error = errors.sum(dim=-1)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        lower, width, zero_point = (
            torch.where(better, new, old) for new, old in zip(candidate[:3], best[:3], strict=True)
        )
        best = Grid(lower, width, zero_point, best.bits)
    return best


def _round_group(weight: Tensor, columns: slice, factor: Tensor, grid: Grid) -> Tensor:
    """Round the columns of a group one by one, making up within the group, in place.

    Returns:
        (O, g) error of each column over the factor's diagonal, for the columns after the group.
    """
    inside = factor[columns, columns]
    lower, width, zero_point = (part.squeeze(-1) for part in grid[:3])
    rate = grid.top / width
    # columns as rows: each is read and written many times
    tile = weight[:, columns].t().contiguous()  # (g, O)
    errors = torch.empty_like(tile)
    for index, value in enumerate(tile):
        code = value.sub(lower).mul_(rate).clamp_(0, grid.top).sub_(zero_point).round_()
        torch.sub(value, code.div_(rate), out=errors[index]).div_(inside[index, index])
        tile[index + 1 :].addr_(inside[index, index + 1 :], errors[index], alpha=-1)
    weight[:, columns] = tile.t()
    return errors.t()
