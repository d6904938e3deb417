"""Promises of a spec's layer map: what its layers are really set to, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import CheckpointError
from engine.layer_maps.layer_map import Rounding
from engine.layer_maps.reading import read_map, write_map
from engine.layers.bit_maps import named_map, own_map, uniform_map
from engine.layers.layer_map import LayerSetting
from engine.models.shapes import ModelShapes, read_shapes
from engine.spec_map import build_spec_map, find_rounding
from engine.specs import (
    ExperimentSpec,
    FloatQuantizer,
    IntegerQuantizer,
    LayerBitsMap,
    ModelSpec,
    UniformMap,
    resolve,
)
from tests.engine.tiny_layers import quantize
from tests.tiny_models import make_llama, save_llama

KEY = "model.layers.1.self_attn.k_proj"
CACHED = ("quantizer.cache.rounding=fixed", "quantizer.inputs.rounding=layer")
WANTED = LayerBitsMap(name="a", layer_bits=("*.v_proj=3", "*.1.*=W5A6KV7"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> ModelShapes:
    """Shapes of the tiny Llama."""
    folder = tmp_path_factory.mktemp("llama")
    save_llama(folder / "llama")
    return read_shapes(ModelSpec(source=str(folder / "llama")), data_folder=Path(folder))


def spec_of(*overrides: str) -> tuple[ExperimentSpec, IntegerQuantizer]:
    spec = resolve({"preset": "rtn"}, ("quantizer.group_size=16", *overrides)).spec
    assert isinstance(spec.quantizer, IntegerQuantizer)
    return spec, spec.quantizer


def only_what_counts(settings: dict[str, LayerSetting]) -> dict[str, LayerSetting]:
    """Leave the cache width out where a layer makes no keys."""
    return {
        name: setting if name.endswith("k_proj") else setting._replace(cache=None)
        for name, setting in settings.items()
    }


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("quantizer.layer_bits=['*.mlp.*=W3A8', '*.0.*=16', '*.k_proj=W6KV4']",),
        CACHED,
        (*CACHED, "quantizer.layer_bits=['*.0.*=16', '*.k_proj=W6A2KV16']"),
        ("quantizer.layer_bits=['*=W4A4KV4']", "quantizer.exclude=[]"),
    ],
)
@pytest.mark.parametrize("wanted", [None, UniformMap(bits=8), UniformMap(bits=16), WANTED])
def test_the_map_is_what_layers_are_set_to(
    shapes: ModelShapes, overrides: tuple[str, ...], wanted: UniformMap | LayerBitsMap | None
) -> None:
    """Written, read back and laid over the same quantizer, it sets every layer as the run does."""
    spec, quantizer = spec_of(*overrides)
    layers = quantize(make_llama(), quantizer)
    found = build_spec_map(spec, quantizer, shapes, widths={}, wanted=wanted)
    assert set(found.layers) == set(layers)
    assert found.model == spec.model.source
    if wanted is None:
        expected = own_map(layers, quantizer)
    elif isinstance(wanted, UniformMap):
        expected = uniform_map(layers, wanted.bits, quantizer)
    else:
        expected = named_map(layers, wanted.layer_bits, quantizer, field="")
    lines = read_map(write_map(found)).lines
    again = named_map(layers, lines, quantizer, field="")
    if "quantizer.exclude=[]" in overrides:  # a table is looked up in and has no inputs
        for settings in (again, expected):
            settings["model.embed_tokens"] = LayerSetting(settings["model.embed_tokens"].bits)
    assert only_what_counts(again) == only_what_counts(expected)


def test_parts_stand_where_layers_have_them(shapes: ModelShapes) -> None:
    """Of W4A8KV4 everywhere a table keeps the 4 alone, and the cache stands at what makes keys."""
    spec, quantizer = spec_of("quantizer.layer_bits=['*=W4A8KV4']", "quantizer.exclude=[]")
    found = build_spec_map(spec, quantizer, shapes, widths={})
    lines = found.lines
    assert "model.embed_tokens=4" in lines
    assert f"{KEY}=W4A8KV4" in lines
    assert "model.layers.1.mlp.up_proj=W4A8" in lines
    assert resolve({"quantizer": {"grid": "integer", "layer_bits": lines}}).spec.quantizer


def test_fractions_have_the_widths_that_were_chosen(shapes: ModelShapes) -> None:
    """Each layer has its own; widths of another model are told."""
    spec, quantizer = spec_of("quantizer.bits=3.5")
    names = [layer.name for layer in shapes.layers if ".layers." in layer.name]
    widths = {name: 2 + place % 3 for place, name in enumerate(names)}
    found = build_spec_map(spec, quantizer, shapes, widths=widths)
    assert {name: bits.weights for name, bits in found.layers.items()} == widths
    with pytest.raises(CheckpointError, match="the widths that were chosen lack model"):
        build_spec_map(spec, quantizer, shapes, widths={"another": 4})


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("quantizer.symmetry=narrow",), Rounding(16, is_symmetric=True)),
        (("quantizer.granularity=channel",), Rounding(None, is_symmetric=False)),
        (("quantizer.grid=normal-float",), None),
    ],
)
def test_scales_are_those_of_the_quantizer(
    overrides: tuple[str, ...], expected: Rounding | None
) -> None:
    """A map says the scales of an integer grid; a table of levels has none to say."""
    quantizer = resolve({"preset": "rtn"}, ("quantizer.group_size=16", *overrides)).spec.quantizer
    assert not isinstance(quantizer, FloatQuantizer)
    assert find_rounding(quantizer) == expected
