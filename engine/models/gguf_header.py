"""The head of a GGUF file: metadata and where each tensor lies, checked against the file's size.

The `gguf` package reads the same but wraps every vocabulary entry in an array of its own: four
seconds for a small model where this takes a tenth of one, too slow for an estimate beside a form.
Weights are read by that package, not here. No torch. Start with `read_gguf_header`.

Source: the GGUF specification, version 3, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelError
from engine.models.bundled import FIELD

Scalar = str | int | float | bool
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY, _UINT32, _UINT64 = 8, 9, "<I", "<Q"
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class GgufTensor:
    """A tensor's entry: its shape slowest dimension first (as in torch) and its storage type."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """Scalar metadata by key, lengths of arrays by key, and the tensors in file order."""

    metadata: dict[str, Scalar]
    array_lengths: dict[str, int]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """What llama.cpp calls the architecture ("llama", "qwen2", "gpt2", ...)."""
        return str(self.metadata.get("general.architecture", ""))


def read_gguf_header(path: Path) -> GgufHeader:
    """Read the head of a GGUF file and check that the file is as long as it says.

    Raises:
        ModelError: When it is not a GGUF file of version 2 or 3, is cut off, or cannot be read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(_Cursor(data), path)
    except (OSError, ValueError) as error:  # mmap refuses an empty file with ValueError
        raise _not_gguf(path, "is empty or cannot be read") from error
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise _not_gguf(path, "is damaged or cut off") from error


def _not_gguf(path: Path, what: str) -> ModelError:
    return ModelError(
        f"the file {path} {what}; accepted is a whole GGUF file of version 2 or 3", field=FIELD
    )


class _Cursor:
    """A place in the file that moves on with every value read."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.place = 0

    def number(self, code: str) -> int:
        """Read one integer."""
        return int(self.scalar(code))

    def scalar(self, code: str) -> int | float | bool:
        """Read one number in struct's notation."""
        value: int | float | bool = struct.unpack_from(code, self.data, self.place)[0]
        self.place += struct.calcsize(code)
        return value

    def text(self) -> str:
        """Read a string with its length before it."""
        length = self.number(_UINT64)
        self.skip(length)
        return self.data[self.place - length : self.place].decode()

    def skip(self, length: int) -> None:
        """Move on; a place behind the end means a damaged file."""
        self.place += length
        if self.place > len(self.data):
            raise IndexError


def _read(cursor: _Cursor, path: Path) -> GgufHeader:
    if cursor.data[:4] != _MAGIC:
        raise _not_gguf(path, "is not a GGUF file (it does not start with the letters GGUF)")
    cursor.skip(4)
    version = cursor.number(_UINT32)
    if version not in _VERSIONS:
        raise _not_gguf(path, f"is of GGUF version {version}")
    num_tensors, num_values = cursor.number(_UINT64), cursor.number(_UINT64)
    metadata: dict[str, Scalar] = {}
    lengths: dict[str, int] = {}
    for _ in range(num_values):
        key, type_id = cursor.text(), cursor.number(_UINT32)
        if type_id == _ARRAY:
            lengths[key] = _skip_array(cursor)
        else:
            metadata[key] = (
                cursor.text() if type_id == _STRING else cursor.scalar(_SCALARS[type_id])
            )
    header = GgufHeader(metadata, lengths, tuple(_tensor(cursor) for _ in range(num_tensors)))
    _check_length(header, cursor, path)
    return header


def _skip_array(cursor: _Cursor) -> int:
    """Pass over an array and return how many items it has."""
    type_id, length = cursor.number(_UINT32), cursor.number(_UINT64)
    if type_id in _SCALARS:
        cursor.skip(length * struct.calcsize(_SCALARS[type_id]))
        return length
    if type_id == _ARRAY:
        for _ in range(length):
            _skip_array(cursor)
    else:
        _skip_texts(cursor, length)
    return length


def _skip_texts(cursor: _Cursor, count: int) -> None:
    """Pass over strings, as quickly as Python can: a vocabulary has tens of thousands."""
    data, place, end = cursor.data, cursor.place, len(cursor.data)
    read, size = struct.Struct(_UINT64).unpack_from, struct.calcsize(_UINT64)
    for _ in range(count):
        place += size + read(data, place)[0]
        if place > end:
            raise IndexError
    cursor.place = place


def _tensor(cursor: _Cursor) -> GgufTensor:
    name, num_dimensions = cursor.text(), cursor.number(_UINT32)
    if num_dimensions > _MAX_DIMENSIONS:
        raise IndexError
    shape = tuple(cursor.number(_UINT64) for _ in range(num_dimensions))
    return GgufTensor(name, shape[::-1], cursor.number(_UINT32), cursor.number(_UINT64))


def _check_length(header: GgufHeader, cursor: _Cursor, path: Path) -> None:
    """Refuse a file that ends before its last tensor does."""
    from gguf.constants import GGML_QUANT_SIZES  # noqa: PLC0415  numpy only when it is needed

    alignment = int(header.metadata.get("general.alignment", 32))
    start = -(-cursor.place // alignment) * alignment
    sizes = {int(key): value for key, value in GGML_QUANT_SIZES.items()}
    for tensor in header.tensors:
        num_weights = 1
        for side in tensor.shape:
            num_weights *= side
        block_weights, block_bytes = sizes[tensor.type_id]
        if start + tensor.offset + num_weights // block_weights * block_bytes > len(cursor.data):
            raise _not_gguf(path, f"is cut off: the weights of {tensor.name} are not all there")
    if not header.tensors:
        raise _not_gguf(path, "holds no weights")
