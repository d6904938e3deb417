"""Which layers a pattern names: shell wildcards over whole layer names, case counted.

Shared by the estimates and by the code that replaces layers, so that both select the same. No
torch. Start with `is_selected`.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def is_selected(name: str, include: Iterable[str], exclude: Iterable[str] = ()) -> bool:
    """Whether a layer matches one of `include` and none of `exclude`."""
    return _matches(name, include) and not _matches(name, exclude)


def match_layers(
    names: Iterable[str], include: Iterable[str], exclude: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the selected names in their own order."""
    wanted, unwanted = tuple(include), tuple(exclude)
    return tuple(name for name in names if is_selected(name, wanted, unwanted))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
