"""For which numbers a shell wildcard matches a name with a number in it. Start with `find_numbers`.

A wildcard over names of tensors, "*.1?.attn_q*", says of which blocks it speaks: what of it stands
where the number does, "1?", is a wildcard of numbers. Each place of the pattern at which the text
before the number may end, and each at which the text behind it may begin, encloses one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_WILD = re.compile(r"[*?]+")
_LETTERS = re.compile(r"[a-z_]+")
_NUMBER = frozenset("0123456789?*")


def find_numbers(pattern: str, before: str, after: str) -> tuple[str, ...]:
    """Return wildcards of the numbers n for which a pattern matches `before + n + after`.

    Args:
        pattern: Of small letters, digits and signs, with * and ? as its only wildcards.
        before: Text without digits, small letters in it.
        after: Likewise.

    Returns:
        Each once, "*" alone where every number fits; none that another says with a * more.
    """
    if not all(each in before or each in after for each in _LETTERS.findall(pattern)):
        return ()  # most names, by far
    plain = _WILD.sub(lambda each: _simplify(each[0]), pattern)
    found = dict.fromkeys(_list_between(plain, before, after))
    if "*" in found:
        return ("*",)
    return tuple(each for each in found if f"{each}*" not in found and f"*{each}" not in found)


def _list_between(pattern: str, before: str, after: str) -> Iterator[str]:
    """Yield every part of a pattern that a number can stand for."""
    ends = _find_ends(pattern, before)
    backwards = _find_ends(pattern[::-1], after[::-1])
    begins = sorted(len(pattern) - each for each in backwards)
    for first in sorted(ends):
        for last in begins:
            part = pattern[first:last]
            if part and _NUMBER.issuperset(part):
                yield "*" if part == "?*" else part


def _find_ends(pattern: str, text: str) -> set[int]:
    """Return how much of a pattern may be used up when it has matched a text from its beginning.

    A * that took some of it may take more, so it is both used up and not.
    """
    places = _pass_stars(pattern, {0})
    for letter in text:
        places = _pass_stars(
            pattern,
            {
                place + (pattern[place] != "*")
                for place in places
                if place < len(pattern) and pattern[place] in ("*", "?", letter)
            },
        )
    return places


def _pass_stars(pattern: str, places: set[int]) -> set[int]:
    """Return places and those behind a *, which may stand for nothing; none follows another."""
    return places | {place + 1 for place in places if pattern[place : place + 1] == "*"}


def _simplify(wild: str) -> str:
    """Return wildcards in a row as ? and then at most one *."""
    return "?" * wild.count("?") + "*" * ("*" in wild)
