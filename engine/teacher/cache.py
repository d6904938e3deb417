"""Tensors on disk under a key made of everything they depend on.

A file appears complete or not at all, so any number of processes may share the folder; a damaged
one is computed again. Start with `load_or_compute`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.errors import StorageError

Tensors = dict[str, Tensor]
READABLE = 0o644  # by every worker that shares the data folder, whoever wrote it


def make_key(parts: Mapping[str, Any]) -> str:
    """Return a short key that changes with any part; parts are JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def digest(tensor: Tensor) -> str:
    """Return the SHA-256 of a CPU tensor's shape, dtype and values."""
    hasher = hashlib.sha256(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
    hasher.update(tensor.contiguous().numpy().tobytes())
    return hasher.hexdigest()


def load_or_compute(folder: Path, key: str, compute: Callable[[], Tensors]) -> Tensors:
    """Return the tensors of `key`, from `folder` or else computed and kept there.

    Args:
        folder: Where files are kept; made if missing.
        key: From `make_key`.
        compute: Called when there is no readable file.

    Raises:
        StorageError: When the result cannot be written.
    """
    path = folder / f"{key}.safetensors"
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError):
        tensors = compute()
    write_tensors(path, tensors)
    return tensors


def write_tensors(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file that appears complete or not at all, even through a power cut.

    Raises:
        StorageError: When it cannot be written; nothing is left behind.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        os.close(handle)
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata)
        with Path(temporary).open("rb") as file:
            os.fsync(file.fileno())
        Path(temporary).chmod(READABLE)
        Path(temporary).replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"{path.name} could not be written in {path.parent}: {reason}"
        ) from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
