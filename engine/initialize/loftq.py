"""LoftQ for a whole model: round weights to nearest, fit adapters to what is lost, and again.

Needs no data. The arithmetic of one layer and its source stand in `decomposition`. Start with
`start_loftq`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.initialize.decomposition import (
    Fitting,
    Rounded,
    Rounding,
    decompose,
    install_start,
    round_with,
    seed_of,
)
from engine.initialize.error_report import Errors
from engine.initialize.low_rank import find_factors
from engine.initialize.range_search import kind_of, search_ranges
from engine.layers.codebook_scales import WeightRanges
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.quant.grouping import split
from engine.specs import LoftQ
from engine.specs.initialization import RangeChoice

Progress = Callable[[int, int], None]


@torch.no_grad()
def start_loftq(
    layers: Layers, spec: LoftQ, *, head: Tensor, seed: int, progress: Progress
) -> Errors:
    """Give every adapted layer the rounded weight and the pair that make up for each other.

    In place. The frozen weights are replaced, so the model is no longer its own teacher; the head's
    is kept and only its pair fitted, so the head is always the teacher's. Layers without an adapter
    keep their round-to-nearest start, and those that are not rounded lose nothing.

    Args:
        layers: What was installed.
        spec: How to alternate.
        head: The weight of the model's head.
        seed: With a layer's name, the seed of its probes: the order of layers does not matter.
        progress: Told of layers done and in all.

    Returns:
        Relative error ‖W − Q − s·B·A‖ / ‖W‖ by layer and iteration.
    """
    adapted = {name: layer for name, layer in layers.items() if layer.adapter and layer.ranges}
    errors: Errors = {}
    for name, layer in adapted.items():
        is_kept = layer.weight is head
        errors[name] = _start_layer(layer, spec, seed_of(name, seed), is_kept=is_kept)
        progress(len(errors), len(adapted))
    return errors


def fit_ranges(
    layer: RoundedWeight, ranges: WeightRanges, start: Tensor, choice: RangeChoice
) -> None:
    """Fit ranges of a layer to an (O, I) start by its extremes or by the least error, in place."""
    grouped = split(start.to(layer.weight.dtype).float(), layer.num_groups)
    if choice == "extremes":
        ranges.fit(grouped)
        return
    kind = kind_of(ranges)
    kind.take(search_ranges(kind, grouped))


def _start_layer(
    layer: RoundedWeight, spec: LoftQ, generator: torch.Generator, *, is_kept: bool
) -> tuple[float, ...]:
    """Decompose one layer in place; return its errors."""
    if layer.adapter is None:
        raise ValueError("LoftQ needs an adapter")
    rank = layer.adapter.max_rank
    first = None
    if spec.variant == "svd-first" and not is_kept:
        first = find_factors(layer.weight.float(), rank, generator=generator)
    found = decompose(
        layer.weight,
        rounding=_rounding(layer, spec.ranges),
        fitting=Fitting(rank, generator=generator),
        iterations=1 if is_kept else spec.iterations,
        first=first,
    )
    install_start(layer, found)
    return found.errors


def _rounding(layer: RoundedWeight, choice: RangeChoice) -> Rounding:
    def rounding(start: Tensor) -> Rounded:
        if layer.ranges is not None:
            fit_ranges(layer, layer.ranges, start, choice)
        return round_with(layer, start)

    return rounding
