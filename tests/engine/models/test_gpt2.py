"""GPT-2 as QaLoF has it: every Conv1D replaced, published names, any head, all parts rounded."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2ForQuestionAnswering,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    PreTrainedModel,
)
from transformers.pytorch_utils import Conv1D

from engine.layer_maps.reading import read_map
from engine.layers.bit_maps import named_map, uniform_map
from engine.layers.kv_cache import install_cache
from engine.layers.layer_map import apply_map
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import LayerPlan, install
from engine.models.conv1d import replace_conv1d
from engine.specs import FixedCache, IntegerQuantizer, LayerCache, LayerInputs, LoraAdapter
from tests.engine.tiny_layers import some_tokens
from tests.tolerances import assert_near

HEADS = (GPT2LMHeadModel, GPT2ForQuestionAnswering, GPT2ForSequenceClassification)
PUBLISHED = re.compile(r"transformer\.h\.[0-3]\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)")
ALL_PARTS = IntegerQuantizer(
    bits=4,
    symmetry="narrow",
    granularity="channel",
    inputs=LayerInputs(),
    cache=LayerCache(),
)
Layers = dict[str, RoundedWeight]


def make(kind: Any, *, replaced: bool = True) -> PreTrainedModel:
    """Build a GPT-2 of four blocks with random weights, biases included."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=320, n_embd=48, n_layer=4, n_head=4, n_positions=64, pad_token_id=0,
        bos_token_id=0, eos_token_id=0, initializer_range=0.15,
    )  # fmt: skip
    model = kind(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("bias"):
                value.normal_(0, 0.1)
    if replaced:
        assert replace_conv1d(model) == 16
    return model.requires_grad_(requires_grad=False)


def outputs_of(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    found = model(input_ids=tokens, use_cache=False)
    if "start_logits" in found:
        return torch.stack([found.start_logits, found.end_logits])
    return found.logits


def round_all(model: PreTrainedModel) -> Layers:
    """Round weights, inputs and cache to 4 bits, with an adapter beside each weight."""
    adapter = LoraAdapter(r=4, placement="parallel")
    layers = install(model, LayerPlan(ALL_PARTS, adapter, seed=3))
    install_cache(model, layers, "token")
    apply_map(layers, uniform_map(layers, 4, ALL_PARTS))
    return layers


@pytest.mark.parametrize("kind", HEADS)
def test_replaced_layers_compute_the_same(kind: Any) -> None:
    """No Conv1D is left, and outputs are those of the original but for float32 rounding."""
    model, original = make(kind), make(kind, replaced=False)
    assert not any(isinstance(module, Conv1D) for module in model.modules())
    tokens = some_tokens(2, 12)
    assert_near(outputs_of(model, tokens), outputs_of(original, tokens))


@pytest.mark.parametrize("kind", HEADS)
def test_16_bits_are_the_original(kind: Any) -> None:
    """With every part at 16 bits the quantized model is the one it was made of, bit for bit."""
    model, plain, tokens = make(kind), make(kind), some_tokens(2, 12)
    layers = round_all(model)
    assert not torch.equal(outputs_of(model, tokens), outputs_of(plain, tokens))
    apply_map(layers, uniform_map(layers, 16, ALL_PARTS))
    assert torch.equal(outputs_of(model, tokens), outputs_of(plain, tokens))
    assert_near(outputs_of(model, tokens), outputs_of(make(kind, replaced=False), tokens))


@pytest.mark.parametrize("kind", HEADS)
def test_published_names(kind: Any) -> None:
    """Layers are called as in the publication under every head, and its maps apply to them."""
    layers = round_all(make(kind))
    assert "transformer.h.3.attn.c_attn" in layers
    assert len(layers) == 16
    assert all(PUBLISHED.fullmatch(name) for name in layers)
    published = {name: 8 if "c_proj" in name else 4 for name in layers}
    lines = read_map(json.dumps(published)).lines
    for layer in layers.values():
        layer.add_width(8, layer.find_width(4))  # any ranges will do: names and parts matter here
    apply_map(layers, named_map(layers, lines, ALL_PARTS, field="maps"))
    assert {name: layer.active_inputs for name, layer in layers.items()} == published
    assert layers["transformer.h.3.attn.c_attn"].cache_bits == 4


@pytest.mark.parametrize("kind", HEADS)
def test_w4a4kv4_learns(kind: Any) -> None:
    """With weights, inputs and cache at 4 bits every adapter learns, and the loss falls."""
    model, tokens = make(kind), some_tokens(4, 12)
    layers = round_all(model)
    adapters = [layer.adapter for layer in layers.values()]
    assert all(adapter is not None for adapter in adapters)
    values = [value for adapter in adapters for value in adapter.parameters()]
    target = outputs_of(make(kind), tokens)
    optimizer = torch.optim.Adam(values, lr=5e-4)
    losses = []
    for _ in range(12):
        loss = (outputs_of(model, tokens) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(adapter.b.grad.abs().max() > 0 for adapter in adapters)
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-6:]) / 6 < 0.9 * losses[0]


def test_parts_matter_each_on_their_own() -> None:
    """Rounding weights, inputs or cache alone changes the outputs, each in its own way."""
    tokens, plain = some_tokens(2, 12), make(GPT2LMHeadModel)
    model = make(GPT2LMHeadModel)
    layers = round_all(model)
    seen = [outputs_of(plain, tokens)]
    for line in ("*=W4A16KV16", "*=W16A4KV16", "*=W16A16KV4"):
        apply_map(layers, named_map(layers, (line,), ALL_PARTS, field="maps"))
        found = outputs_of(model, tokens)
        assert not any(torch.equal(found, other) for other in seen)
        seen.append(found)
    fixed = ALL_PARTS.model_copy(update={"cache": FixedCache(bits=4)})
    apply_map(layers, named_map(layers, ("*=W16A16",), ALL_PARTS, field="maps"))
    assert torch.equal(outputs_of(model, tokens), seen[0])
    apply_map(layers, uniform_map(layers, 4, fixed))
    assert {layer.cache_bits for layer in layers.values()} == {4}
