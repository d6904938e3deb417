"""Scales of one weight on a codebook grid, and the choice of ranges for every grid.

The same methods as `UniformRanges`, so a weight needs not know its grid. Start with `build_ranges`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.layers.weight_ranges import (
    AsymmetricRanges,
    NarrowRanges,
    SymmetricRanges,
    UniformRanges,
)
from engine.quant.even_levels import block_scale, even_levels, tensor_scale
from engine.quant.grouping import join, split
from engine.quant.normal_float import (
    Codebook,
    CodebookGrid,
    absmax_scale,
    build_codebook,
    encode,
    fake_quantize,
    normal_levels,
)
from engine.quant.projection import LowRank, iter_rows
from engine.specs import LoftQUniformQuantizer, NormalFloatQuantizer
from engine.specs.quantizer import WeightQuantizer

BLOCK_WEIGHTS = 1 << 18
"""Looking up levels takes many passes: blocks that stay in a processor's cache are three times as
fast as the larger ones of uniform grids."""


class Levels(NamedTuple):
    """A kind of codebook: its levels at a width, the scales of (O, G, g) weights, one for all?"""

    find_levels: Callable[[int], Tensor]
    find_scale: Callable[[Tensor], Tensor]
    is_shared: bool = False


NORMAL_FLOAT = Levels(normal_levels, absmax_scale)
_EVEN = MappingProxyType(
    {
        "block": Levels(even_levels, block_scale),
        "tensor": Levels(even_levels, tensor_scale, is_shared=True),
    }
)


class CodebookScales(nn.Module):
    """One scale per group of a codebook; held still.

    A scale is no parameter: no end of the grid moves on its own. An absorbed adapter trains
    straight through the rounding; what lies beyond the scale is clipped and gets no gradient.

    Attributes:
        bits: Width of the codes.
        num_groups: G, groups per row.
        levels: (2^bits,) float32.
        scale: (O, G) float32.
        find_scale: Gives the scales of (O, G, g) weights as this codebook has them.
        is_shared: Whether all groups have one scale.
    """

    levels: Tensor
    counts: Tensor
    limits: Tensor
    scale: Tensor

    def __init__(self, grouped: Tensor, codebook: Levels, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.num_groups = grouped.shape[1]
        self.find_scale = codebook.find_scale
        self.is_shared = codebook.is_shared
        levels = codebook.find_levels(bits)
        for name, part in build_codebook(levels.to(grouped.device))._asdict().items():
            self.register_buffer(name, part, persistent=False)
        self.register_buffer("scale", codebook.find_scale(grouped))

    def grid(self) -> CodebookGrid:
        """Return levels and scales."""
        return CodebookGrid(Codebook(self.levels, self.counts, self.limits), self.scale)

    def fit(self, grouped: Tensor) -> None:
        """Take the scales of (O, G, g) weights as the codebook has them; in place."""
        self.scale.copy_(self.find_scale(grouped))

    def set_scale(self, scale: Tensor) -> None:
        """Take (O, G) scales found elsewhere; in place."""
        self.scale.copy_(scale)

    def reference(self, grouped: Tensor) -> Tensor:
        """Round (O, G, g) weights, straight through by autograd: the slow way."""
        scale = self.scale.unsqueeze(-1)
        inside = torch.clamp(grouped, -scale, scale)
        return inside + (fake_quantize(grouped.detach(), self.grid()) - inside).detach()

    def absorb(self, weight: Tensor, pair: LowRank | None, *, out: Tensor) -> Tensor:
        """Write the rounded W + s·B·A, (O, I), into `out` and return it: the fast way."""
        for rows in iter_rows(weight, BLOCK_WEIGHTS):
            grouped = split(_add(weight, pair, rows), self.num_groups)
            grid = self.grid()._replace(scale=self.scale[rows])
            out[rows].copy_(join(fake_quantize(grouped, grid)))
        return out

    def project(self, gradient: Tensor, weight: Tensor, pair: LowRank | None) -> None:
        """Carry the gradient of what `absorb` gives back to W + s·B·A.

        Args:
            gradient: (O, I) float32; overwritten: zero where the weight was clipped.
            weight: (O, I) frozen weight.
            pair: The adapter, or None.
        """
        for rows in iter_rows(weight, BLOCK_WEIGHTS):
            grouped = split(_add(weight, pair, rows), self.num_groups)
            clipped = grouped.abs() > self.scale[rows].unsqueeze(-1)
            gradient[rows] = gradient[rows].masked_fill(join(clipped), 0)

    def stored(self, grouped: Tensor) -> dict[str, Tensor]:
        """Return what is saved of (O, G, g) weights beside scales: value = levels[code] · scale.

        Returns:
            `codes` (O, G, g) uint8, `levels` (2^bits,) float32.
        """
        return {"codes": encode(grouped, self.grid()), "levels": self.levels.clone()}


WeightRanges = UniformRanges | CodebookScales


def build_ranges(grouped: Tensor, spec: WeightQuantizer, bits: int) -> WeightRanges:
    """Build ranges of a width on the spec's grid, fitted to (O, G, g) weights, round to nearest."""
    if isinstance(spec, NormalFloatQuantizer):
        return CodebookScales(grouped, NORMAL_FLOAT, bits)
    if isinstance(spec, LoftQUniformQuantizer):
        return CodebookScales(grouped, _EVEN[spec.granularity], bits)
    kinds: Mapping[str, Callable[[Tensor, int], UniformRanges]] = {
        "asymmetric": AsymmetricRanges,
        "symmetric": SymmetricRanges,
        "narrow": NarrowRanges,
    }
    return kinds[spec.symmetry](grouped, bits)


def _add(weight: Tensor, pair: LowRank | None, rows: slice) -> Tensor:
    """Return some rows of W + s·B·A in float32."""
    if pair is None:
        return weight[rows].float()
    return torch.addmm(weight[rows].float(), pair.b[rows], pair.a, alpha=pair.scaling)
