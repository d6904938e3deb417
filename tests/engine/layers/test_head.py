"""Promises of a model in two steps: the same logits for every family known, refusal of others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    PreTrainedModel,
)

from engine.errors import ModelError
from engine.layers.head import SplitModel
from tests.engine.tiny_layers import integer, quantize, some_tokens
from tests.tiny_models import VOCAB_SIZE, make_gpt2, make_llama
from tests.tolerances import assert_near

SIZES: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "initializer_range": 0.3,  # logits of several units, so that a forgotten factor shows
}


def make_gemma2() -> PreTrainedModel:
    """Build a Gemma 2, which caps its logits."""
    config = Gemma2Config(**SIZES, head_dim=16, final_logit_softcapping=3.0)
    return Gemma2ForCausalLM(config).eval()


def make_granite() -> PreTrainedModel:
    """Build a Granite, which divides its logits."""
    return GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=4.0)).eval()


def make_cohere() -> PreTrainedModel:
    """Build a Cohere, which multiplies its logits."""
    return CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.25)).eval()


FAMILIES = {
    "llama": make_llama,
    "gpt2": make_gpt2,
    "gemma2": make_gemma2,
    "granite": make_granite,
    "cohere": make_cohere,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_body_and_head_give_the_model(family: str) -> None:
    """Hidden states and then logits are the logits of the model's own forward."""
    model = FAMILIES[family]()
    split = SplitModel(model)
    tokens = some_tokens(2, 9)
    with torch.no_grad():
        expected = model(input_ids=tokens, use_cache=False).logits
        found = split.logits(split.hidden(tokens))
    assert expected.abs().max() > 0.1
    assert_near(found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_plain_heads_are_called_plain(family: str) -> None:
    """A head whose logits are capped or scaled goes the general way."""
    plain = SplitModel(FAMILIES[family]()).head_is_plain
    assert plain == (family in ("llama", "gpt2"))


def test_a_rounded_head_is_not_plain() -> None:
    """A head that trains its ranges goes the general way, too."""
    model = make_llama()
    quantize(model, integer(embeddings=True))
    assert not SplitModel(model).head_is_plain


@pytest.mark.parametrize("change", ["factor", "bias", "cap"])
def test_an_unknown_change_of_the_logits_is_refused(change: str) -> None:
    """A family that does more to its logits than its config says is not trained wrongly."""
    changes = {
        "factor": lambda logits: logits * 1.5,
        "bias": lambda logits: logits + torch.arange(VOCAB_SIZE) / VOCAB_SIZE,
        "cap": lambda logits: torch.tanh(logits * 3) / 3,
    }
    model = make_llama()
    original = model.forward

    def forward(**values: Any) -> Any:
        output = original(**values)
        output.logits = changes[change](output.logits)
        return output

    model.forward = forward
    with pytest.raises(ModelError, match=r"model\.source: this family changes its logits"):
        SplitModel(model)


def test_a_small_change_of_small_logits_is_refused() -> None:
    """The check is relative: a forgotten factor shows on a model with tiny logits as well."""
    model = make_llama()
    nn.init.normal_(model.lm_head.weight, std=1e-4)
    original = model.forward

    def forward(**values: Any) -> Any:
        output = original(**values)
        output.logits = output.logits * 2
        return output

    model.forward = forward
    with pytest.raises(ModelError):
        SplitModel(model)


def test_the_probe_leaves_no_gradient() -> None:
    """Splitting a model computes nothing that waits for a backward pass."""
    model = make_llama()
    SplitModel(model)
    assert all(parameter.grad is None for parameter in model.parameters())
