"""Tiny models that do what most families do not: flatten, route, share keys, run a layer twice."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import (
    Gemma3nForCausalLM,
    Gemma3nTextConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
)
from transformers.models.llama.modeling_llama import LlamaMLP

from tests.tiny_models import make_llama


class FlatMLP(LlamaMLP):
    """Sees tokens in one row, whichever window they are of."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to the same."""
        found: Tensor = super().forward(x.flatten(0, 1))
        return found.view(x.shape)


class RoutedMLP(LlamaMLP):
    """Sees the tokens alone whose first feature is positive."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to the same, zeros for the others."""
        chosen = x[..., 0] > 0
        found = torch.zeros_like(x)
        found[chosen] = super().forward(x[chosen])
        return found


class TwiceMLP(LlamaMLP):
    """Is run twice."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, D) to the same."""
        found: Tensor = super().forward(super().forward(x))
        return found


def _with(kind: type[LlamaMLP]) -> LlamaForCausalLM:
    model = make_llama()
    for block in model.model.layers:
        block.mlp.__class__ = kind
    return model


def make_flat() -> PreTrainedModel:
    """Build a Llama whose MLPs flatten windows and tokens into one, as Qwen2-MoE's do."""
    return _with(FlatMLP)


def make_routed() -> PreTrainedModel:
    """Build a Llama whose MLPs are given some of the tokens, as experts are."""
    return _with(RoutedMLP)


def make_shared() -> PreTrainedModel:
    """Build a Llama that runs its MLPs twice in a pass, as families do that share blocks."""
    return _with(TwiceMLP)


def make_opt() -> PreTrainedModel:
    """Build an OPT of three blocks."""
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=512,
        hidden_size=32,
        ffn_dim=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        word_embed_proj_dim=32,
        max_position_embeddings=64,
    )
    return OPTForCausalLM(config).eval()


def make_gemma3n() -> PreTrainedModel:
    """Build a Gemma 3n of ten blocks, the last two of which reuse keys of earlier ones."""
    torch.manual_seed(0)
    config = Gemma3nTextConfig(
        vocab_size=512,
        vocab_size_per_layer_input=512,
        hidden_size=32,
        hidden_size_per_layer_input=8,
        intermediate_size=64,
        num_hidden_layers=10,
        num_kv_shared_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        laurel_rank=4,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"] * 5,
        activation_sparsity_pattern=[0.0] * 10,
        max_position_embeddings=64,
    )
    return Gemma3nForCausalLM(config).eval()
