"""The ledger: every byte in its place, the sum as estimated and as counted on the real model."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.allocation.ledger import PARTS, write_ledger
from engine.allocation.stored import stored_bits
from engine.errors import SpecError
from engine.estimates.selection import list_selected
from engine.estimates.size import estimate_size
from engine.layers.swap import LayerPlan, install
from engine.measured_size import measure_size
from engine.models.conv1d import replace_conv1d
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ExperimentSpec, FloatQuantizer, IntegerQuantizer, ModelSpec, resolve
from engine.specs.layer_bits import find_bits
from tests.tiny_models import make_gpt2, make_llama, save

MODELS = {
    "llama": make_llama,
    "tied": lambda: make_llama(tied=True),
    "gpt2": make_gpt2,
}
CHOICES = [
    ("quantizer.layer_bits=['*=3', '*.1.*=2', '*.0.mlp.*=7']",),
    ("quantizer.layer_bits=['*=16', '*.0.*=3']", "adapter.placement=parallel"),
    ("quantizer.layer_bits=['*=5', '*.0.*=16']", "quantizer.exclude=[]"),
    ("quantizer.layer_bits=['*=8', '*.1.*=2']", "quantizer.exclude=[]"),
    ("quantizer.layer_bits=['*=6']", "quantizer.symmetry=narrow", "quantizer.group_size=8"),
    ("quantizer.layer_bits=['*=3', '*.1.*=4']", "quantizer.grid=normal-float"),
    ("quantizer.layer_bits=['*=2']", "quantizer.granularity=channel", "adapter.placement=parallel"),
    ("quantizer.layer_bits=['*=16']",),
]


def spec_of(*overrides: str) -> ExperimentSpec:
    return resolve(
        {"preset": "qat-lora"}, ("adapter.r=4", "quantizer.group_size=32", *overrides)
    ).spec


def shapes_of(name: str, folder: Path) -> ModelShapes:
    save(MODELS[name](), folder)
    return read_shapes(ModelSpec(source=str(folder)), data_folder=folder)


def widths_of(spec: ExperimentSpec, shapes: ModelShapes) -> dict[str, int]:
    assert not isinstance(spec.quantizer, FloatQuantizer)
    lines, bits = spec.quantizer.layer_bits, int(spec.quantizer.bits)
    return {
        layer.name: found.weights if (found := find_bits(lines, layer.name)) else bits
        for layer in list_selected(spec, shapes)
    }


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("overrides", CHOICES, ids=" ".join)
def test_equals_estimate_and_real_model(
    name: str, overrides: tuple[str, ...], tmp_path: Path
) -> None:
    """Codes, scales, zero points, adapters and the sum are those of both other counts."""
    spec, shapes = spec_of(*overrides), shapes_of(name, tmp_path)
    assert not isinstance(spec.quantizer, FloatQuantizer)
    widths = widths_of(spec, shapes)
    ledger = write_ledger(shapes, spec.quantizer, widths, adapter=spec.adapter)
    model = MODELS[name]()
    replace_conv1d(model)
    layers = install(model, LayerPlan(spec.quantizer, spec.adapter, spec.seed))
    measured = measure_size(model, layers, spec.quantizer)
    whole = {layer.name: 2 * layer.num_weights for layer in shapes.own_layers}
    unrounded = sum(whole[name] for name, width in widths.items() if width == 16)
    for counted in (estimate_size(spec, shapes), measured):
        assert ledger.total == counted.total_bytes
        assert ledger.original == counted.original_bytes
        assert ledger.parts["weights"] == counted.parts["weights"] + unrounded
        assert ledger.parts["scales"] == counted.parts["scales"]
        assert ledger.parts["zero_points"] == counted.parts["zero_points"]
        assert ledger.parts["adapters"] == counted.parts.get("adapters", 0)
        beside = sum(ledger.parts[part] for part in ("embeddings", "head", "other"))
        assert beside == counted.parts["unquantized"] - unrounded
    if 16 not in widths.values():
        assert ledger.effective_bits == pytest.approx(measured.effective_bits)


def test_a_tied_head_counts_once(tmp_path: Path) -> None:
    """A head of its own has a part; one that is tied weighs nothing beside the embedding."""
    own = write_ledger(shapes_of("llama", tmp_path / "own"), IntegerQuantizer(), {})
    tied = write_ledger(shapes_of("tied", tmp_path / "tied"), IntegerQuantizer(), {})
    assert own.parts["head"] == own.parts["embeddings"] == tied.parts["embeddings"] > 0
    assert tied.parts["head"] == 0
    assert tuple(tied.parts) == PARTS
    assert tied.effective_bits == tied.nominal_bits == 16


def test_effective_and_nominal_bits(tmp_path: Path) -> None:
    """Effective bits count scales, zero points and layers at 16; nominal ones codes alone."""
    shapes = shapes_of("llama", tmp_path)
    layers = [layer for layer in shapes.own_layers if ".q_proj" in layer.name]
    widths = {layers[0].name: 4, layers[1].name: 16}
    ledger = write_ledger(shapes, IntegerQuantizer(group_size=32), widths)
    assert ledger.nominal_bits == 10
    assert ledger.effective_bits == pytest.approx((4 + (16 + 4) / 32 + 16) / 2)
    assert 8 * sum(ledger.parts[part] for part in PARTS[:3]) == sum(
        stored_bits(layer, IntegerQuantizer(group_size=32), widths[layer.name]) for layer in layers
    )


def test_unknown_layer(tmp_path: Path) -> None:
    """A map of another model is refused with a name as this model has them."""
    shapes = shapes_of("tied", tmp_path)
    with pytest.raises(SpecError, match=r"^layers: there is no layer lm_head; layers are named"):
        write_ledger(shapes, IntegerQuantizer(), {"lm_head": 4})
