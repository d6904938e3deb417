"""What a weight has at each width: ranges, and an adapter of its own or a shared one.

`build_rounded` makes a weight with everything its training needs; `add_widths` gives trained layers
widths they were not trained at. Start with `build_rounded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from engine.errors import SpecError
from engine.layers.adapters import LoraPair
from engine.layers.codebook_scales import WeightRanges, build_ranges
from engine.layers.rounded_weight import RoundedWeight, Width
from engine.quant.grouping import count_groups, split
from engine.specs import (
    AdapterSpec,
    FloatQuantizer,
    LoraBankAdapter,
    LowRankAdapter,
    QuantizerSpec,
    Subject,
)
from engine.specs.adapter import Fallback
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer

FALLBACK_FIELD = "adapter.fallback"


@dataclass(frozen=True)
class LayerWidths:
    """The widths of one layer.

    Attributes:
        own: What the run's own scores are measured at; 16 for a layer that is not rounded.
        trained: All it is trained at, the highest first.
    """

    own: int
    trained: tuple[int, ...]


def build_rounded(
    weight: nn.Parameter,
    widths: LayerWidths,
    *,
    quantizer: QuantizerSpec,
    adapter: LowRankAdapter | None,
    generator: torch.Generator | None,
) -> RoundedWeight:
    """Build a weight with ranges for all its widths, at its own width.

    Args:
        weight: (O, I), which becomes frozen.
        widths: Of this layer.
        quantizer: The grid.
        adapter: The adapter, or None.
        generator: Draws the adapters' start; a bank draws once for each width, the highest first.
            None where there is no adapter.

    Raises:
        SpecError: When a group size or rank does not fit.
    """
    pairs = _build_pairs(weight, widths, adapter, generator)
    first = pairs.get(widths.own)
    ranges = {bits: _build_ranges(weight, quantizer, bits) for bits in widths.trained}
    layer = RoundedWeight(weight, ranges=ranges.get(widths.own), adapter=first)
    for bits, of_width in ranges.items():
        layer.add_width(bits, Width(of_width, pairs.get(bits)))
    has_own = BITS_UNQUANTIZED in (widths.own, *widths.trained)
    if isinstance(adapter, LoraBankAdapter) and not has_own:
        pair = _find_pair(pairs, BITS_UNQUANTIZED, adapter.fallback)
        layer.add_width(BITS_UNQUANTIZED, Width(None, pair))
    layer.trained_widths = tuple(bits for bits in widths.trained if bits in ranges)
    return layer


def add_widths(layers: Mapping[str, RoundedWeight], widths: Iterable[int], spec: Subject) -> None:
    """Give layers widths they were not trained at, in place; known ones stay as they are.

    Layers that are not rounded at all get none.
    Ranges are fitted to what is rounded, round to nearest: to the weight with its absorbed adapter.

    Args:
        layers: The model's.
        widths: 2 to 8 or 16.
        spec: What the layers were put in with.

    Raises:
        SpecError: When a width has no adapter and `adapter.fallback` allows none.
    """
    wanted = tuple(widths)
    check_fallback(spec.adapter, wanted, trained=_trained_by_all(layers))
    for layer in layers.values():
        for bits in wanted:
            if bits not in layer.known_widths and layer.ranges is not None:
                _add_width(layer, bits, spec)


def check_fallback(adapter: AdapterSpec, widths: Iterable[int], *, trained: Iterable[int]) -> None:
    """Refuse widths that have no adapter where none may stand in.

    Args:
        adapter: As it was asked for.
        widths: To be used; 16 bits need no adapter.
        trained: Widths with adapters of their own.

    Raises:
        SpecError: At `adapter.fallback`.
    """
    if not isinstance(adapter, LoraBankAdapter) or adapter.fallback != "refuse":
        return
    own = set(trained)
    missing = next((bits for bits in widths if bits not in {*own, BITS_UNQUANTIZED}), None)
    if missing is not None:
        listed = ", ".join(map(str, sorted(own, reverse=True)))
        raise SpecError.at(
            FALLBACK_FIELD,
            f"{missing} bits have no adapter of their own, {listed} have; use one of these, or "
            "train with adapter.fallback nearest or none",
        )


def _build_pairs(
    weight: nn.Parameter,
    widths: LayerWidths,
    adapter: LowRankAdapter | None,
    generator: torch.Generator | None,
) -> dict[int, LoraPair]:
    """Return the adapter of each width: one each in a bank, else the same."""
    if adapter is None or generator is None:
        return {}
    trained = widths.trained or (widths.own,)
    if isinstance(adapter, LoraBankAdapter):
        return {bits: _build_pair(weight, adapter, generator) for bits in trained}
    shared = _build_pair(weight, adapter, generator)
    return dict.fromkeys({*trained, widths.own}, shared)


def _build_pair(
    weight: nn.Parameter, adapter: LowRankAdapter, generator: torch.Generator
) -> LoraPair:
    return LoraPair(weight.shape, adapter, generator=generator).to(weight.device)


def _build_ranges(weight: nn.Parameter, quantizer: QuantizerSpec, bits: int) -> WeightRanges | None:
    if isinstance(quantizer, FloatQuantizer) or bits == BITS_UNQUANTIZED:
        return None
    return _fit_ranges(weight.detach(), quantizer, bits)


def _fit_ranges(weight: torch.Tensor, quantizer: WeightQuantizer, bits: int) -> WeightRanges:
    num_groups = count_groups(weight.shape[1], quantizer.shared_weights)
    return build_ranges(split(weight, num_groups), quantizer, bits)


@torch.no_grad()
def _add_width(layer: RoundedWeight, bits: int, spec: Subject) -> None:
    if isinstance(spec.quantizer, FloatQuantizer):
        raise SpecError.at("maps", "a 16-bit model has no other width")
    trained = {known: layer.find_width(known) for known in layer.trained_widths}
    pairs = {known: width.adapter for known, width in trained.items() if width and width.adapter}
    fallback = spec.adapter.fallback if isinstance(spec.adapter, LoraBankAdapter) else "nearest"
    pair = _find_pair(pairs, bits, fallback)
    weight = layer.weight.detach()
    if pair is not None and pair.is_absorbed:
        rank = layer.active_rank if pair is layer.adapter else pair.max_rank
        weight = weight.float() + pair.product(rank)
    layer.add_width(bits, Width(_fit_ranges(weight, spec.quantizer, bits), pair))


def _find_pair(pairs: Mapping[int, LoraPair], bits: int, fallback: Fallback) -> LoraPair | None:
    """Return the adapter that stands in at a width: of two equally near ones the higher width's."""
    if fallback != "nearest" or not pairs:
        return None
    return pairs[min(pairs, key=lambda known: (abs(known - bits), -known))]


def _trained_by_all(layers: Mapping[str, RoundedWeight]) -> tuple[int, ...]:
    """Return the widths that every layer was trained at."""
    found = [set(layer.trained_widths) for layer in layers.values() if layer.trained_widths]
    return tuple(set.intersection(*found)) if found else ()
