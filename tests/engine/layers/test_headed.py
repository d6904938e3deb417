"""Promises of models with other heads: rounding is the only difference, and all layers are seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.initialize.moments import collect_moments
from engine.layers.headed import HeadedModel
from engine.layers.layer_map import bypassed, held
from engine.layers.quantized_linear import QuantizedLinear
from engine.models.conv1d import replace_conv1d
from tests.engine.tiny_layers import disturb, integer, lora, quantize, some_tokens
from tests.tiny_heads import make_kind

KINDS = [
    ("bert", "classification"),
    ("roberta", "span-qa"),
    ("deberta-v2", "classification"),
    ("deberta-v2", "span-qa"),
    ("gpt2", "classification"),
    ("llama", "classification"),
    ("llama", "span-qa"),
    ("bart", "seq2seq"),
    ("t5", "seq2seq"),
    ("t5 gated", "seq2seq"),
    ("t5", "classification"),
]
TOKENS = some_tokens(2, 9).clamp(min=4)
TOKENS[:, -1] = 2  # BART's classification reads the state of the last end of text


def make(kind: str, head: str) -> Any:
    model = make_kind(kind, head)
    model.config.pad_token_id = 0
    replace_conv1d(model)
    return model


def ask(model: Any) -> Tensor:
    """Return whatever the model puts out, in one row."""
    given = {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)}
    if model.config.is_encoder_decoder and hasattr(model, "lm_head"):
        given["decoder_input_ids"] = TOKENS
    with torch.no_grad():
        found = model(**given)
    names = ("logits", "start_logits", "end_logits")
    return torch.cat([found[name].flatten() for name in names if name in found])


@pytest.mark.parametrize(("kind", "head"), KINDS)
def test_sixteen_bits_and_rank_zero_are_the_original(kind: str, head: str) -> None:
    """Bypassed, every kind of model puts out bit for bit what it did; rounded, it does not."""
    model = make(kind, head)
    expected = ask(model)
    layers = quantize(model, integer(bits=2), lora())
    disturb(layers)
    with bypassed(layers):
        assert torch.equal(ask(model), expected)
    rounded = ask(model)
    assert not torch.allclose(rounded, expected, rtol=1e-4, atol=1e-6)
    with held(layers, torch.float32):
        torch.testing.assert_close(ask(model), rounded, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "head"), KINDS)
def test_calibration_reaches_every_layer_of_the_body(kind: str, head: str) -> None:
    """Tokens run through both stacks of a model, so that every layer's inputs are known."""
    model = make(kind, head)
    layers = quantize(model, integer(), lora())
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, QuantizedLinear) and name in layers
    }
    done = []
    moments = collect_moments(
        HeadedModel(model), linear, TOKENS, progress=lambda now, total: done.append((now, total))
    )
    assert set(moments) == set(linear)
    assert len(linear) >= 8
    assert done == [(1, 2), (2, 2)]


def test_half_precision_t5_runs_through_rounded_layers() -> None:
    """What T5 asks of its layers' weights (their dtype) rounded layers answer like its own."""
    model = make("t5 gated", "seq2seq").to(torch.bfloat16)
    layers = quantize(model, integer(), lora())
    with held(layers, torch.bfloat16):
        assert ask(model).isfinite().all()
    assert HeadedModel(model).head_weight is model.lm_head.weight
