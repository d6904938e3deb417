"""Quantized layers and models small enough for a test, with ranges and adapters away from zero.

A fresh adapter changes nothing (B is zero) and a fresh range clips nothing, so a test of gradients
on them would prove little; `disturb` moves both. Start with `quantized_llama`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import LayerPlan, Layers, install
from engine.specs import (
    AdapterSpec,
    IntegerQuantizer,
    LoraAdapter,
    NoAdapter,
    QuantizerSpec,
)
from tests.tiny_models import VOCAB_SIZE, make_llama

SEED = 7
NO_LAYER = ("nothing",)


def integer(
    *, bits: int = 3, symmetric: bool = False, group_size: int = 16, embeddings: bool = False
) -> IntegerQuantizer:
    """Return an integer grid for all layers, with embeddings and head or without."""
    return IntegerQuantizer(
        bits=bits,
        symmetry="symmetric" if symmetric else "asymmetric",
        group_size=group_size,
        exclude=NO_LAYER if embeddings else IntegerQuantizer().exclude,
    )


def lora(*, r: int = 4, alpha: float = 6.0) -> LoraAdapter:
    """Return an adapter whose factor s is not one."""
    return LoraAdapter(r=r, lora_alpha=alpha)


def quantize(
    model: PreTrainedModel,
    quantizer: QuantizerSpec,
    adapter: AdapterSpec | None = None,
    *,
    widths: tuple[int, ...] = (),
) -> Layers:
    """Freeze a model and install layers as asked, undisturbed."""
    model.requires_grad_(requires_grad=False)
    return install(model, LayerPlan(quantizer, adapter or NoAdapter(), SEED, widths=widths))


def quantized_llama(
    *,
    quantizer: QuantizerSpec | None = None,
    adapter: AdapterSpec | None = None,
    tied: bool = False,
) -> tuple[PreTrainedModel, Layers]:
    """Build the tiny Llama with disturbed layers."""
    model = make_llama(tied=tied)
    layers = quantize(model, quantizer or integer(), adapter or lora())
    disturb(layers)
    return model, layers


def disturb(layers: Layers) -> None:
    """Give every adapter weight and shrink every range so that both its ends clip; in place."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for layer in layers.values():
            if layer.adapter is not None:
                layer.adapter.b.normal_(0, 0.02, generator=generator)
            for name, value in named_ranges(layer).items():
                shrunk = torch.rand(value.shape, generator=generator).mul_(0.4).add_(0.5)
                value.mul_(shrunk if name != "low" else shrunk * 0.9)


def named_ranges(layer: RoundedWeight) -> dict[str, torch.nn.Parameter]:
    """Return the range parameters of a layer by name."""
    return {} if layer.ranges is None else dict(layer.ranges.named_parameters())


def gradients_of(layers: Layers) -> dict[str, Tensor]:
    """Take the gradients of all adapters and ranges, and clear them."""
    found = {}
    for layer_name, layer in layers.items():
        for name, parameter in layer.named_parameters():
            if parameter.grad is not None:
                found[f"{layer_name}/{name}"] = parameter.grad
                parameter.grad = None
    return found


def some_tokens(*shape: int, seed: int = 5) -> Tensor:
    """Return random tokens of the tiny vocabulary."""
    return torch.randint(VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(seed))
