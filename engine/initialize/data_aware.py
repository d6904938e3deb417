"""Start weights, ranges and parallel adapters from calibration text, for all layers.

Start with `start_data_aware`; the arithmetic of one layer stands in `compensation` (rounding) and
`decomposition` (rounding and adapter in turn).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.initialize.compensation import compensate
from engine.initialize.decomposition import (
    Fitting,
    Rounded,
    Rounding,
    decompose,
    install_rounded,
    install_start,
    round_with,
    seed_of,
)
from engine.initialize.error_report import Errors
from engine.initialize.hessian import LayerHessian
from engine.initialize.moment_size import cut_layers
from engine.initialize.moments import collect_moments
from engine.initialize.range_search import kind_of, search_ranges
from engine.layers.headed import AnyModel
from engine.layers.layer_map import bypassed, held
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.quant.grouping import split as split_groups
from engine.specs import DataAware

Progress = Callable[[int, int], None]


@torch.no_grad()
def start_data_aware(
    split: AnyModel,
    root: nn.Module,
    layers: Layers,
    windows: Tensor,
    *,
    spec: DataAware,
    seed: int,
    progress: Progress,
) -> Errors:
    """Give every quantized linear layer the start that changes its output least, in place.

    The frozen weights are replaced, so the model is no longer its own teacher. Embeddings, the
    head, and layers that no calibration token reached keep their round-to-nearest start, so the
    head is always the teacher's. Absorbed adapters stay at zero: what they held would be rounded
    again.

    Inputs are those of the original model. Where the moments of all layers are too large to be held
    at once, the model is started part by part, and later parts see the inputs that the parts before
    them give at their start, as in GPTQ.

    Args:
        split: The model, layers installed.
        root: The module the layers' names start from.
        layers: What was installed.
        windows: (N, T) int64 calibration text on the CPU.
        spec: Whether to compensate, and how often to alternate with parallel adapters.
        seed: With a layer's name, the seed of its probes.
        progress: Told of layers done and in all.

    Returns:
        Relative error of the outputs by layer and iteration, of layers with a parallel adapter.

    Raises:
        ModelError: When inputs overflow the model's number format.
    """
    linear = {
        name: module
        for name, module in root.named_modules()
        if name in layers and isinstance(module, QuantizedLinear)
    }
    parts = cut_layers({name: module.in_features for name, module in linear.items()})
    total = len(parts) * len(windows) + len(linear)
    errors: Errors = {}
    started: Layers = {}
    for index, part in enumerate(parts):
        before = index * len(windows) + len(started)
        count = _Offset(progress, before, total)
        rest = {name: layer for name, layer in layers.items() if name not in started}
        observed = {name: linear[name] for name in part}
        with bypassed(rest), held(started, split.head_weight.dtype):
            moments = collect_moments(split, observed, windows, progress=count)
        count = _Offset(progress, before + len(windows), total)
        errors |= start_from_moments(layers, moments, spec, seed=seed, progress=count)
        started |= {name: layers[name] for name in part}
    return errors


@dataclass(frozen=True)
class _Offset:
    """Tells of progress that follows upon other progress."""

    progress: Progress
    before: int
    total: int

    def __call__(self, done: int, _: int) -> None:
        """Tell of `done` more."""
        self.progress(self.before + done, self.total)


@torch.no_grad()
def start_from_moments(
    layers: Layers, moments: dict[str, Tensor], spec: DataAware, *, seed: int, progress: Progress
) -> Errors:
    """Do the same with moments already collected; those of finished layers are dropped.

    Args:
        layers: What was installed.
        moments: (I, I) float32 by layer; layers with the same input hold the same tensor.
        spec: As for `start_data_aware`.
        seed: As for `start_data_aware`.
        progress: Told of layers done and in all.
    """
    known = [name for name, layer in layers.items() if name in moments and layer.ranges is not None]
    stacks: dict[int, list[str]] = {}
    for name in known:
        stacks.setdefault(id(moments[name]), []).append(name)
    errors: Errors = {}
    done = 0
    for names in stacks.values():
        _check_finite(names[0], moments[names[0]])
        hessian = LayerHessian(moments[names[0]])
        for name in names:
            del moments[name]
            errors[name] = _start_layer(layers[name], hessian, spec, seed_of(name, seed))
            done += 1
            progress(done, len(known))
    return {name: errors[name] for name in known if errors[name]}


def _check_finite(name: str, moments: Tensor) -> None:
    """Refuse moments that are no numbers, at the first layer that has such."""
    if not torch.isfinite(moments.sum()):
        raise ModelError(
            f"the inputs of {name} are not finite numbers in this format; choose float32 or "
            "bfloat16",
            field="model.dtype",
        )


def _start_layer(
    layer: RoundedWeight, hessian: LayerHessian, spec: DataAware, generator: torch.Generator
) -> tuple[float, ...]:
    """Start one layer in place; return its errors where it has a parallel adapter."""
    rounding = _rounding(layer, hessian, spec)
    if layer.adapter is None or layer.adapter.is_absorbed:
        install_rounded(layer, rounding(layer.weight.float()))
        return ()
    found = decompose(
        layer.weight,
        rounding=rounding,
        fitting=Fitting(layer.adapter.max_rank, generator=generator, hessian=hessian),
        iterations=spec.iterations,
    )
    install_start(layer, found)
    return found.errors


def _rounding(layer: RoundedWeight, hessian: LayerHessian, spec: DataAware) -> Rounding:
    if layer.ranges is None:
        raise ValueError("only a layer with ranges can be rounded")
    kind, num_groups = kind_of(layer.ranges), layer.num_groups

    def rounding(target: Tensor) -> Rounded:
        if spec.compensation:
            start, parts = compensate(target, hessian, num_groups=num_groups, kind=kind)
        else:
            importance = hessian.importance.view(num_groups, -1)
            start, parts = target, search_ranges(kind, split_groups(target, num_groups), importance)
        kind.take(parts)
        return round_with(layer, start)

    return rounding
