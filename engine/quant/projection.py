"""The fast path of FQ(W + s·B·A): one lean forward, one hand-written backward, no autograd graph.

`absorb` computes the rounded weight; `project` turns its gradient into that of W + s·B·A and the
sums from which the gradients of any range follow. Both work through rows in blocks and in place, so
nothing weight-sized is kept between them: W + s·B·A is computed again rather than saved. Adding up
the gradient of the rounded weight over microbatches and projecting once is exact, because the
projection is linear and its parameters do not change within an optimizer step. Start with `absorb`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from engine.quant.ranges import Grid

BLOCK_WEIGHTS = 1 << 20


class LowRank(NamedTuple):
    """An adapter pair: A (R, I) and B (O, R) in float32, and the factor s before the product."""

    a: Tensor
    b: Tensor
    scaling: float


class Projected(NamedTuple):
    """Sums per group from which the gradients of any range follow.

    Attributes:
        inside: (O, G) sum over the unclipped weights of gradient × (rounded − unrounded).
        below: (O, G) sum of the gradient over weights clipped at the lower end.
        above: (O, G) sum of the gradient over weights clipped at the upper end.
    """

    inside: Tensor
    below: Tensor
    above: Tensor


def absorb(weight: Tensor, pair: LowRank | None, grid: Grid, *, out: Tensor) -> Tensor:
    """Write FQ(W + s·B·A) into `out`.

    Args:
        weight: (O, I) of any float dtype; not modified.
        pair: The adapter, or None.
        grid: (O, G) each.
        out: (O, I) of the dtype to compute with; overwritten and returned.
    """
    for rows in iter_rows(weight):
        part = grid.rows(rows)
        scaled = _scaled(weight, pair, grid, rows).clamp_(0, grid.top)
        scaled.sub_(part.zero_point).round_().div_(grid.top / part.width)
        out[rows].copy_(scaled.view(scaled.shape[0], -1))
    return out


def project(gradient: Tensor, weight: Tensor, pair: LowRank | None, grid: Grid) -> Projected:
    """Carry the gradient of FQ(W + s·B·A) back through the rounding.

    Args:
        gradient: (O, I) gradient of the rounded weight, float32; overwritten with the gradient of
            W + s·B·A.
        weight: (O, I) frozen weight; not modified.
        pair: The adapter, or None.
        grid: The grid of the forward pass, (O, G) each.
    """
    inside, below, above = (torch.empty_like(grid.width) for _ in range(3))
    num_groups = grid.width.shape[1]
    for rows in iter_rows(weight):
        scaled = _scaled(weight, pair, grid, rows)
        grouped = gradient[rows].view(scaled.shape[0], num_groups, -1)
        clipped = torch.lt(scaled, 0).to(grouped.dtype).mul_(grouped)
        torch.sum(clipped, dim=-1, out=below[rows])
        grouped.sub_(clipped)
        torch.gt(scaled, grid.top, out=clipped).mul_(grouped)
        torch.sum(clipped, dim=-1, out=above[rows])
        grouped.sub_(clipped)
        # (rounded − unrounded) / step; what was clipped has lost its gradient above
        scaled.sub_(grid.rows(rows).zero_point)
        torch.round(scaled, out=clipped).sub_(scaled).mul_(grouped)
        torch.sum(clipped, dim=-1, out=inside[rows])
    inside.mul_(grid.step)
    return Projected(inside, below, above)


def _scaled(weight: Tensor, pair: LowRank | None, grid: Grid, rows: slice) -> Tensor:
    """Return (W + s·B·A − lower) / step for some rows, as fresh (o, G, g) float32."""
    if pair is None:
        value = weight[rows].to(torch.float32, copy=True)
    else:
        value = torch.addmm(weight[rows].float(), pair.b[rows], pair.a, alpha=pair.scaling)
    part = grid.rows(rows)
    grouped = value.view(value.shape[0], grid.width.shape[1], -1)
    return grouped.sub_(part.lower).mul_(grid.top / part.width)


def iter_rows(weight: Tensor, block_weights: int | None = None) -> Iterator[slice]:
    """Cut the rows into blocks of about so many weights, `BLOCK_WEIGHTS` where not said."""
    rows = max(1, (block_weights or BLOCK_WEIGHTS) // weight.shape[1])
    for start in range(0, weight.shape[0], rows):
        yield slice(start, min(start + rows, weight.shape[0]))
