"""Promises of sizes: bytes counted from codes that were really packed."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine.errors import CheckpointError
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.measured_size import measure_size
from engine.quant.grouping import split
from engine.quant.packing import unpack
from engine.quant.uniform import encode
from engine.result import (
    RESULT_FORMAT,
    check_codes,
    iter_weights,
    load_result,
    read_widths,
    save_result,
)
from engine.specs import (
    FloatQuantizer,
    IntegerQuantizer,
    NoAdapter,
    NormalFloatQuantizer,
    QuantizerSpec,
)
from tests.engine.tiny_layers import NO_LAYER, integer, lora, quantize, quantized_llama
from tests.tiny_models import make_llama
from tests.tolerances import assert_near


def packed(codes: np.ndarray, bits: int) -> bytes:
    """Pack codes bit by bit without a gap, as densely as any format can."""
    shifts = np.arange(bits, dtype=np.uint8)
    return np.packbits((codes.reshape(-1, 1) >> shifts) & 1).tobytes()


def counted_bytes(layers: Layers, *, zero_points: bool) -> int:
    """Encode and pack every layer; return the bytes of codes, float16 scales and zero points."""
    total = 0
    for layer in layers.values():
        grid = layer.ranges.grid()
        codes = encode(split(layer.weight, layer.num_groups), grid)
        assert int(codes.max()) < 2**layer.active_bits
        total += len(packed(codes.numpy(), layer.active_bits))
        total += len(grid.step.half().numpy().tobytes())
        if zero_points:
            total += len(packed(grid.zero_point.byte().numpy(), layer.active_bits))
    return total


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("embeddings", [False, True])
def test_the_size_is_that_of_packed_codes(bits: int, symmetric: bool, embeddings: bool) -> None:
    """Measured bytes equal those of packed codes, scales and zero points, and 16 bits elsewhere."""
    model = make_llama()
    quantizer = integer(bits=bits, symmetric=symmetric, embeddings=embeddings)
    num_parameters = sum(value.numel() for value in model.parameters())
    layers = quantize(model, quantizer, NoAdapter())
    found = measure_size(model, layers, quantizer)
    num_weights = sum(layer.weight.numel() for layer in layers.values())
    stored = counted_bytes(layers, zero_points=not symmetric)
    assert found.total_bytes == stored + 2 * (num_parameters - num_weights)
    assert found.total_bytes == sum(found.parts.values())
    assert found.original_bytes == 2 * num_parameters
    assert found.effective_bits == pytest.approx(8 * stored / num_weights)
    overhead = (16 if symmetric else 16 + bits) / 16
    assert found.effective_bits == pytest.approx(bits + overhead)


def test_an_absorbed_adapter_weighs_nothing() -> None:
    """The size with an adapter is the size without one."""
    sizes = []
    for adapter in (NoAdapter(), lora()):
        model, layers = quantized_llama(adapter=adapter)
        sizes.append(measure_size(model, layers, integer()))
    assert sizes[0] == sizes[1]


def test_the_original_has_sixteen_bits() -> None:
    """Where nothing is quantized the whole is the original, with or without an adapter."""
    for adapter in (NoAdapter(), lora()):
        model = make_llama()
        layers = quantize(model, FloatQuantizer(), adapter)
        found = measure_size(model, layers, FloatQuantizer())
        assert found.total_bytes == found.original_bytes == found.parts["unquantized"]
        assert found.effective_bits == 16.0


def test_a_channel_shares_one_scale() -> None:
    """Per channel there is one scale per row."""
    model = make_llama()
    quantizer = IntegerQuantizer(bits=4, granularity="channel", symmetry="symmetric")
    layers = quantize(model, quantizer, NoAdapter())
    rows = sum(layer.weight.shape[0] for layer in layers.values())
    assert measure_size(model, layers, quantizer).parts["scales"] == 2 * rows


def test_a_tied_weight_weighs_once() -> None:
    """The shared table of embedding and head is counted once, quantized or not."""
    for quantizer in (integer(), IntegerQuantizer(group_size=16, exclude=NO_LAYER)):
        model = make_llama(tied=True)
        num_parameters = sum(value.numel() for value in model.parameters())
        layers = quantize(model, quantizer, lora())
        assert measure_size(model, layers, quantizer).original_bytes == 2 * num_parameters


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_codes_are_the_result_even_where_the_start_changed_the_weights(
    symmetric: bool, tmp_path: Path
) -> None:
    """Codes and ranges alone give the rounded weights of a compensated start."""
    _, layers = quantized_llama(quantizer=integer(symmetric=symmetric))
    for layer in layers.values():
        layer.weight.data.mul_(1.1)  # what a data-aware start does: no longer the base model's
    path = tmp_path / "result.safetensors"
    save_result(path, layers)
    saved = load_file(path)
    read = dict(iter_weights(path))
    for name, layer in layers.items():
        bits, packed_codes = layer.active_bits, saved[f"{name}/codes"]
        assert len(packed_codes) == -(-layer.weight.numel() * bits // 8)
        torch.testing.assert_close(read[name], effective(layer), rtol=1e-5, atol=1e-7)


def test_an_older_result_is_read_from_its_codes(tmp_path: Path) -> None:
    """A file that has the grid once more beside the ranges gives the same weights."""
    _, layers = quantized_llama()
    path = tmp_path / "result.safetensors"
    save_result(path, layers)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    for name, layer in layers.items():
        grid = layer.ranges.grid()
        tensors |= {f"{name}/step": grid.step, f"{name}/zero_point": grid.zero_point.byte()}
    older = tmp_path / "older.safetensors"
    save_file(tensors, older, {**metadata, "format": "bitdial-result-3"})
    before, after = dict(iter_weights(older)), dict(iter_weights(path))
    assert all(torch.equal(before[name], after[name]) for name in layers)


def test_widths_are_told_without_the_weights(tmp_path: Path) -> None:
    """A result tells the width of every layer; one that does not say so is refused."""
    _, layers = quantized_llama(quantizer=integer(bits=3))
    path = tmp_path / "result.safetensors"
    save_result(path, layers)
    assert read_widths(path) == {name: layer.active_bits for name, layer in layers.items()}
    assert set(read_widths(path).values()) == {3}
    silent, damaged = tmp_path / "silent.safetensors", tmp_path / "damaged.safetensors"
    save_file(load_file(path), silent, {"format": "bitdial-result-2"})
    damaged.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="is of an older version"):
        read_widths(silent)
    with pytest.raises(CheckpointError, match="missing or damaged"):
        read_widths(damaged)


def test_weights_come_one_at_a_time(tmp_path: Path) -> None:
    """A weight that was taken out is gone when the next one is asked for."""
    _, layers = quantized_llama()
    path = tmp_path / "result.safetensors"
    save_result(path, layers)
    weights = iter_weights(path)
    first = weakref.ref(next(weights)[1])
    next(weights)
    assert first() is None
    last = list(layers)[-1]
    assert [name for name, _ in iter_weights(path, (last,))] == [last]


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ("{", "does not say of each layer"),
        ("[]", "does not say of each layer"),
        ('{"layer": {}}', "does not say of each layer"),
        ('{"layer": {"bits": 3}}', "does not say of each layer"),
        ('{"layer": {"bits": 30, "shape": [2, 2]}}', "does not say of each layer"),
        ('{"layer": {"bits": 3, "shape": [2]}}', "does not say of each layer"),
        ('{"stranger": {"bits": 3, "shape": [2, 2]}}', "stranger/codes"),
        ('{"layer": {"bits": 3, "shape": [9, 9]}}', "is damaged at layer"),
    ],
)
def test_a_result_that_contradicts_itself_is_told(
    described: str, said: str, tmp_path: Path
) -> None:
    """Metadata without widths, and codes or ranges that are not there, are one sentence."""
    model = torch.nn.Sequential()
    model.add_module("layer", torch.nn.Linear(16, 16, bias=False))
    path, damaged = tmp_path / "result.safetensors", tmp_path / "damaged.safetensors"
    save_result(path, quantize(model, integer(), NoAdapter()))
    tensors = load_file(path)
    save_file(tensors, damaged, {"format": RESULT_FORMAT, "layers": described})
    with pytest.raises(CheckpointError, match=said):
        dict(iter_weights(damaged))
    for lost in ("codes", "ranges.low", "ranges.extent"):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        rest = {name: value for name, value in tensors.items() if name != f"layer/{lost}"}
        save_file(rest, damaged, metadata)
        with pytest.raises(CheckpointError, match=f"damaged: .*layer/{lost}"):
            dict(iter_weights(damaged))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("grid", ["integer", "symmetric", "normal-float"])
def test_a_file_is_its_codes_and_its_ranges(bits: int, grid: str, tmp_path: Path) -> None:
    """A result weighs bits · weights / 8 and its float32 ranges, within two hundredths."""
    size, group = 256, 64
    model = torch.nn.Sequential(torch.nn.Linear(size, size, bias=False))
    quantizers: dict[str, QuantizerSpec] = {
        "integer": IntegerQuantizer(bits=bits, group_size=group),
        "symmetric": IntegerQuantizer(bits=bits, group_size=group, symmetry="symmetric"),
        "normal-float": NormalFloatQuantizer(bits=bits, group_size=group),
    }
    path = tmp_path / "result.safetensors"
    save_result(path, quantize(model, quantizers[grid], NoAdapter()))
    numbers = 2 if grid == "integer" else 1
    scales = size * (size // group) * numbers * 4
    levels = 4 * 2**bits if grid == "normal-float" else 0
    stored = size * size * bits / 8 + scales + levels
    assert path.stat().st_size == pytest.approx(stored, rel=0.02)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_codebook_takes_its_bits_and_a_scale(bits: int, tmp_path: Path) -> None:
    """A NormalFloat file's codes have no gaps, the size counts no zero points, weights return."""
    quantizer = NormalFloatQuantizer(bits=bits, group_size=16)
    model, layers = quantized_llama(quantizer=quantizer)
    num_weights = sum(layer.weight.numel() for layer in layers.values())
    found = measure_size(model, layers, quantizer)
    assert found.parts["weights"] == num_weights * bits // 8
    assert found.parts["zero_points"] == 0
    assert found.effective_bits == pytest.approx(bits + 16 / 16)
    path = tmp_path / "result.safetensors"
    save_result(path, layers)
    saved = load_file(path)
    codes = sum(saved[f"{name}/codes"].numel() for name in layers)
    assert codes == found.parts["weights"]
    for name, weight in iter_weights(path):
        assert_near(weight, effective(layers[name]))


def test_scales_of_a_codebook_come_back(tmp_path: Path) -> None:
    """Scales are no parameters, yet a result puts them back into fresh layers."""
    quantizer = NormalFloatQuantizer(bits=3, group_size=16)
    _, layers = quantized_llama(quantizer=quantizer)
    for layer in layers.values():
        layer.ranges.scale.mul_(0.7)
    path = tmp_path / "result.safetensors"
    save_result(path, layers)
    restored = quantize(make_llama(), quantizer, lora())
    load_result(path, restored)
    for name, layer in layers.items():
        assert torch.equal(effective(restored[name]), effective(layer))


def test_the_result_file_holds_adapters_and_ranges(tmp_path: Path) -> None:
    """From the base model and the file alone the trained weights come back, bit for bit."""
    _, layers = quantized_llama()
    path = tmp_path / "result.safetensors"
    save_result(path, layers)
    restored = quantize(make_llama(), integer(), lora())
    load_result(path, restored)
    check_codes(path, restored)
    assert len(load_file(path)) == 7 * len(layers)
    for name, layer in layers.items():
        assert torch.equal(effective(restored[name]), effective(layer))


def effective(layer: RoundedWeight) -> torch.Tensor:
    """Return a layer's rounded weight without a graph."""
    return layer.effective().detach()


def test_codes_of_older_results_are_compared_too(tmp_path: Path) -> None:
    """A result of one byte per code is still checked against the layers it is loaded into."""
    _, layers = quantized_llama()
    path = tmp_path / "result.safetensors"
    save_result(path, layers)
    older = load_file(path)
    for name, layer in layers.items():
        count = layer.weight.numel()
        codes = unpack(older[f"{name}/codes"], layer.active_bits, count=count)
        older[f"{name}/codes"] = codes.view_as(layer.weight)
    save_file(older, path, {"format": "bitdial-result-2"})
    check_codes(path, layers)
    with pytest.raises(CheckpointError, match="older version"):
        next(iter_weights(path))
    older[f"{name}/codes"] ^= 1
    save_file(older, path, {"format": "bitdial-result-2"})
    with pytest.raises(CheckpointError, match="differ from those"):
        check_codes(path, layers)
