"""Promises of the one operation on a whole model: all or nothing, and everything comes back."""

from __future__ import annotations

import pytest
import torch

from engine.errors import SpecError
from engine.layers.layer_map import LayerSetting, apply_map, bypassed, held, read_map
from engine.layers.swap import Layers
from tests.engine.tiny_layers import quantized_llama, some_tokens

OFF = LayerSetting(16, 0, 16, 16)


@pytest.fixture
def layers() -> Layers:
    """Return the disturbed layers of a tiny Llama."""
    return quantized_llama()[1]


def test_a_map_sets_what_it_names(layers: Layers) -> None:
    """Named layers change, all others keep their setting, and what was held is forgotten."""
    first, second, *others = layers
    layers[first].hold(torch.float32, trains=False)
    apply_map(layers, {first: OFF, second: LayerSetting(3, 0)})
    found = read_map(layers)
    assert found[first] == OFF
    assert found[second] == LayerSetting(3, 0, 16, 16)
    assert {found[name] for name in others} == {LayerSetting(3, 4, 16, 16)}
    assert layers[first].held is None


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("nowhere", OFF, "nowhere: there is no quantized layer of that name"),
        ("", LayerSetting(7, 4), r"bits: 7 is not available here; choose one of 3, 16"),
        ("", LayerSetting(3, 5), r"rank: 5 is not available here; choose one of \[0, 4\]"),
    ],
)
def test_a_wrong_map_changes_nothing(
    layers: Layers, name: str, setting: LayerSetting, message: str
) -> None:
    """An unknown name, width or rank is refused in a sentence, and no layer has moved."""
    first, *_, last = layers
    before = read_map(layers)
    with pytest.raises(SpecError, match=message):
        apply_map(layers, {first: OFF, name or last: setting})
    assert read_map(layers) == before


def test_a_map_read_and_applied_is_the_same(layers: Layers) -> None:
    """Reading and applying are each other's inverse."""
    before = read_map(layers)
    apply_map(layers, dict.fromkeys(layers, OFF))
    assert set(read_map(layers).values()) == {OFF}
    apply_map(layers, before)
    assert read_map(layers) == before


def test_bypassing_restores_settings_and_held_weights(layers: Layers) -> None:
    """After a bypass every layer has its setting and its held weight again."""
    first, *_ = layers
    apply_map(layers, {first: OFF})
    before = read_map(layers)
    with held(layers, torch.float32):
        weights = {name: layer.held for name, layer in layers.items()}
        with bypassed(layers):
            assert set(read_map(layers).values()) == {OFF}
            assert all(layer.held is None for layer in layers.values())
        assert {name: layer.held for name, layer in layers.items()} == weights
    assert read_map(layers) == before
    assert all(layer.held is None for layer in layers.values())


def test_an_error_inside_a_bypass_still_restores(layers: Layers) -> None:
    """A run cancelled while the teacher speaks leaves the student as it was."""
    before = read_map(layers)
    with pytest.raises(KeyError), bypassed(layers):
        raise KeyError
    with pytest.raises(KeyError), held(layers, torch.float32):
        raise KeyError
    assert read_map(layers) == before
    assert all(layer.held is None for layer in layers.values())


def test_bypassing_copies_no_weight() -> None:
    """The teacher is the same memory: no parameter is new or moved while bypassed."""
    model, layers = quantized_llama()
    before = {name: value.data_ptr() for name, value in model.named_parameters()}
    with bypassed(layers), torch.no_grad():
        model(input_ids=some_tokens(1, 4))
        inside = {name: value.data_ptr() for name, value in model.named_parameters()}
    assert inside == before
