"""Layers that are served as one are found by name, in every family."""

from __future__ import annotations

from engine.allocation.fusion import list_fusion_groups


def test_llama() -> None:
    """Query, key and value share a width, gate and up do, block by block; others stand alone."""
    names = [
        f"model.layers.{block}.{kind}"
        for block in (0, 1)
        for kind in (
            "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
            "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
        )
    ]  # fmt: skip
    groups = list_fusion_groups(names)
    assert groups == tuple(
        tuple(f"model.layers.{block}.{parent}.{kind}_proj" for kind in kinds)
        for block in (0, 1)
        for parent, kinds in (("self_attn", "qkv"), ("mlp", ("gate", "up")))
    )


def test_what_is_there_forms_the_group() -> None:
    """Without queries, keys and values are a group; one layer alone is none."""
    assert list_fusion_groups(["a.k_proj", "b.q_proj", "a.v_proj"]) == (("a.k_proj", "a.v_proj"),)
    assert list_fusion_groups(["transformer.h.0.attn.c_attn", "lm_head"]) == ()


def test_encoder_decoder() -> None:
    """Queries that look at another stack are not fused with its keys and values."""
    block = "decoder.block.0.layer"
    names = [
        f"{block}.{place}.{kind}"
        for place, kinds in (("0.SelfAttention", "qkvo"), ("1.EncDecAttention", "qkvo"))
        for kind in kinds
    ] + [f"{block}.2.DenseReluDense.{kind}" for kind in ("wi_0", "wi_1", "wo")]
    assert list_fusion_groups(names) == (
        tuple(f"{block}.0.SelfAttention.{kind}" for kind in "qkv"),
        tuple(f"{block}.1.EncDecAttention.{kind}" for kind in "kv"),
        (f"{block}.2.DenseReluDense.wi_0", f"{block}.2.DenseReluDense.wi_1"),
    )


def test_bert() -> None:
    """BERT's query, key and value are a group."""
    parent = "bert.encoder.layer.3.attention.self"
    names = [f"{parent}.{kind}" for kind in ("query", "key", "value")]
    assert list_fusion_groups(names) == (tuple(names),)
