"""The head of a GGUF file: read right, and refused where it is damaged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ModelError
from engine.models.gguf_header import read_gguf_header
from tests.tiny_models import save_llama_gguf


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_same_as_the_gguf_package(path: Path) -> None:
    """Metadata, shapes and types are those the gguf package reads."""
    header, reference = read_gguf_header(path), gguf.GGUFReader(path)
    assert header.architecture == "llama"
    for key, value in header.metadata.items():
        field = reference.get_field(key)
        assert field is not None
        assert field.contents() == value
    for key, length in header.array_lengths.items():
        field = reference.get_field(key)
        assert field is not None
        assert len(field.data) == length
    expected = [
        (tensor.name, tuple(map(int, tensor.shape[::-1])), int(tensor.tensor_type))
        for tensor in reference.tensors
    ]
    assert [(each.name, each.shape, each.type_id) for each in header.tensors] == expected


@pytest.mark.parametrize("kept", [0, 3, 4, 20, 300, 5000, -1])
def test_cut_off(path: Path, tmp_path: Path, kept: int) -> None:
    """A file cut anywhere, its last byte included, is refused with its name."""
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"cut\.gguf .*accepted is a whole GGUF file") as caught:
        read_gguf_header(cut)
    assert caught.value.field == "model.source"


def test_wrong_magic(tmp_path: Path) -> None:
    """A file of another format is refused for what it is."""
    other = tmp_path / "other.gguf"
    other.write_bytes(b"PK\x03\x04" * 100)
    with pytest.raises(ModelError, match="is not a GGUF file"):
        read_gguf_header(other)


def test_wrong_version(path: Path, tmp_path: Path) -> None:
    """A version nobody knows is refused by its number."""
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF\x09\x00\x00\x00" + path.read_bytes()[8:])
    with pytest.raises(ModelError, match="is of GGUF version 9"):
        read_gguf_header(other)


def test_folder(tmp_path: Path) -> None:
    """A folder in place of a file is refused."""
    with pytest.raises(ModelError, match="cannot be read"):
        read_gguf_header(tmp_path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(4, 6000), value=st.integers(0, 255))
def test_any_damaged_byte(path: Path, tmp_path: Path, place: int, value: int) -> None:
    """Any changed byte of the head is read or refused, never a crash of another kind."""
    content = bytearray(path.read_bytes())
    content[place] = value
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(content)
    with suppress(ModelError):
        read_gguf_header(damaged)
