"""Attacked texts as a file: what fools a model is there to be read. Start with `write_texts`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from engine.robustness.attack import AttackedText
from engine.text_file import write_text

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
    values = {"format": FORMAT, "map": label, "texts": [asdict(each) for each in texts]}
    write_text(path, json.dumps(values, ensure_ascii=False, indent=1))
