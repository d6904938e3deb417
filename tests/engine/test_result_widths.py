"""Promises of results of layers trained at several widths, and of narrow grids."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.errors import CheckpointError
from engine.layers.bit_maps import uniform_map
from engine.layers.layer_map import apply_map
from engine.layers.swap import LayerPlan, Layers, install
from engine.result import check_codes, iter_weights, load_result, read_widths, save_result
from engine.specs import AdapterSpec, IntegerQuantizer, LoraAdapter, LoraBankAdapter
from tests.engine.tiny_layers import SEED, quantize
from tests.tiny_models import make_llama

WIDTHS = (8, 4, 3)
NARROW = IntegerQuantizer(bits=4, symmetry="narrow", group_size=16)


def put_in(adapter: AdapterSpec, *, seed: int = 3) -> Layers:
    """Return layers of several widths, ranges and adapters away from their start."""
    model = make_llama()
    model.requires_grad_(requires_grad=False)
    layers = install(model, LayerPlan(NARROW, adapter, SEED, widths=WIDTHS))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in layers.values():
            for pair in layer.list_adapters().values():
                pair.b.normal_(0, 0.02, generator=generator)
            for ranges in layer.list_ranges().values():
                for value in ranges.parameters():
                    value.mul_(0.8 + 0.1 * torch.rand(value.shape, generator=generator))
    return layers


@pytest.mark.parametrize("adapter", [LoraAdapter(r=4), LoraBankAdapter(r=4)])
def test_every_width_comes_back(tmp_path: Path, adapter: AdapterSpec) -> None:
    """Ranges and adapters of all widths are saved, and the weight of each is the same again."""
    layers, path = put_in(adapter), tmp_path / "result.safetensors"
    save_result(path, layers)
    again = put_in(adapter, seed=4)
    load_result(path, again)
    check_codes(path, again)
    for bits in (*WIDTHS, 16):
        apply_map(layers, uniform_map(layers, bits, NARROW))
        apply_map(again, uniform_map(again, bits, NARROW))
        for name, layer in layers.items():
            assert torch.equal(layer.effective(), again[name].effective())


@pytest.mark.parametrize("bits", WIDTHS)
def test_codes_are_those_of_the_width_the_layers_stand_at(tmp_path: Path, bits: int) -> None:
    """Whatever width is applied, the codes turn back into its weights, but for ties of floats."""
    layers, path = put_in(LoraBankAdapter(r=4)), tmp_path / "result.safetensors"
    apply_map(layers, uniform_map(layers, bits, NARROW))
    save_result(path, layers)
    assert set(read_widths(path).values()) == {bits}
    for name, weight in iter_weights(path):
        off = (weight - layers[name].effective()).abs() > 1e-6
        assert off.float().mean() < 1e-3


def test_a_narrow_grid_never_uses_its_last_code(tmp_path: Path) -> None:
    """Decoded weights have as many levels below zero as above, even where a range clips."""
    layers, path = put_in(LoraAdapter(r=4)), tmp_path / "result.safetensors"
    save_result(path, layers)
    for name, weight in iter_weights(path):
        scale = layers[name].ranges.scale.detach().repeat_interleave(16, dim=1)
        steps = weight / (scale / 7)
        assert steps.abs().max() <= 7 + 1e-4
        assert steps.min() < -6.9
        assert steps.max() > 6.9


def put_in_parallel(*, dtype: torch.dtype = torch.float32) -> Layers:
    """Return layers beside whose weights, read in a number format, stand parallel adapters."""
    model = make_llama().to(dtype).float()
    adapter = LoraBankAdapter(r=4, placement="parallel", fallback="nearest")
    return quantize(model, NARROW, adapter, widths=WIDTHS)


def test_one_code_that_came_out_otherwise_leaves_the_weights_as_they_are(tmp_path: Path) -> None:
    """A tie rounded the other way is no reason to serve the weight of one width at all of them."""
    layers, path = put_in_parallel(), tmp_path / "result.safetensors"
    save_result(path, layers)
    again = put_in_parallel()
    name = "model.layers.0.mlp.up_proj"
    with torch.no_grad():
        again[name].weight[0, 0] += 2 * layers[name].ranges.scale[0, 0] / 7
    before = {key: layer.weight.clone() for key, layer in again.items()}
    load_result(path, again)
    check_codes(path, again)
    assert all(torch.equal(layer.weight, before[key]) for key, layer in again.items())
    for bits in (8, 16):
        apply_map(layers, uniform_map(layers, bits, NARROW))
        apply_map(again, uniform_map(again, bits, NARROW))
        off = (layers[name].effective() - again[name].effective()).abs() > 1e-6
        assert int(off.sum()) == 1


def test_weights_read_in_another_number_format_are_refused(tmp_path: Path) -> None:
    """A result of bfloat16 weights does not pass for one of float32, and it says what to choose."""
    path = tmp_path / "result.safetensors"
    save_result(path, put_in_parallel(dtype=torch.bfloat16))
    again = put_in_parallel()
    before = {name: layer.weight.clone() for name, layer in again.items()}
    load_result(path, again)
    with pytest.raises(CheckpointError, match=r"another number format.*model\.dtype"):
        check_codes(path, again)
    assert all(torch.equal(layer.weight, before[name]) for name, layer in again.items())
