"""Groups of compressed-tensors: as vLLM assigns layers to them, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.layer_maps.layer_map import LayerMap, Rounding
from engine.layer_maps.reading import read_map, write_map
from engine.specs.layer_bits import WIDTHS, LayerBits, find_bits

ROUNDING = st.builds(Rounding, st.none() | st.sampled_from([32, 64, 128]), st.booleans())
Q_PROJ, DOWN = "model.layers.3.self_attn.q_proj", "model.layers.3.mlp.down_proj"


def group(bits: int | None, *targets: str, **weights: Any) -> dict[str, Any]:
    told = {"num_bits": bits, "type": "int", "symmetric": True, "strategy": "group"}
    return {
        "targets": list(targets),
        "weights": None if bits is None else {**told, "group_size": 128, **weights},
    }


def config(*groups: dict[str, Any], ignore: object = ("lm_head",), **others: Any) -> str:
    named = {f"group_{place}": each for place, each in enumerate(groups)}
    return json.dumps({"config_groups": named, "ignore": ignore, **others})


def width_of(text: str, layer: str) -> LayerBits | None:
    return find_bits(read_map(text).lines, layer)


@given(
    st.dictionaries(st.text("abc.0123_", min_size=1), st.sampled_from(WIDTHS), min_size=1), ROUNDING
)
def test_comes_back(widths: dict[str, int], rounding: Rounding) -> None:
    """Names, widths and scales are the same after writing and reading."""
    layer_map = LayerMap({name: LayerBits(width) for name, width in widths.items()}, "", rounding)
    found = read_map(write_map(layer_map, format_name="compressed-tensors"))
    assert found.layers == layer_map.layers
    assert found.rounding in (rounding, None)
    assert (found.rounding is None) == (set(widths.values()) == {16})


def test_layout() -> None:
    """A group for each width with its layers, scales as the map was made for, 16 bits ignored."""
    layers = {Q_PROJ: LayerBits(4), DOWN: LayerBits(3), "a": LayerBits(4), "b": LayerBits(16)}
    text = write_map(
        LayerMap(layers, rounding=Rounding(32, is_symmetric=True)), format_name="compressed-tensors"
    )
    scales = {"type": "int", "symmetric": True, "strategy": "group", "group_size": 32}
    assert json.loads(text) == {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {
            "group_0": {"targets": [DOWN], "weights": {"num_bits": 3, **scales}},
            "group_1": {"targets": [Q_PROJ, "a"], "weights": {"num_bits": 4, **scales}},
        },
        "ignore": ["b"],
    }


def test_default_scales() -> None:
    """A map that does not say its scales is written with those of Bitdial's default quantizer."""
    text = write_map(LayerMap({"a": LayerBits(4)}), format_name="compressed-tensors")
    (found,) = json.loads(text)["config_groups"].values()
    assert found["weights"] == {
        "num_bits": 4, "type": "int", "symmetric": False, "strategy": "group", "group_size": 64,
    }  # fmt: skip


def test_inside_a_model_configuration() -> None:
    """A model's config.json is read for its quantization_config."""
    inner = json.loads(config(group(4, "Linear"), quant_method="compressed-tensors"))
    text = json.dumps({"model_type": "llama", "layers": 3, "quantization_config": inner})
    assert read_map(config(group(4, "Linear"))).lines == ("*=4",)
    assert width_of(json.dumps({"quantization_config": inner}), Q_PROJ) == LayerBits(4)
    assert width_of(text, Q_PROJ) == LayerBits(4)


def test_which_group_counts() -> None:
    """A name before an expression before a class; of several of a kind the first; ignored last."""
    text = config(
        group(2, "Linear"),
        group(3, "re:.*mlp.*"),
        group(4, r"re:model\.layers\.(3|4)\.mlp\.down_proj$"),
        group(6, DOWN.replace("3", "5")),
        group(8, DOWN.replace("3", "5")),
        ignore=["lm_head", "re:.*embed_tokens", "model.layers.9.mlp.down_proj"],
    )
    widths = [width_of(text, DOWN.replace("3", block)) for block in "01359"]
    assert widths == [LayerBits(width) for width in (3, 3, 3, 6, 16)]
    assert width_of(text, Q_PROJ) == LayerBits(2)
    assert not any("lm_head" in line or "embed" in line for line in read_map(text).lines)


def test_expressions_begin_the_name() -> None:
    """An expression must match from the start of a name, and may leave the rest of it out."""
    text = config(group(4, r"re:model\.layers\.1"), group(3, r"re:.*\.v_proj$"))
    assert width_of(text, "model.layers.12.mlp.up_proj") == LayerBits(4)
    assert width_of(text, "model.layers.2.self_attn.v_proj") == LayerBits(3)
    assert width_of(text, "vision.model.layers.1.mlp.up_proj") is None
    assert width_of(text, "model.layers.2.self_attn.v_proj_norm") is None


def test_inputs() -> None:
    """Groups that round inputs give layers a width for these, with or without their weights."""
    both = group(4, "Linear") | {"input_activations": {"num_bits": 8, "type": "int"}}
    alone = group(None, "Linear") | {"input_activations": {"num_bits": 8}}
    assert width_of(config(both), Q_PROJ) == LayerBits(4, 8)
    assert width_of(config(alone), Q_PROJ) == LayerBits(16, 8)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([group(4, "a"), group(8, "b")], Rounding(128, is_symmetric=True)),
        ([group(4, "a", strategy="channel", group_size=None)], Rounding(None, is_symmetric=True)),
        ([group(4, "a", symmetric=False)], Rounding(128, is_symmetric=False)),
        ([group(4, "a"), group(8, "b", group_size=32)], None),
        ([group(4, "a", strategy="tensor")], None),
        ([group(4, "a", group_size="many")], None),
        ([group(None, "a")], None),
    ],
)
def test_scales(groups: list[dict[str, Any]], expected: Rounding | None) -> None:
    """Scales that all groups share are kept beside the map; others are left to the quantizer."""
    assert read_map(config(*groups)).rounding == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"config_groups": []}', "has no config_groups"),
        ('{"config_groups": {"a": 4}}', "has no config_groups"),
        ('{"quantization_config": [4]}', "has no config_groups"),
        ('{"config_groups": {}}', "gives 0 layers a width"),
        (config(group(4)), "gives 0 layers a width"),
        (config({"weights": {"num_bits": 4}}), "has targets of group_0 that are no list of names"),
        (config(group(4, "")), "has targets of group_0 that are no list of names"),
        (config(group(4, "a"), ignore="lm_head"), "has ignore that are no list of names"),
        (config(group(4, "LlamaAttention")), "targets the class 'LlamaAttention'; name layers"),
        (config(group(4, "re:(?!x)")), "has the expression '(?!x)'"),
        (config(group(4, "a", type="float")), "has group_0 of another type than int"),
        (config(group(4, "a", num_bits="4")), "has group_0 without num_bits"),
        (config(group(4, "a", num_bits=True)), "has group_0 without num_bits"),
        (config(group(9, "a")), "9 is not a width from 2 to 8 or 16"),
        (config(group(4, "a") | {"output_activations": {"num_bits": 8}}), "rounds outputs"),
        (config(group(4, "a"), kv_cache_scheme={"num_bits": 8}), "rounds the cache"),
        (config(group(4, *["re:[0-9][0-9][0-9]"] * 11)), "stand for more than 10,000 names"),
        (config(group(4, f"re:{'(a|b)' * 9}{'n' * 300}")), "an expression of 345 characters"),
    ],
)
def test_refused(text: str, said: str) -> None:
    """What has no counterpart here is refused in one sentence."""
    with pytest.raises(SpecError) as found:
        read_map(text, name="config.json")
    assert str(found.value).startswith("layer_bits: config.json ")
    assert said in str(found.value)
    assert len(str(found.value)) < 300


@pytest.mark.parametrize("bits", [LayerBits(4, 8), LayerBits(4, None, 4)])
def test_not_written(bits: LayerBits) -> None:
    """Widths of inputs and cache, and patterns, are refused rather than lost."""
    for name, said in {"a": "cannot give a inputs", "a.*": r"the pattern a\.\*"}.items():
        with pytest.raises(SpecError, match=f"^format: groups of compressed-tensors .*{said}"):
            write_map(LayerMap({name: bits}), format_name="compressed-tensors")
