"""Exact match and F1 of SQuAD v1.1 (Rajpurkar et al., 2016, arXiv:1606.05250, section 6.1).

Both compare words after case, punctuation, articles and superfluous spaces are gone, and take the
right answer that fits best. Written from the description of the official script. Start with
`score_answer`.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score_answer(answer: str, gold: Sequence[str]) -> tuple[float, float]:
    """Return exact match (0 or 1) and F1 of an answer: each the best over the right ones.

    Args:
        answer: What the model says; may be empty.
        gold: At least one right answer.
    """
    exact = max(float(normalize(answer) == normalize(right)) for right in gold)
    return exact, max(overlap(answer, right) for right in gold)


def normalize(answer: str) -> str:
    """Return an answer in lower case, without punctuation and articles, words one space apart.

    Punctuation is ASCII's and goes first without a trace ("U.S." becomes "us"); an article leaves
    a space.
    """
    bare = answer.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def overlap(answer: str, right: str) -> float:
    """Return F1 between two bags of words: 0 where they share none, also where both are empty."""
    said, wanted = normalize(answer).split(), normalize(right).split()
    shared = (Counter(said) & Counter(wanted)).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / len(said), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)
