"""A frozen weight with its ranges, its adapter and its current bits and rank.

An absorbed adapter is part of the weight; a parallel one is added to the output by the layer.

`effective` is the plain differentiable form, `hold` the fast one: computed once, used by every
forward until `release`. Neither changes the frozen weight, so 16 bits and rank 0 give the original
model back. Start with `RoundedWeight`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.errors import SpecError
from engine.layers.adapters import LoraPair
from engine.layers.codebook_scales import WeightRanges
from engine.layers.held_weight import HeldWeight
from engine.quant.grouping import join, split
from engine.quant.projection import LowRank
from engine.specs.quantizer import BITS_UNQUANTIZED


class RoundedWeight(nn.Module):
    """FQ(W + s·B·A) at the current bits and rank; FQ(W) where the adapter is parallel.

    Attributes:
        weight: (O, I) frozen, in the model's dtype.
        ranges: Ranges of the one width it can be rounded to, or None where it cannot.
        adapter: The low-rank pair, or None.
        num_groups: G, groups per row; 1 without ranges.
        active_bits: Current width; 16 leaves the weight unrounded.
        active_rank: Current rank; 0 leaves the adapter out.
        held: The weight computed ahead, while held.
    """

    def __init__(
        self, weight: nn.Parameter, *, ranges: WeightRanges | None, adapter: LoraPair | None
    ) -> None:
        super().__init__()
        self.weight = weight
        self.weight.requires_grad = False
        self.ranges = ranges
        self.adapter = adapter
        self.num_groups = 1 if ranges is None else ranges.num_groups
        self.active_bits = BITS_UNQUANTIZED if ranges is None else ranges.bits
        self.active_rank = 0 if adapter is None else adapter.max_rank
        self.held: HeldWeight | None = None

    @property
    def absorbed(self) -> LoraPair | None:
        """The adapter where it is active and part of the weight."""
        pair = self.adapter
        return pair if pair is not None and pair.is_absorbed and self.active_rank else None

    @property
    def parallel(self) -> LoraPair | None:
        """The adapter where it is active and beside the weight."""
        pair = self.adapter
        return pair if pair is not None and not pair.is_absorbed and self.active_rank else None

    @property
    def is_plain(self) -> bool:
        """Whether the frozen weight is used as it is."""
        return self.active_bits == BITS_UNQUANTIZED and self.absorbed is None

    def set_bits(self, bits: int) -> None:
        """Choose the width: 16, or the one this weight has ranges for.

        Raises:
            SpecError: When there are no ranges of that width.
        """
        known = [BITS_UNQUANTIZED] if self.ranges is None else [self.ranges.bits, BITS_UNQUANTIZED]
        if bits not in known:
            raise SpecError.at("bits", f"{bits} is not available here; choose one of {known}")
        self.active_bits = bits

    def set_rank(self, rank: int) -> None:
        """Choose the rank: 0, or one of the adapter's.

        Raises:
            SpecError: When the adapter does not work at that rank.
        """
        known = [0] if self.adapter is None else [0, *reversed(self.adapter.rank_space)]
        if rank not in known:
            raise SpecError.at("rank", f"{rank} is not available here; choose one of {known}")
        self.active_rank = rank

    def effective(self) -> Tensor:
        """Return the (O, I) weight the layer multiplies with, by autograd, in float32.

        Slow: the graph of every step is kept. `hold` computes the same; tests compare the two.
        """
        weight = self.unrounded()
        if self.ranges is None or self.active_bits == BITS_UNQUANTIZED:
            return weight
        return join(self.ranges.reference(split(weight, self.num_groups)))

    def unrounded(self) -> Tensor:
        """Return W + s·B·A, (O, I) float32, by autograd; W where the adapter is parallel."""
        weight = self.weight.float()
        if self.absorbed is not None:
            weight = weight + self.absorbed.product(self.active_rank)
        return weight

    def hold(self, dtype: torch.dtype, *, trains: bool) -> HeldWeight | None:
        """Compute the effective weight ahead and use it until `release`.

        Args:
            dtype: Dtype to keep it in.
            trains: Whether gradients of adapter and ranges are wanted.

        Returns:
            The held weight; None where the frozen weight is used as it is.
        """
        self.held = None
        if trains and self.adapter is not None:
            self.adapter.trained_rank = max(self.adapter.trained_rank, self.active_rank)
        if not self.is_plain:
            finish = self._project if trains and self._learns_from_weight() else None
            self.held = HeldWeight(self._absorbed(dtype), finish)
        return self.held

    def release(self) -> None:
        """Forget the weight computed ahead."""
        self.held = None

    def merge(self) -> None:
        """Replace the frozen weight by the effective one and drop adapter and ranges; in place.

        Raises:
            SpecError: When the adapter is parallel: it does not fit into the integer weights.
        """
        if self.adapter is not None and not self.adapter.is_absorbed:
            raise SpecError.at(
                "adapter.placement", "a parallel adapter cannot be merged; train an absorbed one"
            )
        self.weight.data.copy_(self._absorbed(torch.float32))
        self.ranges = self.adapter = self.held = None
        self.active_bits, self.active_rank = BITS_UNQUANTIZED, 0

    def _absorbed(self, dtype: torch.dtype) -> Tensor:
        pair = self._active_pair()
        if self.ranges is None or self.active_bits == BITS_UNQUANTIZED:
            if pair is None:
                return self.weight.detach().to(dtype)
            return torch.addmm(self.weight.float(), pair.b, pair.a, alpha=pair.scaling).to(dtype)
        out = torch.empty(self.weight.shape, dtype=dtype, device=self.weight.device)
        return self.ranges.absorb(self.weight.detach(), pair, out=out)

    def _learns_from_weight(self) -> bool:
        """Whether anything trains by the gradient of the rounded weight."""
        ranges = () if self.ranges is None else self.ranges.parameters()
        return self.absorbed is not None or any(each.requires_grad for each in ranges)

    def _project(self, gradient: Tensor) -> None:
        """Hand the gradient of the held weight on to adapter and ranges, and forget the weight."""
        self.held = None
        pair = self._active_pair()
        if self.ranges is not None and self.active_bits != BITS_UNQUANTIZED:
            self.ranges.project(gradient, self.weight.detach(), pair)
        if self.absorbed is not None:
            self.absorbed.add_gradients(gradient, self.active_rank)

    def _active_pair(self) -> LowRank | None:
        return self.absorbed.low_rank(self.active_rank) if self.absorbed is not None else None
