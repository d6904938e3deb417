"""How many windows a text has, before it is read.

Known of the bundled corpus and of files, guessed of a hub's data set. Start with `count_windows`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from engine.data.python_docs import SPLITS, load_python_docs
from engine.specs import DataSpec

CHARACTERS_PER_TOKEN = 4.1
"""Measured on English technical text with the tokenizer of SmolLM2."""
GUESSED_TOKENS = 1_000_000


def cap_windows(data: DataSpec, max_length: int, asked: int) -> int:
    """Return the windows that a text gives where so many are asked for.

    A text of unknown length is taken to have them all.
    """
    num_tokens = _find_tokens(data)
    return asked if num_tokens is None else min(asked, max(1, num_tokens // max_length))


def count_windows(data: DataSpec, max_length: int, limit: int | None) -> tuple[int, bool]:
    """Return the windows of a text and whether their number is a guess."""
    num_tokens = _find_tokens(data)
    num_windows = max(1, (num_tokens or GUESSED_TOKENS) // max_length)
    if limit is not None:
        return min(limit, num_windows), False
    return num_windows, num_tokens is None


def _find_tokens(data: DataSpec) -> int | None:
    """Return about how many tokens a text has, or None where nothing here tells."""
    if data.source == "bundled:python-docs" and data.split in SPLITS:
        return _count_bundled(data.split)
    path = Path(data.source).expanduser()
    try:
        return int(path.stat().st_size / CHARACTERS_PER_TOKEN) if path.is_file() else None
    except OSError:
        return None


@cache
def _count_bundled(split: str) -> int:
    """Return the tokens of a part of the bundled corpus, which is Python's own and never changes.

    Every past run that an estimate learns from is asked for them.
    """
    return int(sum(map(len, load_python_docs(split))) / CHARACTERS_PER_TOKEN)
