"""Putting quantized layers in place of a model's own, and listing them. Start with `install`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from engine.errors import SpecError
from engine.layer_patterns import is_selected
from engine.layers.adapters import LoraPair
from engine.layers.codebook_scales import WeightRanges, build_ranges
from engine.layers.quantized_embedding import QuantizedEmbedding
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.rounded_weight import RoundedWeight
from engine.quant.grouping import count_groups, split
from engine.specs import (
    AdapterSpec,
    FloatQuantizer,
    LowRankAdapter,
    NoAdapter,
    QuantizerSpec,
)
from engine.specs.quantizer import DEFAULT_EXCLUDE

Layers = dict[str, RoundedWeight]
Users = dict[str, nn.Linear | nn.Embedding]


@dataclass(frozen=True)
class LayerPlan:
    """What to put in: the two axes that shape a layer, and the seed of the adapters' start.

    Attributes:
        bits: Width of each layer by name, where layers differ; others get the quantizer's.
    """

    quantizer: QuantizerSpec
    adapter: AdapterSpec
    seed: int
    bits: Mapping[str, int] = field(default_factory=dict)


def install(model: nn.Module, plan: LayerPlan) -> Layers:
    """Replace the selected linear layers and embeddings of a model, in place.

    A head tied to a selected embedding is replaced with it and shares its weight; the pair counts
    as one layer, under the embedding's name, and is selected where either name is.

    Args:
        model: Any module with `nn.Linear` and `nn.Embedding` layers.
        plan: Quantizer, adapter and seed.

    Returns:
        Layer name to rounded weight, in the model's order; empty where nothing is asked.

    Raises:
        SpecError: When no layer matches, a group size or rank does not fit a layer, or a layer
            computes more than a linear layer or a look-up.
    """
    generator = torch.Generator().manual_seed(plan.seed)
    tied = _find_tied_names(model)
    layers: Layers = {}
    for name, users in find_targets(model, plan).items():
        for alias, module in users.items():
            _check_kind(alias, module)
        first = users[name]
        adapted = isinstance(first, nn.Linear) and id(first.weight) not in tied
        layers[name] = _build(name, first, plan, generator if adapted else None)
        for alias, module in users.items():
            model.set_submodule(alias, _replacement(module, layers[name]))
    _check_found(layers, plan)
    return layers


def find_targets(model: nn.Module, plan: LayerPlan) -> dict[str, Users]:
    """Return what `install` replaces, in the model's order; nothing is changed.

    Returns:
        Layer name to the modules that use its weight, by their own names: one, but for tied ones.
    """
    tied = _find_tied_names(model)
    first: dict[int, str] = {}
    targets: dict[str, Users] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            names = tied.get(id(module.weight), (name,))
            if any(_is_wanted(alias, module, plan) for alias in names):
                layer = first.setdefault(id(module.weight), name)
                targets.setdefault(layer, {})[name] = module
    return targets


def _check_found(layers: Layers, plan: LayerPlan) -> None:
    """Refuse patterns that select nothing, at the field that holds them."""
    if not isinstance(plan.quantizer, FloatQuantizer) and not layers:
        raise SpecError.at(
            "quantizer.include", "no layer of this model is selected; use * or a layer's name"
        )
    adapted = any(layer.adapter is not None for layer in layers.values())
    if not isinstance(plan.adapter, NoAdapter) and not adapted:
        raise SpecError.at(
            "adapter.target_modules",
            "no quantized linear layer of this model is selected; use * or a layer's name",
        )


def _check_kind(name: str, module: nn.Linear | nn.Embedding) -> None:
    """Refuse a layer whose forward is more than that of its kind: it would be lost."""
    kind = nn.Linear if isinstance(module, nn.Linear) else nn.Embedding
    if type(module).forward is not kind.forward:
        raise SpecError.at(
            "quantizer.exclude",
            f"layer {name} is a {type(module).__name__}, which computes more than Bitdial knows; "
            "exclude it",
        )


def _find_tied_names(model: nn.Module) -> dict[int, tuple[str, ...]]:
    """Map the id of every shared weight to the names of the modules that use it."""
    names: dict[int, tuple[str, ...]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            names[id(module.weight)] = (*names.get(id(module.weight), ()), name)
    return {key: value for key, value in names.items() if len(value) > 1}


def _is_wanted(name: str, module: nn.Module, plan: LayerPlan) -> bool:
    if not isinstance(plan.quantizer, FloatQuantizer):
        return is_selected(name, plan.quantizer.include, plan.quantizer.exclude)
    return isinstance(module, nn.Linear) and _adapter_for(name, plan, DEFAULT_EXCLUDE) is not None


def _adapter_for(
    name: str, plan: LayerPlan, exclude: tuple[str, ...] = ()
) -> LowRankAdapter | None:
    if isinstance(plan.adapter, NoAdapter):
        return None
    return plan.adapter if is_selected(name, plan.adapter.target_modules, exclude) else None


def _build(
    name: str, module: nn.Linear | nn.Embedding, plan: LayerPlan, generator: torch.Generator | None
) -> RoundedWeight:
    weight = cast("nn.Parameter", module.weight)
    adapter_spec = _adapter_for(name, plan) if generator is not None else None
    try:
        ranges = _build_ranges(name, weight, plan)
        adapter = None
        if adapter_spec is not None and generator is not None:
            adapter = LoraPair(weight.shape, adapter_spec, generator=generator)
    except SpecError as error:
        problem = error.problems[0]
        raise SpecError.at(problem.field, f"{problem.message} (layer {name})") from error
    return RoundedWeight(weight, ranges=ranges, adapter=adapter).to(weight.device)


def _build_ranges(name: str, weight: Tensor, plan: LayerPlan) -> WeightRanges | None:
    spec = plan.quantizer
    if isinstance(spec, FloatQuantizer):
        return None
    if spec.is_mixed and name not in plan.bits:
        raise ValueError(f"{name} has no width of its own, and {spec.bits} is none")
    num_groups = count_groups(weight.shape[1], spec.shared_weights)
    bits = plan.bits.get(name, int(spec.bits))
    return build_ranges(split(weight.detach(), num_groups), spec, bits)


def _replacement(module: nn.Linear | nn.Embedding, rounded: RoundedWeight) -> nn.Module:
    if isinstance(module, nn.Embedding):
        return QuantizedEmbedding(rounded, module.padding_idx)
    return QuantizedLinear(rounded, module.bias)
