"""Promises of `bitdial map`, and of what takes such files: printed, written, read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.app.commands.conftest import Bitdial

LINES = "quantizer.layer_bits=['*.mlp.*=W3A8', '*.k_proj=W6KV4']"
PROJECTION = "model.layers.3.mlp.up_proj"


def submit(bitdial: Bitdial, *words: str) -> str:
    """Queue a run; return its number."""
    answer = bitdial("submit", "--preset", "rtn", *words, "--json")
    assert answer.code == 0, answer.err
    return str(answer.json["id"])


def dry_run(bitdial: Bitdial, *words: str) -> list[str]:
    """Return the layer map of a spec that is only previewed."""
    answer = bitdial(*words, "--dry-run", "--json")
    assert answer.code == 0, answer.err
    lines: list[str] = answer.json["spec"]["quantizer"]["layer_bits"]
    return lines


def test_what_is_printed_is_what_is_written(bitdial: Bitdial, tmp_path: Path) -> None:
    """Every layer by name with its widths; a run takes the file, and overrides are laid over it."""
    run_id = submit(bitdial, LINES)
    path = tmp_path / "mine.yaml"
    answer = bitdial("map", run_id, "-o", str(path))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"the layer map of run {run_id} is in {path}: 210 layers\n"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["mine.yaml"]
    printed = bitdial("map", run_id).out
    assert printed == path.read_text(encoding="utf-8")
    layers = yaml.safe_load(printed)["layers"]
    assert (len(layers), layers[PROJECTION]) == (210, "W3A8")
    assert layers["model.layers.0.self_attn.k_proj"] == "W6KV4"
    expected = [f"{name}={widths}" for name, widths in layers.items()]
    for verb in ("submit", "run"):
        asked = (verb, "--preset", "rtn", "--layer-map", str(path))
        assert dry_run(bitdial, *asked) == expected
        assert dry_run(bitdial, *asked, "quantizer.layer_bits=['*=5']") == ["*=5"]


def test_a_map_takes_the_place_of_the_files_own(bitdial: Bitdial, tmp_path: Path) -> None:
    """Other fields of the spec stay; QaLoF's JSON is read as well, and is no spec by itself."""
    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps({PROJECTION: 8}))
    spec = tmp_path / "spec.yaml"
    spec.write_text("quantizer: {grid: integer, bits: 3, layer_bits: ['*=5']}\n")
    words = ("submit", str(spec), "--layer-map", str(theirs))
    assert dry_run(bitdial, *words) == [f"{PROJECTION}=8"]
    assert bitdial(*words, "--dry-run", "--json").json["spec"]["quantizer"]["bits"] == 3
    alone = bitdial("submit", "--layer-map", str(theirs))
    assert (alone.code, alone.err.startswith("SPEC: is missing; give a YAML file")) == (2, True)


def test_qalofs_format_holds_one_width_a_layer(bitdial: Bitdial, tmp_path: Path) -> None:
    """Its JSON names every layer; what it cannot hold is one sentence, and no file."""
    run_id = submit(bitdial, "quantizer.layer_bits=['*.mlp.*=8']")
    found = bitdial("map", run_id, "--format", "qalof").json
    assert (found[PROJECTION], set(found.values())) == (8, {8, 4})
    path = tmp_path / "x.json"
    other = submit(bitdial, LINES)
    answer = bitdial("map", other, "--format", "qalof", "-o", str(path))
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "cannot give model.layers.0.mlp.down_proj inputs or a cache of another" in answer.err
    assert not path.exists()


def test_a_file_is_not_written_over_unasked(bitdial: Bitdial, tmp_path: Path) -> None:
    """It stays as it is without --force; a folder and a place that is not there are told."""
    run_id = submit(bitdial)
    path = tmp_path / "kept.yaml"
    path.write_text("kept")
    for target, sentence in (
        (path, f"--output: {path} is there already; name another file, or --force"),
        (tmp_path, f"--output: {tmp_path} is a folder; name a file"),
        (tmp_path / "no" / "a", "a cannot be written (No such file or directory); name another"),
    ):
        answer = bitdial("map", run_id, "-o", str(target))
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert sentence in answer.err
    assert path.read_text() == "kept"
    assert bitdial("map", run_id, "-o", str(path), "--force").code == 0
    assert path.read_text().startswith("format: bitdial-layer-map-1\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("map", "99"), "there is no run 99"),
        (("map", "1"), "run 1 leaves its model at 16 bits and has no layer map"),
        (("map", "2", "--map", "a"), "map: run 2 has one layer map; leave the label out"),
        (("map", "2", "--format", "gguf"), "format: 'gguf' is not one of bitdial, qalof"),
        (
            ("submit", "seed=1", "--layer-map", "nowhere.yaml"),
            "--layer-map: nowhere.yaml cannot be read",
        ),
        (("run", "--resume", "2", "--layer-map", "x"), "--resume: goes on with a run as it was"),
    ],
)
def test_a_bad_request_is_a_sentence(
    bitdial: Bitdial, words: tuple[str, ...], sentence: str
) -> None:
    """Exit code 2 and one line on stderr."""
    submit(bitdial)
    answer = bitdial(*words)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert sentence in answer.err


def test_a_file_of_widths_that_cannot_be_is_named(bitdial: Bitdial, tmp_path: Path) -> None:
    """The sentence begins with the option and the file; nothing is queued."""
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({PROJECTION: 9}))
    answer = bitdial("submit", "--preset", "rtn", "--layer-map", str(path))
    assert answer.code == 2
    assert answer.err.startswith(f"--layer-map: wrong.json gives {PROJECTION} a wrong width: 9")
    assert bitdial("runs", "list", "--json").json == []
