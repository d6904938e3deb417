"""Names of layers: block and kind."""

from __future__ import annotations

import pytest

from engine.models.naming import LayerName, split_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.3.self_attn.q_proj", LayerName(3, "q_proj")),
        ("transformer.h.11.attn.c_attn", LayerName(11, "c_attn")),
        ("gpt_neox.layers.0.mlp.dense_h_to_4h", LayerName(0, "dense_h_to_4h")),
        ("lm_head", LayerName(None, "lm_head")),
        ("model.embed_tokens", LayerName(None, "embed_tokens")),
    ],
)
def test_split(name: str, expected: LayerName) -> None:
    """A layer's name tells its block, if any, and its kind."""
    assert split_name(name) == expected
