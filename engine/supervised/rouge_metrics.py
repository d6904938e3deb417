"""ROUGE (Lin, 2004) by the rouge-score library: F1 with stemming, as fractions.

rougeLsum compares sentence by sentence. The library takes a line for a sentence, so texts of a
single line are parted behind full stops, question and exclamation marks; where others part them
with NLTK's model, which is not installed, the number differs slightly. Start with `RougeMetrics`.
"""

from __future__ import annotations

import re

from rouge_score.rouge_scorer import RougeScorer

ROUGES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class RougeMetrics:
    """Scores summaries."""

    def __init__(self) -> None:
        self._scorer = RougeScorer(list(ROUGES), use_stemmer=True)

    def score(self, summary: str, gold: str) -> tuple[float, ...]:
        """Return the F1 of each of `ROUGES` between a summary and the right one."""
        found = self._scorer.score(by_line(gold), by_line(summary))
        return tuple(float(found[name].fmeasure) for name in ROUGES)


def by_line(text: str) -> str:
    """Return a text with a sentence per line; one that has lines keeps them."""
    stripped = text.strip()
    return stripped if "\n" in stripped else _SENTENCE_END.sub("\n", stripped)
