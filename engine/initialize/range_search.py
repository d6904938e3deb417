"""Ranges of least error for any grid: a few that clip more and more of the extremes are compared.

Source: the grid search over clipping ratios that is common since OmniQuant's and AWQ's release
code; errors may be weighted by column, which is what makes clipping safe at 3 and 4 bits. Start
with `search_ranges`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.layers.codebook_scales import CodebookScales, WeightRanges
from engine.layers.weight_ranges import UniformRanges
from engine.quant import normal_float, uniform
from engine.quant.projection import iter_rows
from engine.quant.ranges import Grid

SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)
TINY = 1e-30

Parts = tuple[Tensor, ...]


class GridKind(NamedTuple):
    """What a grid can do with plain tensors, its (O, G) parts in a tuple.

    Attributes:
        fit: Gives the parts of (O, G, g) weights, rounding to nearest.
        fake_quantize: Rounds (O, G, g) weights with parts.
        column_rounder: Gives what rounds one column (O,), from parts of one group, (O, 1) each.
        take: Makes parts those of the layer, in place.
        is_shared: Whether all groups of a layer have one scale.
    """

    fit: Callable[[Tensor], Parts]
    fake_quantize: Callable[[Tensor, Parts], Tensor]
    column_rounder: Callable[[Parts], Callable[[Tensor], Tensor]]
    take: Callable[[Parts], None]
    is_shared: bool = False


def kind_of(ranges: WeightRanges) -> GridKind:
    """Return what the grid of these ranges can do."""
    return _uniform(ranges) if isinstance(ranges, UniformRanges) else _codebook(ranges)


def search_ranges(kind: GridKind, grouped: Tensor, importance: Tensor | None = None) -> Parts:
    """Find the ranges with the least squared error of each group.

    Args:
        kind: Of the grid.
        grouped: (O, G, g) float32 weights.
        importance: Of each column's error, (G, g); None counts them alike.

    Returns:
        Parts of the best of a few ranges that clip more and more.
    """
    best = kind.fit(grouped)
    best_error = torch.full_like(best[0], torch.inf)
    for shrink in SHRINKS:
        candidate = kind.fit(grouped * shrink)
        error = _errors(kind, grouped, candidate, importance)
        if kind.is_shared:
            error = error.sum().expand_as(error)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best = tuple(
            torch.where(better, new, old) for new, old in zip(candidate, best, strict=True)
        )
    return best


def _errors(kind: GridKind, grouped: Tensor, parts: Parts, importance: Tensor | None) -> Tensor:
    """Return the (O, G) squared error of each group, by blocks of rows."""
    found = []
    for rows in iter_rows(grouped.flatten(1)):
        weights = grouped[rows]
        rounded = kind.fake_quantize(weights, tuple(part[rows] for part in parts))
        errors = rounded.sub_(weights).square_()
        found.append((errors if importance is None else errors.mul_(importance)).sum(dim=-1))
    return torch.cat(found)


def _uniform(ranges: UniformRanges) -> GridKind:
    top = ranges.top

    def column_rounder(parts: Parts) -> Callable[[Tensor], Tensor]:
        lower, width, zero_point = (part.squeeze(-1) for part in parts)
        rate = top / width

        def rounded(column: Tensor) -> Tensor:
            code = column.sub(lower).mul_(rate).clamp_(0, top).sub_(zero_point).round_()
            return code.div_(rate)

        return rounded

    return GridKind(
        lambda grouped: ranges.fitted(grouped)[:3],
        lambda grouped, parts: uniform.fake_quantize(grouped, _grid(parts, top)),
        column_rounder,
        lambda parts: ranges.set_grid(_grid(parts, top)),
    )


def _codebook(ranges: CodebookScales) -> GridKind:
    midpoints = (ranges.levels[1:] + ranges.levels[:-1]) / 2

    def column_rounder(parts: Parts) -> Callable[[Tensor], Tensor]:
        scale = parts[0].squeeze(-1)
        per_scale = 1 / scale.clamp(min=TINY)
        return lambda column: ranges.levels[torch.bucketize(column * per_scale, midpoints)].mul_(
            scale
        )

    return GridKind(
        lambda grouped: (ranges.find_scale(grouped),),
        lambda grouped, parts: normal_float.fake_quantize(
            grouped, ranges.grid()._replace(scale=parts[0])
        ),
        column_rounder,
        lambda parts: ranges.set_scale(parts[0]),
        is_shared=ranges.is_shared,
    )


def _grid(parts: Parts, top: int) -> Grid:
    lower, width, zero_point = parts
    return Grid(lower, width, zero_point, top)
