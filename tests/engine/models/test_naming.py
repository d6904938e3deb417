"""Names of layers: block, kind and the group that shares a rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.models.naming import LayerName, group_of, split_name

if TYPE_CHECKING:
    from engine.specs.adapter import Grouping


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


@pytest.mark.parametrize(
    ("name", "grouping", "group"),
    [
        ("model.layers.3.self_attn.q_proj", "block", "block 3"),
        ("model.layers.3.self_attn.q_proj", "kind", "self_attn.q_proj"),
        ("model.layers.3.self_attn.q_proj", "layer", "model.layers.3.self_attn.q_proj"),
        ("transformer.h.11.attn.c_attn", "kind", "attn.c_attn"),
        ("lm_head", "block", "lm_head"),
        ("lm_head", "kind", "lm_head"),
    ],
)
def test_group(name: str, grouping: Grouping, group: str) -> None:
    """Layers share a rank by block, by their name inside a block, or not at all."""
    assert group_of(name, grouping) == group
