"""Layer maps and caches that do not fit a model are refused before launch."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.layer_fit import check_fit
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ExperimentSpec, MapEvaluationSpec, ModelSpec, resolve, resolve_child
from tests.tiny_heads import save_kind
from tests.tiny_models import save_gpt2, save_llama

CACHE = "quantizer.cache.rounding"
LINES = "quantizer.layer_bits"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def llama(folder: Path) -> ModelShapes:
    save_llama(folder / "llama", tied=True)
    return read_shapes(ModelSpec(source=str(folder / "llama")), data_folder=folder)


@pytest.fixture(scope="module")
def gpt2(folder: Path) -> ModelShapes:
    save_gpt2(folder / "gpt2")
    return read_shapes(ModelSpec(source=str(folder / "gpt2")), data_folder=folder)


@pytest.fixture(scope="module")
def bert(folder: Path) -> ModelShapes:
    save_kind(folder / "bert", "bert", "classification")
    spec = ModelSpec(source=str(folder / "bert"), head="classification")
    return read_shapes(spec, data_folder=folder)


def spec_of(*overrides: str) -> ExperimentSpec:
    return resolve({"preset": "rtn"}, ("quantizer.group_size=32", *overrides)).spec


def problems_of(shapes: ModelShapes, *overrides: str) -> dict[str, str]:
    return {each.field: each.message for each in check_fit(spec_of(*overrides), shapes)}


def test_a_layer_that_is_not_there(gpt2: ModelShapes) -> None:
    """A line that names no layer is refused with the nearest one, by GPT-2's published names."""
    lines = "quantizer.layer_bits=['transformer.h.1.attn.c_attn=4', '*.mlp.*=8']"
    assert problems_of(gpt2, lines) == {}
    found = problems_of(gpt2, "quantizer.layer_bits=['transformer.h.1.attn.c_atn=4']")
    assert found == {
        LINES: "there is no quantized layer transformer.h.1.attn.c_atn; did you mean "
        "transformer.h.1.attn.c_attn?"
    }


def test_layers_left_out_have_no_width(llama: ModelShapes) -> None:
    """What is excluded is not there for a layer map."""
    excluded = "quantizer.exclude=['*embed*', lm_head, '*.k_proj']"
    found = problems_of(llama, "quantizer.layer_bits=['*.k_proj=4']", excluded)
    assert found[LINES].startswith("there is no quantized layer *.k_proj")


def test_parts_that_a_layer_lacks(llama: ModelShapes) -> None:
    """A table has no inputs and an MLP makes no keys; a pattern that reaches more may give both."""
    everything = "quantizer.exclude=[]"
    assert problems_of(llama, everything, "quantizer.layer_bits=['*=W4A8KV4']") == {}
    found = problems_of(llama, everything, "quantizer.layer_bits=['*embed*=W4A8']")
    assert found == {
        LINES: "*embed* is looked up in and has no inputs to round; leave the A part out"
    }
    found = problems_of(llama, "quantizer.layer_bits=['*.mlp.*=W4KV4']")
    assert found == {
        LINES: "*.mlp.* has a width for keys and values and makes none; give it to a layer that "
        "does, such as model.layers.0.self_attn.k_proj, or leave the KV part out"
    }
    unrounded = "quantizer.layer_bits=['*.mlp.*=W4KV16', '*embed*=W4A16']"
    assert problems_of(llama, everything, unrounded) == {}


def test_lines_of_an_evaluations_maps(llama: ModelShapes) -> None:
    """The lines of every map are held against the model, under the map's name."""
    maps = [
        {"map": "uniform", "bits": 4},
        {"map": "layers", "name": "mine", "layer_bits": ["*.mlp.*=4"]},
        {"map": "layers", "name": "theirs", "layer_bits": ["model.layer.0.mlp.up_proj=4"]},
    ]
    spec = resolve_child(MapEvaluationSpec, spec_of(), {"parent": 1, "maps": maps})
    (problem,) = check_fit(spec, llama)
    assert problem.field == "maps"
    assert problem.message == (
        "in theirs, there is no quantized layer model.layer.0.mlp.up_proj; did you mean "
        "model.layers.0.mlp.up_proj?"
    )


@pytest.mark.parametrize("rounding", ["fixed", "layer"])
def test_caches_that_can_be_rounded(llama: ModelShapes, gpt2: ModelShapes, rounding: str) -> None:
    """A decoder whose key layers are quantized can round its cache."""
    for shapes in (llama, gpt2):
        assert problems_of(shapes, f"{CACHE}={rounding}") == {}


def test_encoders_keep_no_cache(bert: ModelShapes) -> None:
    """An encoder is refused at the field that asks for a rounded cache."""
    head = (
        "model.head=classification",
        "evaluation.benchmarks=[sst2]",
        "quantizer.granularity=channel",
    )
    assert problems_of(bert, *head) == {}
    assert problems_of(bert, *head, f"{CACHE}=fixed")[CACHE] == (
        "an encoder keeps no keys and values; use none"
    )
    assert problems_of(bert, *head, "quantizer.layer_bits=['*=W4KV16']") == {}
    found = problems_of(bert, *head, "quantizer.layer_bits=['*=W4KV4']")
    assert found[LINES].endswith("an encoder keeps no keys and values; leave the KV parts out")


def test_key_layers_that_are_left_out(llama: ModelShapes) -> None:
    """A block whose key layer keeps 16 bits is named, with what to include."""
    excluded = "quantizer.exclude=['*embed*', lm_head, '*.1.self_attn.*']"
    assert problems_of(llama, f"{CACHE}=fixed", excluded) == {
        CACHE: "model.layers.1.self_attn.k_proj makes the keys and is not quantized; include it, "
        "or use none"
    }
    assert problems_of(llama, f"{CACHE}=fixed", "quantizer.layer_bits=['*.k_proj=16']") == {}


def test_nothing_left_to_train(llama: ModelShapes) -> None:
    """With every weight at 16 bits only adapters train; rounded inputs can be measured."""
    none = ("quantizer.layer_bits=['*=W16A8']", "quantizer.group_size=64")
    assert problems_of(llama, *none) == {}
    found = problems_of(llama, *none, "training.method=qat")
    assert found[LINES].startswith("leaves every weight at 16 bits, so that there is nothing")
    assert (
        problems_of(llama, *none, "training.method=qat", "adapter.kind=lora", "adapter.r=4") == {}
    )


def test_group_sizes_of_layers_at_16_bits(llama: ModelShapes) -> None:
    """A group size need not divide a layer that is not rounded."""
    wide = "quantizer.group_size=64"
    assert set(problems_of(llama, wide)) == {"quantizer.group_size"}
    assert problems_of(llama, wide, "quantizer.layer_bits=['*.down_proj=16']") == {}
