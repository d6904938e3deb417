"""How much of a text an attack changed, in words. Start with `change_rate`."""

from __future__ import annotations

from collections.abc import Sequence


def change_rate(original: str, changed: str) -> float:
    """Return the word-level edit distance of two texts over the words of the first.

    Words are what white space separates. May exceed 1, as the word error rate does.

    Args:
        original: The text before.
        changed: The text after.
    """
    words = original.split()
    return edit_distance(words, changed.split()) / max(1, len(words))


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many insertions, deletions and replacements lead from one list to the other.

    Source: Levenshtein, 1966; row by row, so that memory is that of one row.
    """
    before = list(range(len(second) + 1))
    for deletions, word in enumerate(first, start=1):
        row = [deletions]
        for place, other in enumerate(second):
            replaced = before[place] + (word != other)
            row.append(min(replaced, before[place + 1] + 1, row[place] + 1))
        before = row
    return before[-1]
