"""Putting quantized layers in place of a model's own, and listing them. Start with `install`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn

from engine.errors import SpecError
from engine.layer_patterns import is_selected
from engine.layers.bit_maps import own_map
from engine.layers.layer_map import apply_map
from engine.layers.quantized_embedding import QuantizedEmbedding
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.width_bank import LayerWidths, build_rounded
from engine.specs import (
    AdapterSpec,
    FloatInputs,
    FloatQuantizer,
    LowRankAdapter,
    NoAdapter,
    QuantizerSpec,
)
from engine.specs.layer_bits import check_named, find_bits
from engine.specs.quantizer import BITS_UNQUANTIZED, DEFAULT_EXCLUDE

Layers = dict[str, RoundedWeight]
Users = dict[str, nn.Linear | nn.Embedding]


@dataclass(frozen=True)
class LayerPlan:
    """What to put in: the two axes that shape a layer, and the seed of the adapters' start.

    Attributes:
        bits: Width of each layer by name, where layers differ; others get the quantizer's.
        widths: Widths every layer is trained at, the highest first; empty for its own alone.
    """

    quantizer: QuantizerSpec
    adapter: AdapterSpec
    seed: int
    bits: Mapping[str, int] = field(default_factory=dict)
    widths: tuple[int, ...] = ()


def install(model: nn.Module, plan: LayerPlan) -> Layers:
    """Replace the selected linear layers and embeddings of a model, in place.

    A head tied to a selected embedding is replaced with it and shares its weight; the pair counts
    as one layer, under the embedding's name, and is selected where either name is.

    Args:
        model: Any module with `nn.Linear` and `nn.Embedding` layers.
        plan: Quantizer, adapter and seed.

    Returns:
        Layer name to rounded weight, in the model's order, each at its own width; empty where
        nothing is asked.

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
            model.set_submodule(alias, _replacement(module, layers[name], plan.quantizer))
    _check_found(layers, plan)
    apply_map(layers, own_map(layers, plan.quantizer))
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
    if not isinstance(plan.quantizer, FloatQuantizer):
        check_named(plan.quantizer.layer_bits, layers, field="quantizer.layer_bits")
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
    try:
        return build_rounded(
            cast("nn.Parameter", module.weight),
            _find_widths(name, plan),
            quantizer=plan.quantizer,
            adapter=None if generator is None else _adapter_for(name, plan),
            generator=generator,
        )
    except SpecError as error:
        problem = error.problems[0]
        raise SpecError.at(problem.field, f"{problem.message} (layer {name})") from error


def _find_widths(name: str, plan: LayerPlan) -> LayerWidths:
    """Return the widths of a layer: the plan's, its own by the layer map, or the quantizer's."""
    spec = plan.quantizer
    if isinstance(spec, FloatQuantizer):
        return LayerWidths(BITS_UNQUANTIZED, ())
    mapped = find_bits(spec.layer_bits, name)
    if spec.is_mixed and name not in plan.bits:
        raise ValueError(f"{name} has no width of its own, and {spec.bits} is none")
    own = plan.bits.get(name, int(spec.bits)) if mapped is None else mapped.weights
    if own == BITS_UNQUANTIZED and not plan.widths:
        return LayerWidths(own, ())
    return LayerWidths(own, plan.widths or (own,))


def _replacement(
    module: nn.Linear | nn.Embedding, rounded: RoundedWeight, quantizer: QuantizerSpec
) -> nn.Module:
    if isinstance(module, nn.Embedding):
        return QuantizedEmbedding(rounded, module.padding_idx)
    inputs = FloatInputs() if isinstance(quantizer, FloatQuantizer) else quantizer.inputs
    granularity = "token" if isinstance(inputs, FloatInputs) else inputs.granularity
    return QuantizedLinear(rounded, module.bias, granularity=granularity)
