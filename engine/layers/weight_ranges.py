"""Trainable ranges of one weight at one width, as parameters. Start with `build_ranges`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.quant.projection import Projected
from engine.quant.ranges import (
    Grid,
    asymmetric_grid,
    asymmetric_range,
    num_levels,
    symmetric_grid,
    symmetric_scale,
)
from engine.specs import IntegerQuantizer


class AsymmetricRanges(nn.Module):
    """Lower end and width per group.

    Attributes:
        low: (O, G) float32 lower end; counts as zero where positive.
        extent: (O, G) float32 width; its magnitude counts.
    """

    def __init__(self, grouped: Tensor, bits: int) -> None:
        super().__init__()
        low, extent = asymmetric_range(grouped, bits)
        self.bits = bits
        self.low = nn.Parameter(low)
        self.extent = nn.Parameter(extent)

    def grid(self) -> Grid:
        """Return the grid these ranges stand for, without a graph."""
        return asymmetric_grid(self.low.detach(), self.extent.detach(), self.bits)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return lower end and width (O, G) with the identity as gradient, for the reference."""
        grid = self.grid()
        low = self.low + (grid.lower - self.low).detach()
        width = self.extent.abs()
        return low, width + (grid.width - width).detach()

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


class SymmetricRanges(nn.Module):
    """One signed scale per group.

    Attributes:
        scale: (O, G) float32; its sign says which side has the extra level.
    """

    def __init__(self, grouped: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.scale = nn.Parameter(symmetric_scale(grouped, bits))

    def grid(self) -> Grid:
        """Return the grid this scale stands for, without a graph."""
        return symmetric_grid(self.scale.detach(), self.bits)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Return lower end and width (O, G), differentiable in the scale, for the reference."""
        half = 1 << (self.bits - 1)
        step = self.scale.abs() / half
        return -self.grid().zero_point * step, step * num_levels(self.bits)

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


WeightRanges = AsymmetricRanges | SymmetricRanges


def build_ranges(grouped: Tensor, spec: IntegerQuantizer) -> WeightRanges:
    """Build the ranges the spec asks for, fitted to (O, G, g) weights by smallest and largest."""
    if spec.symmetry == "symmetric":
        return SymmetricRanges(grouped, spec.bits)
    return AsymmetricRanges(grouped, spec.bits)


def add_gradient(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Accumulate into `parameter.grad`, as autograd would."""
    if not parameter.requires_grad:
        return
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad.add_(gradient)
