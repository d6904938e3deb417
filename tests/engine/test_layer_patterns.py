"""Patterns of layer names."""

from __future__ import annotations

import pytest

from engine.layer_patterns import is_selected, match_layers


@pytest.mark.parametrize(
    ("name", "include", "exclude", "expected"),
    [
        ("model.layers.0.mlp.up_proj", ("*",), (), True),
        ("model.layers.0.mlp.up_proj", ("*.mlp.*",), (), True),
        ("model.layers.0.self_attn.q_proj", ("*.mlp.*",), (), False),
        ("model.layers.0.self_attn.q_proj", ("*.mlp.*", "*q_proj"), (), True),
        ("model.layers.0.mlp.up_proj", ("*",), ("*.up_proj",), False),
        ("lm_head", ("*",), ("LM_HEAD",), True),
        ("model.layers.1.mlp.up_proj", ("model.layers.[01].*",), (), True),
        ("model.layers.11.mlp.up_proj", ("up_proj",), (), False),
    ],
)
def test_selected(
    name: str, include: tuple[str, ...], exclude: tuple[str, ...], expected: bool
) -> None:
    """A layer is selected where it is included and not excluded, by its whole name and case."""
    assert is_selected(name, include, exclude) == expected


def test_match_keeps_order() -> None:
    """Matched names keep their order."""
    assert match_layers(("b", "a", "c"), iter(("a", "b"))) == ("b", "a")
