"""Attacked texts as a file: what fools a model is there to be read. Start with `write_texts`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from engine.errors import StorageError
from engine.robustness.attack import AttackedText

FORMAT = "bitdial-adversarial-texts-1"


def write_texts(path: Path, texts: Sequence[AttackedText], *, label: str) -> None:
    """Write attacked texts as JSON; the file appears complete or not at all.

    Args:
        path: The file, such as "adversarial-0.json" in the run's folder.
        texts: In order.
        label: Name of the layer map they were attacked at.

    Raises:
        StorageError: When it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    values = {"format": FORMAT, "map": label, "texts": [asdict(each) for each in texts]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise StorageError(f"{path.name} could not be written: {error}") from error
