"""Files of widths: each format read back as written, anything else refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.layer_maps.catalogue import FORMATS
from engine.layer_maps.layer_map import LayerMap, build_map
from engine.layer_maps.reading import MAX_BYTES, read_map, write_map
from engine.layer_maps.yaml_file import FORMAT
from engine.specs.layer_bits import WIDTHS, LayerBits, find_bits
from engine.specs.quantizer import IntegerQuantizer

PUBLISHED = {
    f"transformer.h.{block}.{kind}": 4 if block in (0, 10) else 8
    for block in range(12)
    for kind in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
}
WIDTH = st.sampled_from(WIDTHS)
ANY_BITS = st.builds(LayerBits, WIDTH, st.none() | WIDTH, st.none() | WIDTH)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)


def problem_of(source: Path | str | bytes, name: str = "mine.json") -> str:
    with pytest.raises(SpecError) as caught:
        read_map(source, name=name, field="maps.0.layer_bits")
    (problem,) = caught.value.problems
    assert problem.field == "maps.0.layer_bits"
    assert problem.message.startswith(f"{name} ")
    assert len(problem.message) < 300
    return problem.message


def own(**layers: object) -> str:
    return yaml.safe_dump({"format": FORMAT, "layers": layers})


@given(st.dictionaries(NAMES, ANY_BITS, min_size=1, max_size=5), st.text("a-b/c", max_size=9))
def test_own_format_comes_back(layers: dict[str, LayerBits], model: str) -> None:
    """Bitdial's own format keeps names, patterns, every part's width, their order and the model."""
    found = read_map(write_map(LayerMap(layers, model)))
    assert found == LayerMap(layers, model)
    assert list(found.layers) == list(layers)


@given(st.dictionaries(st.text("abc.0123_", min_size=1), WIDTH, min_size=1, max_size=5))
def test_qalof_comes_back(widths: dict[str, int]) -> None:
    """QaLoF's format keeps names and widths, in both directions."""
    layer_map = LayerMap({name: LayerBits(width) for name, width in widths.items()})
    text = write_map(layer_map, format_name="qalof")
    assert json.loads(text) == widths
    assert read_map(text) == layer_map
    assert write_map(read_map(text), format_name="qalof") == text


@given(st.dictionaries(st.text("abc.*_", min_size=1), ANY_BITS, min_size=1, max_size=5))
def test_lines_come_back(layers: dict[str, LayerBits]) -> None:
    """A map's lines are those a spec keeps, and give the map again."""
    lines = LayerMap(layers).lines
    assert IntegerQuantizer(layer_bits=lines).layer_bits == lines
    assert build_map(lines) == LayerMap(layers)


def test_published_map() -> None:
    """A map as QaLoF publishes them becomes one line for each layer of GPT-2."""
    found = read_map(json.dumps(PUBLISHED))
    assert len(found.lines) == 48
    assert found.lines[0] == "transformer.h.0.attn.c_attn=4"
    assert {name: find_bits(found.lines, name) for name in PUBLISHED} == {
        name: LayerBits(bits) for name, bits in PUBLISHED.items()
    }


def test_all_parts_alike_fit_into_qalofs_format() -> None:
    """W4A4KV4 is what a 4 means there; a part of another width or a pattern is refused."""
    same = LayerMap({"transformer.h.0.attn.c_attn": LayerBits(4, 4, 4)})
    assert json.loads(write_map(same, format_name="qalof")) == {"transformer.h.0.attn.c_attn": 4}
    for name, bits in {"a.b": LayerBits(4, 8), "a.*": LayerBits(4)}.items():
        with pytest.raises(SpecError, match=r"^format: QaLoF.* cannot .*a\."):
            write_map(LayerMap({name: bits}), format_name="qalof")


def test_of_lines_with_one_name_the_last_holds() -> None:
    """A map of lines chooses for every layer what the lines choose."""
    lines = ("a.b=4", "*=8", "a.b=2", "*=W3A4")
    again = build_map(lines).lines
    assert again == ("a.b=2", "*=W3A4")
    assert find_bits(again, "a.b") == find_bits(lines, "a.b")
    with pytest.raises(ValueError, match="is not LAYER=WIDTH"):
        build_map(["=4"])


def test_format_is_told_by_content(tmp_path: Path) -> None:
    """Own maps may be JSON, QaLoF's YAML, with a byte order mark or not, under any file name."""
    path = tmp_path / "map.txt"
    path.write_bytes(b"\xef\xbb\xbf" + own(a="W4A8").replace("'", "").encode())
    assert read_map(path).lines == ("a=W4A8",)
    assert read_map(json.dumps({"format": FORMAT, "model": "m", "layers": {"a": 4}})).model == "m"
    assert read_map("a.b: 4\nc.d: 8\n").lines == ("a.b=4", "c.d=8")
    assert read_map(b'\n  {"a": 16}').lines == ("a=16",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a mapping"),
        ("just words", "is not a mapping"),
        ("[1, 2]", "is not a mapping"),
        ("{}", "is no layer map; accepted is Bitdial's layer map"),
        ('{"a": "4"}', "is no layer map"),
        ('{"a": true}', "is no layer map"),
        ('{"a": {"b": 4}}', "is no layer map"),
        ('{"a": 4,\n"b": }', "is neither JSON nor YAML (line 2)"),
        ("a: b: c", "is neither JSON nor YAML (line 1)"),
        ('{"a": 4, "a": 8}', "names 'a' twice"),
        ("a: 4\na: 8", "names 'a' twice"),
        ('{"a": 9}', "gives a a wrong width: 9 is not a width from 2 to 8 or 16"),
        ('{"a": 1}', "gives a a wrong width: 1 is not"),
        ('{"a": -4}', "gives a a wrong width: '-4' is not"),
        ('{"a b": 4}', "names a layer 'a b'"),
        ('{"": 4}', "names a layer in 0 characters"),
        ('{"a\\u0000": 4}', "names a layer"),
        ('{"\\ud800": 4}', "names a layer"),
        ("1: 4", "names a layer '1'"),
        ("a: !!python/object:os.system 4", "is neither JSON nor YAML"),
        ("a: &x 4\nb: *x", "is neither JSON nor YAML that"),
        ("format: bitdial-layer-map-2\nlayers: {a: 4}", "known is bitdial-layer-map-1"),
        ("layers: {a: 4}", "says format 'None'; known is"),
        (f"format: {FORMAT}", "has no layers"),
        (f"format: {FORMAT}\nlayers: {{}}", "gives 0 layers"),
        (f"format: {FORMAT}\nlayers: {{a: 4}}\nbits: 4", "has 'bits', which is none of"),
        (f"format: {FORMAT}\nlayers: {{a: 4}}\nmodel: [1]", "has a model that is not one line"),
        (own(a={"weights": 4}), "gives a a width that is nested"),
        (own(a=True), "gives a a width that is 'True'"),
        (own(a=None), "gives a a width that is 'None'"),
        (own(a=4.5), "gives a a width that is '4.5'"),
        (own(a="A8"), "gives a a wrong width: 'A8' is not"),
        (own(a="W4A9"), "gives a a wrong width: 9 is not"),
    ],
)  # fmt: skip
def test_refused(text: str, said: str) -> None:
    """What is no map is refused in one sentence that begins with the file's name."""
    assert said in problem_of(text)


def test_refused_files(tmp_path: Path) -> None:
    """So are files that are missing, too large, of too many layers, or not text."""
    assert "cannot be read" in problem_of(tmp_path / "none.json")
    assert "cannot be read" in problem_of(tmp_path)
    assert "larger than 1 MB" in problem_of(b" " * (MAX_BYTES + 1))
    assert "not text in UTF-8" in problem_of(b'{"\xff": 4}')
    assert "10,001 layers" in problem_of(json.dumps({f"l{n}": 4 for n in range(10_001)}))
    assert "is neither JSON nor YAML" in problem_of(b"\x00\x01")
    for deep in ("[" * 50_000, '{"a":' * 50_000, f'{{"a": {"9" * 5000}}}'):
        assert "is neither JSON nor YAML that holds plain names" in problem_of(deep)
    assert "names a layer in 301 characters" in problem_of(json.dumps({"a" * 301: 4}))
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(SpecError, match=r"^layer_bits: large\.json is larger than 1 MB"):
        read_map(path)


def test_unknown_format() -> None:
    """A format there is not is refused with those there are."""
    with pytest.raises(SpecError, match="'gguf' is not one of bitdial, qalof"):
        write_map(LayerMap({"a": LayerBits(4)}), format_name="gguf")  # type: ignore[arg-type]
    assert {name: known.name for name, known in FORMATS.items()} == {name: name for name in FORMATS}
