"""Trainable ranges of one weight at one width on a uniform grid, as parameters.

What a weight needs of its ranges, whatever the grid, are the methods of `UniformRanges`; those of a
codebook are in `codebook_scales`, and `build_ranges` there chooses. Start with `UniformRanges`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from engine.quant import projection
from engine.quant.projection import LowRank, Projected
from engine.quant.ranges import (
    Grid,
    asymmetric_grid,
    asymmetric_range,
    narrow_grid,
    narrow_scale,
    narrow_side,
    num_levels,
    symmetric_grid,
    symmetric_scale,
)
from engine.quant.uniform import encode, fake_quantize_reference


class UniformRanges(nn.Module, ABC):
    """Ranges that stand for a uniform grid per group.

    Attributes:
        bits: Width of the codes.
        num_groups: G, groups per row.
        top: The highest code.
    """

    def __init__(self, bits: int, num_groups: int) -> None:
        super().__init__()
        self.bits = bits
        self.num_groups = num_groups
        self.top = num_levels(bits)

    @abstractmethod
    def grid(self) -> Grid:
        """Return the grid these ranges stand for, without a graph."""

    @abstractmethod
    def fitted(self, grouped: Tensor) -> Grid:
        """Return the grid that spans (O, G, g) weights; nothing is changed."""

    @abstractmethod
    def ends(self) -> tuple[Tensor, Tensor]:
        """Return lower end and width (O, G), differentiable in the ranges, for the reference."""

    @abstractmethod
    def fit(self, grouped: Tensor) -> None:
        """Take smallest and largest of (O, G, g) weights; in place."""

    @abstractmethod
    def set_grid(self, grid: Grid) -> None:
        """Take over a grid found elsewhere; in place."""

    @abstractmethod
    def add_gradients(self, projected: Projected, grid: Grid) -> None:
        """Add the gradients of the ranges that follow from the rounded weight's."""

    def reference(self, grouped: Tensor) -> Tensor:
        """Round (O, G, g) weights by autograd: the slow way."""
        lower, width = self.ends()
        return fake_quantize_reference(grouped, lower, width, self.top)

    def absorb(self, weight: Tensor, pair: LowRank | None, *, out: Tensor) -> Tensor:
        """Write the rounded W + s·B·A, (O, I), into `out` and return it: the fast way."""
        return projection.absorb(weight, pair, self.grid(), out=out)

    def project(self, gradient: Tensor, weight: Tensor, pair: LowRank | None) -> None:
        """Carry the gradient of what `absorb` gives back to the ranges and to W + s·B·A.

        Args:
            gradient: (O, I) float32; overwritten with the gradient of W + s·B·A.
            weight: (O, I) frozen weight.
            pair: The adapter, or None.
        """
        grid = self.grid()
        self.add_gradients(projection.project(gradient, weight, pair, grid), grid)

    def stored(self, grouped: Tensor) -> dict[str, Tensor]:
        """Return what is saved of (O, G, g) weights beside ranges: `codes` (O, G, g) uint8."""
        return {"codes": encode(grouped, self.grid())}


class AsymmetricRanges(UniformRanges):
    """Lower end and width per group.

    Attributes:
        low: (O, G) float32 lower end; counts as zero where positive.
        extent: (O, G) float32 width; its magnitude counts.
    """

    def __init__(self, grouped: Tensor, bits: int) -> None:
        super().__init__(bits, grouped.shape[1])
        low, extent = asymmetric_range(grouped, bits)
        self.low = nn.Parameter(low)
        self.extent = nn.Parameter(extent)

    def grid(self) -> Grid:
        """Return the grid these ranges stand for, without a graph."""
        return asymmetric_grid(self.low.detach(), self.extent.detach(), self.bits)

    def fitted(self, grouped: Tensor) -> Grid:
        """Return the grid that spans (O, G, g) weights; nothing is changed."""
        return asymmetric_grid(*asymmetric_range(grouped, self.bits), self.bits)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return lower end and width (O, G) with the identity as gradient, for the reference."""
        grid = self.grid()
        low = self.low + (grid.lower - self.low).detach()
        width = self.extent.abs()
        return low, width + (grid.width - width).detach()

    def fit(self, grouped: Tensor) -> None:
        """Take smallest and largest of (O, G, g) weights; in place."""
        low, extent = asymmetric_range(grouped, self.bits)
        with torch.no_grad():
            self.low.copy_(low)
            self.extent.copy_(extent)

    def set_grid(self, grid: Grid) -> None:
        """Take over a grid found elsewhere; in place."""
        with torch.no_grad():
            self.low.copy_(grid.lower)
            self.extent.copy_(grid.width)

    def add_gradients(self, projected: Projected, grid: Grid) -> None:
        """Add the gradients of `low` and `extent` that follow from the rounded weight's."""
        extent = projected.inside / grid.width + projected.above
        add_gradient(self.extent, extent * self.extent.detach().sign())
        add_gradient(self.low, projected.below + projected.above)


class SymmetricRanges(UniformRanges):
    """One signed scale per group.

    Attributes:
        scale: (O, G) float32; its sign says which side has the extra level.
    """

    def __init__(self, grouped: Tensor, bits: int) -> None:
        super().__init__(bits, grouped.shape[1])
        self.scale = nn.Parameter(symmetric_scale(grouped, bits))

    def grid(self) -> Grid:
        """Return the grid this scale stands for, without a graph."""
        return symmetric_grid(self.scale.detach(), self.bits)

    def fitted(self, grouped: Tensor) -> Grid:
        """Return the grid that spans (O, G, g) weights; nothing is changed."""
        return symmetric_grid(symmetric_scale(grouped, self.bits), self.bits)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return lower end and width (O, G), differentiable in the scale, for the reference."""
        half = 1 << (self.bits - 1)
        step = self.scale.abs() / half
        return -self.grid().zero_point * step, step * self.top

    def fit(self, grouped: Tensor) -> None:
        """Take the largest magnitude of (O, G, g) weights and its sign; in place."""
        with torch.no_grad():
            self.scale.copy_(symmetric_scale(grouped, self.bits))

    def set_grid(self, grid: Grid) -> None:
        """Take over the steps of a grid found elsewhere; in place. The sign stays."""
        half = 1 << (self.bits - 1)
        with torch.no_grad():
            self.scale.copy_(torch.where(grid.zero_point >= half, grid.step, -grid.step) * half)

    def add_gradients(self, projected: Projected, grid: Grid) -> None:
        """Add the gradient of the scale that follows from the rounded weight's.

        NNCF leaves out the sign of the scale, so its groups with a negative scale move the wrong
        way; here it is the last factor.
        """
        half = 1 << (self.bits - 1)
        scale = self.scale.detach()
        upper = grid.top - grid.zero_point
        ends = projected.above * upper - projected.below * grid.zero_point
        add_gradient(self.scale, (projected.inside / scale.abs() + ends / half) * scale.sign())


class NarrowRanges(UniformRanges):
    """One magnitude per group: both ends of a grid with as many points above zero as below.

    Attributes:
        scale: (O, G) float32; its magnitude counts.
    """

    def __init__(self, grouped: Tensor, bits: int) -> None:
        super().__init__(bits, grouped.shape[1])
        self.top = 2 * narrow_side(bits)
        self.scale = nn.Parameter(narrow_scale(grouped, bits))

    def grid(self) -> Grid:
        """Return the grid this scale stands for, without a graph."""
        return narrow_grid(self.scale.detach(), self.bits)

    def fitted(self, grouped: Tensor) -> Grid:
        """Return the grid that spans (O, G, g) weights; nothing is changed."""
        return narrow_grid(narrow_scale(grouped, self.bits), self.bits)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return lower end and width (O, G), differentiable in the scale, for the reference."""
        end = self.scale.abs()
        return -end, 2 * end

    def fit(self, grouped: Tensor) -> None:
        """Take the largest magnitude of (O, G, g) weights; in place."""
        with torch.no_grad():
            self.scale.copy_(narrow_scale(grouped, self.bits))

    def set_grid(self, grid: Grid) -> None:
        """Take over the ends of a grid found elsewhere; in place."""
        with torch.no_grad():
            self.scale.copy_(grid.width / 2)

    def add_gradients(self, projected: Projected, grid: Grid) -> None:
        """Add the gradient of the scale that follows from the rounded weight's."""
        del grid  # its ends are the scale itself
        scale = self.scale.detach()
        gradient = projected.inside / scale.abs() + projected.above - projected.below
        add_gradient(self.scale, gradient * scale.sign())


def add_gradient(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Accumulate into `parameter.grad`, as autograd would."""
    if not parameter.requires_grad:
        return
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad.add_(gradient)
