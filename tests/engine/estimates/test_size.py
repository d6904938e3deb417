"""Sizes: equal to what is counted on the real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.estimates.selection import list_adapted, list_quantized
from engine.estimates.size import estimate_size
from engine.layers.swap import LayerPlan, install
from engine.models.conv1d import replace_conv1d
from engine.models.shapes import ModelShapes, read_shapes
from engine.result import measure_size
from engine.specs import ExperimentSpec, ModelSpec, resolve
from tests.tiny_models import make_gpt2, make_llama, save

MODELS = {
    "llama": make_llama,
    "tied": lambda: make_llama(tied=True),
    "gpt2": make_gpt2,
}
CHOICES = [
    ("quantizer.bits=2",),
    ("quantizer.bits=3", "quantizer.group_size=8"),
    ("quantizer.bits=5", "quantizer.symmetry=symmetric"),
    ("quantizer.bits=3", "quantizer.granularity=channel"),
    ("quantizer.exclude=[]",),
    ("quantizer.exclude=[lm_head]", "quantizer.bits=8"),
    ("quantizer.include=['*.1.*']", "quantizer.bits=7"),
    ("quantizer.grid=normal-float", "quantizer.bits=3"),
]


def spec_of(*overrides: str) -> ExperimentSpec:
    return resolve(
        {"preset": "qat-lora"}, ("adapter.r=4", "quantizer.group_size=32", *overrides)
    ).spec


def shapes_of(name: str, folder: Path) -> ModelShapes:
    save(MODELS[name](), folder)
    return read_shapes(ModelSpec(source=str(folder)), data_folder=folder)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("overrides", CHOICES, ids=" ".join)
def test_equals_the_real_model(name: str, overrides: tuple[str, ...], tmp_path: Path) -> None:
    """The estimate is, byte for byte, what is counted on the model once its layers are replaced."""
    spec = spec_of(*overrides)
    shapes = shapes_of(name, tmp_path)
    model = MODELS[name]()
    replace_conv1d(model)
    layers = install(model, LayerPlan(spec.quantizer, spec.adapter, spec.seed))
    measured, expected = measure_size(model, layers, spec.quantizer), estimate_size(spec, shapes)
    assert expected.parts == measured.parts
    assert expected.total_bytes == measured.total_bytes
    assert expected.original_bytes == measured.original_bytes
    assert expected.effective_bits == pytest.approx(measured.effective_bits)
    assert {layer.name for layer in list_quantized(spec, shapes)} == set(layers)
    adapted = {name for name, layer in layers.items() if layer.adapter is not None}
    assert {layer.name for layer in list_adapted(spec, shapes)} == adapted


@pytest.mark.parametrize("name", MODELS)
def test_baseline_is_the_state_dict(name: str, tmp_path: Path) -> None:
    """Without quantization the size is two bytes for every parameter, shared ones once."""
    size = estimate_size(resolve({"preset": "baseline"}).spec, shapes_of(name, tmp_path))
    expected = 2 * sum(value.numel() for value in MODELS[name]().parameters())
    assert size.total_bytes == size.original_bytes == expected
    assert size.effective_bits == 16


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("quantizer.bits=4", "quantizer.group_size=32"), 4 + (16 + 4) / 32),
        (("quantizer.bits=3", "quantizer.group_size=8"), 3 + (16 + 3) / 8),
        (("quantizer.bits=4", "quantizer.symmetry=symmetric"), 4 + 16 / 32),
    ],
)
def test_effective_bits(overrides: tuple[str, ...], expected: float, tmp_path: Path) -> None:
    """Effective bits are the code, and scale and zero point shared by a group."""
    size = estimate_size(spec_of(*overrides), shapes_of("llama", tmp_path))
    assert size.effective_bits == pytest.approx(expected)


def test_more_bits_weigh_more(tmp_path: Path) -> None:
    """Every further bit makes the result larger, and none as large as the original."""
    shapes = shapes_of("llama", tmp_path)
    sizes = [
        estimate_size(spec_of(f"quantizer.bits={bits}"), shapes).total_bytes for bits in range(2, 9)
    ]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < 2 * shapes.num_parameters
