"""Our own safetensors files, read one tensor at a time; whatever is wrong is one sentence.

Written by `teacher.cache.write_tensors`. Start with `open_tensors`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.errors import CheckpointError


@dataclass(frozen=True)
class TensorFile:
    """An open file.

    Attributes:
        name: Its name without folders, for sentences.
        metadata: What it says of itself.
    """

    name: str
    metadata: dict[str, str]
    _file: Any

    def list_names(self) -> tuple[str, ...]:
        """Return the names of its tensors."""
        return tuple(self._file.keys())

    def read(self, name: str) -> Tensor:
        """Return one tensor.

        Raises:
            CheckpointError: When the file lacks it, or is cut off there.
        """
        try:
            value: Tensor = self._file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{self.name} is damaged: {error}") from error
        return value


@contextmanager
def open_tensors(path: Path, formats: Collection[str], *, what: str) -> Iterator[TensorFile]:
    """Open a file of a known format.

    Args:
        path: Where it lies.
        formats: Those that are read, as its metadata name them.
        what: What it should be, for a sentence: "a result".

    Raises:
        CheckpointError: When it is missing, damaged or of another format.
    """
    try:
        opened = safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} is missing or damaged: {error}") from error
    with opened as file:
        metadata = file.metadata() or {}
        if metadata.get("format") not in formats:
            raise CheckpointError(f"{path.name} is not {what}, or of an older version")
        yield TensorFile(path.name, metadata, file)


def read_tensors(path: Path, formats: Collection[str], *, what: str) -> dict[str, Tensor]:
    """Return all tensors of a file of a known format.

    Raises:
        CheckpointError: When it is missing, damaged or of another format.
    """
    with open_tensors(path, formats, what=what) as file:
        return {name: file.read(name) for name in file.list_names()}
