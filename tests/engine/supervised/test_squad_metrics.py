"""Exact match and F1 of SQuAD v1.1, against a table computed by hand."""

from __future__ import annotations

import pytest

from engine.supervised.squad_metrics import normalize, score_answer


@pytest.mark.parametrize(
    ("answer", "bare"),
    [
        ("The  Alps.", "alps"),
        ("a theory", "theory"),
        ("Theatre", "theatre"),
        ("U.S.", "us"),
        ("an\tA\nthe", ""),
        ("state-of-the-art", "stateoftheart"),
        ("rock 'n' roll!", "rock n roll"),
        ("1,233 km", "1233 km"),
        ("“the” Rhine", "“ ” rhine"),
        ("", ""),
    ],
)
def test_normalize(answer: str, bare: str) -> None:
    """Case, ASCII punctuation, whole-word articles and spaces go; punctuation goes first."""
    assert normalize(answer) == bare


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "overlap"),
    [
        ("the Alps", ["Alps"], 1, 1),
        ("in the Alps", ["Alps"], 0, 2 / 3),
        ("Alps", ["high Alps of Europe", "Rhine"], 0, 0.4),
        ("Alps", ["Rhine", "alps!"], 1, 1),
        ("km km km", ["km km"], 0, 0.8),
        ("km km", ["km mile"], 0, 0.5),
        ("Rhine", ["Alps"], 0, 0),
        ("", ["Alps"], 0, 0),
        ("the", ["a"], 1, 0),
        ("red blue", ["red", "blue red green"], 0, 0.8),
    ],
)
def test_score(answer: str, gold: list[str], exact: float, overlap: float) -> None:
    """Exact match and F1 are each the best over the right answers; shared words count as a bag."""
    assert score_answer(answer, gold) == (exact, pytest.approx(overlap))
