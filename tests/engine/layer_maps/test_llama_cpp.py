"""llama.cpp's tensor types: each line as llama-quantize takes it, in both directions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.layer_maps.layer_map import LayerMap
from engine.layer_maps.llama_cpp import TYPES
from engine.layer_maps.reading import read_map, write_map
from engine.models.gguf_names import find_module_name
from engine.specs.layer_bits import LayerBits, find_bits

LLAMA = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
         "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")  # fmt: skip
GPT2 = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
WIDTH = st.sampled_from(sorted(TYPES))


def width_of(text: str, layer: str) -> int | None:
    """Return the width a file gives a layer's weights."""
    found = find_bits(read_map(text).lines, layer)
    return None if found is None else found.weights


def q_proj(block: int) -> str:
    return f"model.layers.{block}.self_attn.q_proj"


@pytest.mark.parametrize(("blocks", "kinds"), [("model.layers", LLAMA), ("transformer.h", GPT2)])
@given(data=st.data())
def test_comes_back(blocks: str, kinds: tuple[str, ...], data: st.DataObject) -> None:
    """A map of either family is the same after writing and reading, in its order."""
    names = [f"{blocks}.{block}.{kind}" for block in (0, 1, 10, 117) for kind in kinds]
    first = names[0]  # GPT-2 is told from the others by a kind that it alone has
    widths = data.draw(st.dictionaries(st.sampled_from(names), WIDTH)) | {first: data.draw(WIDTH)}
    layer_map = LayerMap({name: LayerBits(width) for name, width in widths.items()})
    text = write_map(layer_map, format_name="llama-cpp")
    assert read_map(text) == layer_map
    assert list(read_map(text).layers) == list(widths)


def test_layout() -> None:
    """One line for each tensor, in names and types of llama.cpp, dots meant as dots."""
    layers = {
        "model.layers.3.self_attn.q_proj": LayerBits(4),
        "model.layers.12.mlp.down_proj": LayerBits(6, None, 16),
        "model.embed_tokens": LayerBits(8),
        "lm_head": LayerBits(16),
    }
    assert write_map(LayerMap(layers), format_name="llama-cpp").splitlines() == [
        r"blk\.3\.attn_q\.weight=q4_K",
        r"blk\.12\.ffn_down\.weight=q6_K",
        r"^token_embd\.weight=q8_0",
        r"^output\.weight=f16",
    ]


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_names_are_those_of_gguf_files(architecture: str) -> None:
    """What is written names the tensor that a GGUF file of the model has."""
    kinds = ("attn_q", "ffn_gate") if architecture == "llama" else ("attn_qkv", "ffn_up")
    for kind in kinds:
        name = find_module_name(f"blk.7.{kind}.weight", architecture)
        assert name is not None
        text = write_map(LayerMap({name: LayerBits(2)}), format_name="llama-cpp")
        assert text == rf"blk\.7\.{kind}\.weight=q2_K" + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attn_v=q5_k", {"model.layers.*.self_attn.v_proj": 5}),
        ("ATTN_V=Q5_K", {"model.layers.*.self_attn.v_proj": 5}),
        ("--tensor-type attn_v=q5_k --tensor-type ffn_up=iq2_xs",
         {"model.layers.*.mlp.up_proj": 2, "model.layers.*.self_attn.v_proj": 5}),
        (r"\.ffn_down\.weight=q6_K", {"model.layers.*.mlp.down_proj": 6}),
        (r"blk\.3\.ffn_(up|gate)=q4_0",
         {"model.layers.3.mlp.up_proj": 4, "model.layers.3.mlp.gate_proj": 4}),
        (r"^blk\.(0|1[01])\.attn_q\.weight$=iq3_xxs",
         {q_proj(0): 3, q_proj(10): 3, q_proj(11): 3}),
        (r"blk\.\d+\.attn_q=bf16", {"model.layers.*.self_attn.q_proj": 16}),
        (r"blk\..*\.attn_q=mxfp4", {"model.layers.*.self_attn.q_proj": 4}),
        (r"blk.[0-9].attn_q=q8_0", {q_proj(block): 8 for block in range(10)}),
        (r"^output\.weight=q6_K", {"lm_head": 6}),
        ("token_embd=f32", {"model.embed_tokens": 16}),
        ("output=q6_k", {"model.layers.*.self_attn.o_proj": 6, "lm_head": 6}),
        ("attn_qkv=q4_k ffn_up=q3_k_s",
         {"transformer.h.*.mlp.c_fc": 3, "transformer.h.*.attn.c_attn": 4}),
        ("attn_q=q4_k attn_norm=f32", {"model.layers.*.self_attn.q_proj": 4}),
        (r"^.*output\.weight=q4_K", {"model.layers.*.self_attn.o_proj": 4, "lm_head": 4}),
        (r"^.+attn_v=q4_K", {"model.layers.*.self_attn.v_proj": 4}),
        (r"^.lk\.1.\.attn_v=q4_K", {"model.layers.1?.self_attn.v_proj": 4}),
        (r"\.2.*\.attn_v=q4_K", {"model.layers.2*.self_attn.v_proj": 4}),
        (r"BLK\.[0-1]\.ATTN_V=q4_K",
         {f"model.layers.{block}.self_attn.v_proj": 4 for block in (0, 1)}),
    ],
)  # fmt: skip
def test_read(text: str, expected: dict[str, int]) -> None:
    """Expressions become the layers they are found in; types become their widths."""
    found = read_map(text)
    assert {name: bits.weights for name, bits in found.layers.items()} == expected


PIECES = ["blk", "b", r"\.", ".", ".*", ".+", "1", "[01]", "(0|1.)", "(1|)", "1?", "attn_",
          "(q|v)", "_output", "output", "t", "token_embd", "weight", "(blk|x)"]  # fmt: skip
BLOCKS = (0, 1, 2, 7, 10, 11, 21, 117)


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7),
    st.sampled_from(["", "^", "^.*", "^.+"]),
    st.sampled_from(["", "$", "weight$"]),
)
def test_found_where_a_search_finds(pieces: list[str], start: str, end: str) -> None:
    """Whatever is put together from what is understood names the layers that a search finds."""
    expression = f"{start}{''.join(pieces)}{end}"
    tensors = {
        f"blk.{block}.attn_{kind}.weight": f"model.layers.{block}.self_attn.{kind[0]}_proj"
        for block in BLOCKS
        for kind in ("q", "v", "output")
    }
    tensors |= {"output.weight": "lm_head", "token_embd.weight": "model.embed_tokens"}
    expected = {name for tensor, name in tensors.items() if re.search(expression, tensor)}
    layer_map = read_map(f"token_embd=f16 {expression}=f16")  # alone it might find nothing
    found = {name for name in tensors.values() if find_bits(layer_map.lines, name)}
    assert found == expected | {"model.embed_tokens"}


def test_attn_q_is_not_found_in_attn_qkv_of_a_llama() -> None:
    """An expression is searched within a tensor's name, as llama-quantize does."""
    text = r"attn_k=q2_k ffn=q6_k"
    assert width_of(text, "model.layers.0.self_attn.k_proj") == 2
    assert width_of(text, "model.layers.9.mlp.gate_proj") == 6
    assert width_of(text, q_proj(0)) is None
    assert width_of(r"blk\.1\.=q2_k", q_proj(1)) == 2
    assert width_of(r"blk\.1\.=q2_k", q_proj(11)) is None


def test_the_first_line_counts() -> None:
    """Of several lines found in a tensor's name the first holds, exception before rule."""
    text = r"blk\.0\.attn_q=q8_0 attn_q=q4_k attn_q=q2_k blk\.1\.attn_q=q6_k"
    assert [width_of(text, q_proj(block)) for block in (0, 1, 2)] == [8, 4, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("attn_v=q9_k", "the type 'q9_k'; accepted are q2_K, q3_K, q4_K, q5_K, q6_K, q8_0, f16"),
        ("attn_v=iq1_s", "the type 'iq1_s'; accepted are"),
        ("attn_v=4", "the type '4'; accepted are"),
        ("attn_v=", "the type ''; accepted are"),
        ("ffn_down_exps=q4_k", "gives 'ffn_down_exps' a type, which is no layer of"),
        ("*.mlp.*=q4_k", "has the expression '*.mlp.*'; understood are names"),
        ("(attn_v=q4_k", "has the expression '(attn_v'"),
        ("attn_v)=q4_k", "has the expression 'attn_v)'"),
        ("attn_[^v]=q4_k", "has the expression 'attn_[^v]'"),
        ("(a+)+$=q4_k", "has the expression '(a+)+$'"),
        (r"\w+=q4_k", "has the expression"),
        (r"blk\.\D+\.attn_q=q4_k", "has the expression"),
        (f"{'(a|b)' * 9}{'n' * 256}=q4_k", "an expression of 301 characters, '(a|b)(a|b)"),
        (f"{'(a|a)' * 9}=q4_k " * 1000, "take more than 1,000,000 steps to spell out"),
        ("((((((((((a))))))))))=q4_k", "has the expression"),
        ("^a|b=q4_k", "has the expression '^a|b'"),
        ("[0-9][0-9][0-9][0-9]=q4_k", "has the expression '[0-9][0-9][0-9][0-9]'"),
        ("blk.[0-9][0-9][0-9].attn_q=q4_k " * 11, "stand for more than 10,000 names"),
        ("attn_q=q4_k " * 10_001, "has 10,001 lines"),
    ],
)
def test_refused(text: str, said: str) -> None:
    """What llama-quantize or Bitdial would not understand is refused in one sentence."""
    with pytest.raises(SpecError) as found:
        read_map(text, name="types.txt")
    assert str(found.value).startswith("layer_bits: types.txt ")
    assert said in str(found.value)
    assert len(str(found.value)) < 300


@pytest.mark.parametrize(
    ("name", "bits", "said"),
    [
        (q_proj(3), LayerBits(7), "has no type of 7 bits, which .*q_proj has; give it 6 or 8"),
        ("model.decoder.layers.3.fc1", LayerBits(4), "has no name for model.decoder.layers.3.fc1"),
        ("model.layers.x.self_attn.q_proj", LayerBits(4), "has no name for"),
        ("*.q_proj", LayerBits(4), "cannot hold the pattern"),
        (q_proj(3), LayerBits(4, 8), "cannot give .* inputs or a cache a width"),
        (q_proj(3), LayerBits(4, None, 4), "cannot give .* inputs or a cache a width"),
    ],
)
def test_not_written(name: str, bits: LayerBits, said: str) -> None:
    """What has no place there is refused rather than lost, with the nearest that has."""
    with pytest.raises(SpecError, match=rf"^format: llama.cpp's tensor types .*{said}"):
        write_map(LayerMap({name: bits}), format_name="llama-cpp")
