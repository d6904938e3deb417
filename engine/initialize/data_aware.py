"""Start weights and ranges from calibration text, for all layers. Start with `start_data_aware`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engine.initialize.compensation import compensate
from engine.initialize.moments import collect_moments
from engine.layers.head import SplitModel
from engine.layers.layer_map import bypassed
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.layers.weight_ranges import AsymmetricRanges, UniformRanges
from engine.quant.ranges import (
    Grid,
    asymmetric_grid,
    asymmetric_range,
    symmetric_grid,
    symmetric_scale,
)

STAGE = "calibrate"
Progress = Callable[[int, int], None]


@torch.no_grad()
def start_data_aware(
    split: SplitModel, root: nn.Module, layers: Layers, windows: Tensor, *, progress: Progress
) -> None:
    """Give every quantized linear layer the start that changes its output least, in place.

    The frozen weights are replaced by compensated ones, so the model is no longer its own teacher.
    Embeddings, the head, and layers that no calibration token reached keep their round-to-nearest
    start, so the head is always the teacher's.

    Args:
        split: The model, layers installed.
        root: The module the layers' names start from.
        layers: What was installed.
        windows: (N, T) int64 calibration text on the CPU.
        progress: Told of layers done and in all.
    """
    linear = {
        name: module
        for name, module in root.named_modules()
        if name in layers and isinstance(module, QuantizedLinear)
    }
    with bypassed(layers):
        moments = collect_moments(split, linear, windows, progress=progress)
    stacks: dict[int, list[str]] = {}
    for name in linear:
        if name in moments and isinstance(layers[name].ranges, UniformRanges):
            stacks.setdefault(id(moments[name]), []).append(name)
    done = 0
    for names in stacks.values():
        _start_stack([layers[name] for name in names], moments[names[0]])
        for name in names:
            del moments[name]
        done += len(names)
        progress(done, len(linear))


def _start_stack(stack: list[RoundedWeight], moments: Tensor) -> None:
    """Start layers that read the same input together; one factorization serves them all."""
    first = stack[0]
    start = compensate(
        torch.cat([layer.weight.float() for layer in stack]),
        moments,
        num_groups=first.num_groups,
        fit=_fitter(first),
    )
    heights = [layer.weight.shape[0] for layer in stack]
    pieces = zip(*(torch.split(part, heights) for part in start), strict=True)
    for layer, (weight, *grid) in zip(stack, pieces, strict=True):
        layer.weight.copy_(weight)
        if isinstance(layer.ranges, UniformRanges):
            lower, width, zero_point = grid
            layer.ranges.set_grid(Grid(lower, width, zero_point, layer.ranges.bits))


def _fitter(layer: RoundedWeight) -> Callable[[Tensor], Grid]:
    ranges = layer.ranges
    bits = layer.active_bits
    if isinstance(ranges, AsymmetricRanges):
        return lambda grouped: asymmetric_grid(*asymmetric_range(grouped, bits), bits)
    return lambda grouped: symmetric_grid(symmetric_scale(grouped, bits), bits)
