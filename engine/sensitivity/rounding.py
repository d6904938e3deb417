"""What rounding changes of a layer's weight, and what the layer looks like before.

Start with `Rounding`; `describe_layer` makes a line of `layer_facts`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.layers.codebook_scales import build_ranges
from engine.layers.rounded_weight import RoundedWeight, Width
from engine.quant.grouping import count_groups, split
from engine.quant.projection import LowRank
from engine.sensitivity.layer_facts import NUM_BINS, Histogram, LayerFact
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer


class Spare:
    """Float32 memory by shape, used again and again; whatever was in it is lost."""

    def __init__(self) -> None:
        self._kept: dict[tuple[tuple[int, ...], torch.device], Tensor] = {}

    def take(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """Return memory of that shape."""
        key = (tuple(shape), device)
        if key not in self._kept:
            self._kept[key] = torch.empty(shape, device=device)
        return self._kept[key]

    def like(self, weight: Tensor) -> Tensor:
        """Return memory of a weight's shape, where it lies."""
        return self.take(weight.shape, weight.device)


class Rounding:
    """Computes ΔW, one layer and width after another, in memory that is used again.

    What it returns holds until it is asked for a weight of the same shape again.
    """

    def __init__(self) -> None:
        self._spare = Spare()

    @torch.no_grad()
    def of_weight(self, weight: Tensor, quantizer: WeightQuantizer, bits: int) -> Tensor:
        """Return FQ(W) − W, (O, I) float32, rounded to nearest; to be overwritten.

        Raises:
            SpecError: When the group size does not divide the layer.
        """
        grouped = split(weight, count_groups(weight.shape[1], quantizer.shared_weights))
        ranges = build_ranges(grouped, quantizer, bits)
        return ranges.absorb(weight, None, out=self._spare.like(weight)).sub_(weight)

    @torch.no_grad()
    def of_layer(self, layer: RoundedWeight, bits: int) -> Tensor:
        """Return FQ(W') − W', (O, I) float32, at a width the layer knows; to be overwritten.

        W' is the weight with the absorbed adapter of that width, where there is one.
        """
        width = layer.find_width(bits)
        if width is None:
            raise ValueError(f"a layer does not know {bits} bits")
        out = self._spare.like(layer.weight)
        if width.ranges is None:
            return out.zero_()
        pair = _find_absorbed(layer, width)
        width.ranges.absorb(layer.weight.detach(), pair, out=out).sub_(layer.weight)
        return out if pair is None else out.addmm_(pair.b, pair.a, alpha=-pair.scaling)


def _find_absorbed(layer: RoundedWeight, width: Width) -> LowRank | None:
    pair = width.adapter
    if pair is None or not pair.is_absorbed:
        return None
    rank = layer.active_rank if pair is layer.adapter else pair.max_rank
    return pair.low_rank(rank) if rank else None


@torch.no_grad()
def describe_layer(layer: RoundedWeight, widths: Sequence[int], rounding: Rounding) -> LayerFact:
    """Return how a layer's frozen weight is spread, and its relative error at each width.

    Args:
        layer: Any layer.
        widths: That it knows; 16 is left out.
        rounding: Computes the errors.
    """
    weight = layer.weight.detach()
    values = weight.float().flatten()
    low, high = float(values.min()), float(values.max())
    counts = torch.histc(values, NUM_BINS, low, high) if high > low else None
    first = torch.zeros(NUM_BINS) if counts is None else counts
    if counts is None:
        first[0] = values.numel()
    total = float(values.square().sum(dtype=torch.float64))
    errors = {
        bits: float(rounding.of_layer(layer, bits).square_().sum(dtype=torch.float64)) / total
        for bits in widths
        if bits != BITS_UNQUANTIZED and total
    }
    rows, columns = weight.shape
    return LayerFact(
        shape=(rows, columns),
        num_weights=values.numel(),
        minimum=low,
        maximum=high,
        mean_absolute=float(values.abs().mean()),
        standard_deviation=float(values.std(correction=0)),
        histogram=Histogram(
            edges=tuple(low + (high - low) * place / NUM_BINS for place in range(NUM_BINS + 1)),
            counts=tuple(map(int, first.tolist())),
        ),
        relative_error=errors,
        rank=_find_rank(layer),
    )


def _find_rank(layer: RoundedWeight) -> int | None:
    """Return the highest rank of the adapters of all widths; None where there is no adapter."""
    known = [layer.find_width(bits) for bits in layer.known_widths]
    pairs = [width.adapter for width in known if width is not None]
    return max((pair.max_rank for pair in pairs if pair is not None), default=None)
