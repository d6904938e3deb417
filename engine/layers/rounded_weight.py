"""A frozen weight with its ranges, its adapter and its current bits and rank.

An absorbed adapter is part of the weight; a parallel one is added to the output by the layer. Every
width the weight can be rounded to has ranges of its own, and an adapter: its own or a shared one.
Choosing a width only chooses among them.

`effective` is the plain differentiable form, `hold` the fast one: computed once, used by every
forward until `release`. Neither changes the frozen weight, so 16 bits and rank 0 give the original
model back. Start with `RoundedWeight`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from engine.errors import SpecError
from engine.layers.adapters import LoraPair
from engine.layers.codebook_scales import WeightRanges
from engine.layers.held_weight import HeldWeight
from engine.quant.grouping import join, split
from engine.quant.projection import LowRank
from engine.specs.layer_bits import WIDTHS
from engine.specs.quantizer import BITS_UNQUANTIZED

Part = TypeVar("Part", bound=nn.Module)
Kept = dict[tuple[int, int, torch.dtype], Tensor]


class Width(NamedTuple):
    """What a weight has at one width: ranges (None at 16 bits) and an adapter, or none."""

    ranges: WeightRanges | None
    adapter: LoraPair | None


class RoundedWeight(nn.Module):
    """FQ(W + s·B·A) at the current bits and rank; FQ(W) where the adapter is parallel.

    Attributes:
        weight: (O, I) frozen, in the model's dtype.
        ranges: Ranges of the current width; at 16 bits those of the width before; None where it
            cannot be rounded.
        adapter: The low-rank pair of the current width, or None.
        num_groups: G, groups per row; 1 without ranges.
        trained_widths: Widths it was put in with, the highest first; more can be known by now.
        own_bits: The width a run's own scores are measured at.
        active_bits: Current width; 16 leaves the weight unrounded.
        active_rank: Current rank; 0 leaves the adapter out.
        active_inputs: Width of the layer's inputs; 16 leaves them unrounded.
        cache_bits: Width of the keys and values of the block whose keys this layer makes.
        held: The weight computed ahead, while held.
        kept: Weights computed ahead by width, rank and dtype, while they are to be kept.
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
        self.own_bits = self.active_bits
        self.active_rank = 0 if adapter is None else adapter.max_rank
        self.active_inputs = self.cache_bits = BITS_UNQUANTIZED
        self.held: HeldWeight | None = None
        self.kept: Kept | None = None
        self.trained_widths: tuple[int, ...] = () if ranges is None else (ranges.bits,)
        self._widths: dict[int, Width] = {BITS_UNQUANTIZED: Width(None, adapter)}
        if ranges is not None:
            self._widths[ranges.bits] = Width(ranges, adapter)

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

    @property
    def known_widths(self) -> tuple[int, ...]:
        """The widths it can be set to, the lowest first; 16 always."""
        return tuple(sorted(self._widths))

    def add_width(self, bits: int, width: Width) -> None:
        """Make one more width known, or give one other ranges or another adapter."""
        self._widths[bits] = width

    def find_width(self, bits: int) -> Width | None:
        """Return what it has at a width; None where it has none."""
        return self._widths.get(bits)

    def set_bits(self, bits: int) -> None:
        """Choose the width: 16, or one this weight has ranges for.

        Where that brings another adapter, all of its rank becomes active.

        Raises:
            SpecError: When there are no ranges of that width.
        """
        width = self._widths.get(bits)
        if width is None:
            known = ", ".join(map(str, self.known_widths))
            raise SpecError.at("bits", f"{bits} is not available here; choose one of {known}")
        if width.ranges is not None:
            self.ranges = width.ranges
        if width.adapter is not self.adapter:
            self.adapter = width.adapter
            self.active_rank = 0 if width.adapter is None else width.adapter.max_rank
        self.active_bits = bits

    def set_inputs(self, bits: int) -> None:
        """Choose the width of the layer's inputs.

        Raises:
            SpecError: When it is no width.
        """
        self.active_inputs = _checked(bits, "inputs")

    def set_cache(self, bits: int) -> None:
        """Choose the width of the keys and values that come from this layer's block.

        Raises:
            SpecError: When it is no width.
        """
        self.cache_bits = _checked(bits, "cache")

    def list_adapters(self) -> dict[str, LoraPair]:
        """Return every adapter it was put in with by name, a shared one once.

        One is called "adapter"; several are "adapter.8", "adapter.6" and so on, by width.
        """
        return self._name_parts("adapter", lambda width: width.adapter)

    def list_ranges(self) -> dict[str, WeightRanges]:
        """Return the ranges of the same widths: "ranges", or "ranges.8" and so on."""
        return self._name_parts("ranges", lambda width: width.ranges)

    def _name_parts(self, name: str, find: Callable[[Width], Part | None]) -> dict[str, Part]:
        widths = self.trained_widths or (BITS_UNQUANTIZED,)
        found = {bits: find(self._widths[bits]) for bits in widths}
        parts: dict[int, Part] = {}
        for bits, part in found.items():
            if part is not None and all(part is not other for other in parts.values()):
                parts[bits] = part
        return {name if len(parts) == 1 else f"{name}.{bits}": part for bits, part in parts.items()}

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
            learns = trains and self._learns_from_weight()
            weight = self._absorbed(dtype) if learns else self._remember(dtype)
            self.held = HeldWeight(weight, self._project if learns else None)
        return self.held

    def release(self) -> None:
        """Forget the weight computed ahead."""
        self.held = None

    def _remember(self, dtype: torch.dtype) -> Tensor:
        """Return the effective weight, computed before where it is to be kept."""
        if self.kept is None:
            return self._absorbed(dtype)
        key = (self.active_bits, self.active_rank if self.absorbed else 0, dtype)
        if key not in self.kept:
            self.kept[key] = self._absorbed(dtype)
        return self.kept[key]

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


def _checked(bits: int, field: str) -> int:
    if bits not in WIDTHS:
        raise SpecError.at(field, f"{bits} is no width; choose one of 2 to 8, or 16")
    return bits
