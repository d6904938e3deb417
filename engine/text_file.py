"""Files of text that appear complete or not at all. Start with `write_text`. No torch."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from engine.errors import StorageError


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and move it there; folders are made.

    Args:
        path: The file; one that is there is replaced.
        text: All of it.

    Raises:
        StorageError: When it cannot be written; nothing is left behind.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        # where the folder itself is the trouble, nothing can be removed from it either
        with suppress(OSError):
            unfinished.unlink()
        raise StorageError(f"{path.name} could not be written: {error}") from error
