"""Names and shapes of a safetensors checkpoint, from its headers alone; sharded ones too.

No weights are read and there is no torch. Start with `read_tensor_shapes`.

Source: the format's description, https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.models.bundled import FIELD
from engine.models.sources import INDEX_FILE, WEIGHTS_FILE

Shapes = dict[str, tuple[int, ...]]
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000


def read_tensor_shapes(folder: Path) -> Shapes:
    """Return every tensor's shape in a checkpoint folder, in file order.

    Raises:
        ModelError: When a file is missing, damaged or cut off; names the file.
    """
    shapes: Shapes = {}
    for name in _list_files(folder):
        shapes |= read_header(folder / name)
    return shapes


def read_json(path: Path, *, field: str = FIELD) -> dict[str, Any]:
    """Read a JSON object from a file of the checkpoint.

    Raises:
        ModelError: At `field`, when it is missing or not a JSON object.
    """
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"the file {path} is not valid JSON", field=field) from error
    if not isinstance(values, dict):
        raise ModelError(f"the file {path} holds no JSON object", field=field)
    return values


def _list_files(folder: Path) -> list[str]:
    index = folder / INDEX_FILE
    if not index.is_file():
        return [WEIGHTS_FILE]
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict):
        raise ModelError(f"the file {index} has no weight_map", field=FIELD)
    return sorted({Path(str(name)).name for name in files.values()})


def read_header(path: Path, *, field: str = FIELD) -> Shapes:
    """Return every tensor's shape in one file, in file order.

    Raises:
        ModelError: At `field`, when the file is missing, damaged or cut off.
    """
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(_LENGTH_BYTES))[0]
            if length > _MAX_HEADER_BYTES:
                raise _damaged(path, field)
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        entries = {str(name): entry for name, entry in header.items()}
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in entries.items()}
    except FileNotFoundError as error:
        raise ModelError(f"the checkpoint lacks the file {path}", field=field) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise _damaged(path, field) from error
    if path.stat().st_size < _LENGTH_BYTES + length + end:
        raise _damaged(path, field)
    return shapes


def _damaged(path: Path, field: str) -> ModelError:
    return ModelError(
        f"the file {path} is damaged or cut off; accepted is a whole safetensors file", field=field
    )
