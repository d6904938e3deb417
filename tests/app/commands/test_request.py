"""Promises of SPEC, --preset and KEY=VALUE on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.commands.request import read_request
from engine.errors import SpecError
from tests.app.commands.conftest import Bitdial


def test_file_preset_and_overrides_are_told_apart(tmp_path: Path) -> None:
    """The first word without "=" is the file; the rest, and --set after it, are overrides."""
    spec = tmp_path / "a.yaml"
    spec.write_text("quantizer: {bits: 3}\n")
    request = read_request([str(spec), "seed=1"], preset="rtn", settings=["seed=2"])
    assert request.values == {"quantizer": {"bits": 3}, "preset": "rtn"}
    assert request.overrides == ("seed=1", "seed=2")


def test_overrides_alone_are_a_request() -> None:
    """With a preset or fields there need be no file."""
    assert read_request(["seed=1"], preset=None, settings=()).overrides == ("seed=1",)
    assert read_request([], preset="rtn", settings=()).values == {"preset": "rtn"}


def test_file_name_may_hold_an_equals_sign(tmp_path: Path) -> None:
    """A file that exists is a file, whatever its name."""
    spec = tmp_path / "bits=3.yaml"
    spec.write_text("preset: rtn\n")
    assert read_request([str(spec)], preset=None, settings=()).values == {"preset": "rtn"}


def test_nothing_asked_is_refused() -> None:
    """Without file, preset and fields there is nothing to run."""
    with pytest.raises(SpecError, match="SPEC: is missing"):
        read_request([], preset=None, settings=())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("folder", "is a folder"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not text"),
        (b"a: \x00", "is not text"),
        (b"#" * 1_000_001, "is larger than 1 MB"),
        (b"", "the file holds no fields"),
        (b"a: [1", "not valid YAML at line 1"),
    ],
    ids=["missing", "folder", "binary", "nul", "huge", "empty", "syntax"],
)
def test_file_that_is_no_spec_is_one_sentence(
    bitdial: Bitdial, tmp_path: Path, content: bytes | str | None, expected: str
) -> None:
    """Each kind of wrong file is one sentence on stderr, exit code 2, and nothing queued."""
    path = tmp_path / "spec.yaml"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    answer = bitdial("submit", str(path))
    assert answer.code == 2
    assert expected in answer.err
    assert answer.err.count("\n") == 1
    assert answer.out == ""
    assert bitdial("runs", "list", "--json").json == []


def test_standard_input_is_a_file_too(bitdial: Bitdial) -> None:
    """`-` reads the spec from standard input, a byte order mark included."""
    answer = bitdial("submit", "-", "--dry-run", "--json", stdin=b"\xef\xbb\xbfpreset: rtn\n")
    assert answer.code == 0
    assert answer.json["spec"]["quantizer"]["bits"] == 4


def test_impossible_file_name_is_refused(bitdial: Bitdial) -> None:
    """A name no file can have is a sentence as well."""
    assert bitdial("submit", "a\x00b").code == 2
