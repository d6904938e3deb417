"""Sizes: equal to what is counted on the real model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from engine.allocation.fractions import spread_widths
from engine.errors import SpecError
from engine.estimates.selection import list_adapted, list_quantized, list_selected
from engine.estimates.size import estimate_size
from engine.layers.swap import LayerPlan, find_targets, install
from engine.measured_size import measure_size
from engine.models.conv1d import replace_conv1d
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ExperimentSpec, FloatQuantizer, ModelSpec, resolve
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
    ("quantizer.grid=loftq-uniform", "quantizer.bits=2", "quantizer.granularity=tensor"),
    ("quantizer.bits=3.5",),
    ("quantizer.bits=6.3", "quantizer.exclude=[]"),
    ("quantizer.bits=7", "quantizer.symmetry=symmetric"),
    ("quantizer.grid=normal-float", "quantizer.bits=3.01", "quantizer.exclude=['*.q_proj']"),
    ("quantizer.layer_bits=['*.1.*=2', '*.mlp.*=W16A8', '*.0.mlp.*=7']",),
    ("quantizer.layer_bits=['*=16', '*.0.*=W3A4KV4']", "adapter.placement=parallel"),
    ("quantizer.layer_bits=['*=16']", "quantizer.exclude=[]"),
    ("quantizer.symmetry=narrow", "quantizer.bits=6", "training.bit_policy.policy=switchable"),
    (
        "adapter.kind=lora-bank",
        "adapter.placement=parallel",
        "training.bit_policy.policy=random",
        "quantizer.bits=4",
    ),
]


def spec_of(*overrides: str) -> ExperimentSpec:
    return resolve(
        {"preset": "qat-lora"}, ("adapter.r=4", "quantizer.group_size=32", *overrides)
    ).spec


def shapes_of(name: str, folder: Path) -> ModelShapes:
    save(MODELS[name](), folder)
    return read_shapes(ModelSpec(source=str(folder)), data_folder=folder)


def plan_of(spec: ExperimentSpec, model: PreTrainedModel) -> LayerPlan:
    """Return what a run would install, widths by the published rule included."""
    assert not isinstance(spec.quantizer, FloatQuantizer)
    plan = LayerPlan(spec.quantizer, spec.adapter, spec.seed, widths=spec.trained_widths)
    sizes = {
        name: next(iter(users.values())).weight.numel()
        for name, users in find_targets(model, plan).items()
    }
    if not spec.quantizer.is_mixed:
        return plan
    return replace(plan, bits=spread_widths(sizes, spec.quantizer.bits))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("overrides", CHOICES, ids=" ".join)
def test_equals_the_real_model(name: str, overrides: tuple[str, ...], tmp_path: Path) -> None:
    """The estimate is, byte for byte, what is counted on the model once its layers are replaced."""
    spec = spec_of(*overrides)
    shapes = shapes_of(name, tmp_path)
    model = MODELS[name]()
    replace_conv1d(model)
    layers = install(model, plan_of(spec, model))
    measured, expected = measure_size(model, layers, spec.quantizer), estimate_size(spec, shapes)
    assert expected.parts == measured.parts
    assert expected.total_bytes == measured.total_bytes
    assert expected.original_bytes == measured.original_bytes
    assert expected.effective_bits == pytest.approx(measured.effective_bits)
    assert {layer.name for layer in list_selected(spec, shapes)} == set(layers)
    rounded = {name for name, layer in layers.items() if layer.active_bits != 16}
    assert {layer.name for layer in list_quantized(spec, shapes)} == rounded
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


def test_the_mean_stands_for_what_is_yet_to_be_measured(tmp_path: Path) -> None:
    """Widths by sensitivity count with their mean: between the sizes of both whole widths."""
    shapes = shapes_of("llama", tmp_path)
    measured = ("quantizer.mixing.rule=sensitivity",)
    size = estimate_size(spec_of("quantizer.bits=2.5", *measured), shapes)
    assert size.effective_bits == pytest.approx(2.5 + (16 + 2.5) / 32, rel=1e-3)
    low, high = (
        estimate_size(spec_of(f"quantizer.bits={bits}", *measured), shapes) for bits in (2, 3)
    )
    assert low.total_bytes < size.total_bytes < high.total_bytes


def test_too_few_blocks_have_no_size(tmp_path: Path) -> None:
    """A fraction that no block can show is refused rather than estimated."""
    with pytest.raises(SpecError, match=r"2\.5 of 2 blocks"):
        estimate_size(spec_of("quantizer.bits=2.5"), shapes_of("llama", tmp_path))


def test_more_bits_weigh_more(tmp_path: Path) -> None:
    """Every further bit makes the result larger, and none as large as the original."""
    shapes = shapes_of("llama", tmp_path)
    sizes = [
        estimate_size(spec_of(f"quantizer.bits={bits}"), shapes).total_bytes for bits in range(2, 9)
    ]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < 2 * shapes.num_parameters
