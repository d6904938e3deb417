"""Whether a pattern names a layer: shell wildcards over the whole name, case counted.

As `fnmatch.fnmatchcase` has it, but quick: a layer map may hold thousands of lines, each of which
is asked about hundreds of layers. Start with `matches`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache, partial

ANY, OTHERS = "*", frozenset("?[")


def has_wildcard(pattern: str) -> bool:
    """Whether a pattern can match another name than the one it spells."""
    return ANY in pattern or not OTHERS.isdisjoint(pattern)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a name."""
    return _read(pattern)(name)


def find_literal(pattern: str) -> str:
    """Return the longest text found that every name has that a pattern matches."""
    return max(re.split(r"[*?]", pattern.partition("[")[0]), key=len)


@lru_cache(maxsize=1 << 14)
def _read(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a name matches: without a regular expression where * is alone."""
    if OTHERS.isdisjoint(pattern):
        return partial(_has_in_order, pattern.split(ANY))
    return partial(fnmatchcase, pat=pattern)


def _has_in_order(pieces: Sequence[str], name: str) -> bool:
    """Whether a name begins with the first piece, ends with the last, and has the rest between."""
    if len(pieces) == 1:
        return name == pieces[0]
    first, *between, last = pieces
    if not name.endswith(last) or not name.startswith(first):
        return False
    place, end = len(first), len(name) - len(last)
    for piece in between:
        found = name.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return place <= end
