"""The objective's terms and the change rate, against slow references written here."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.robustness.change_rate import change_rate, edit_distance
from engine.robustness.terms import dissimilarity, margin_loss, rarities, share, surprise

words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_margin_loss() -> None:
    """It is max(z_y − max_{j≠y} z_j + κ, 0), row by row."""
    logits, labels = random(7, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    expected = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        other = max(value for place, value in enumerate(row) if place != label)
        expected.append(max(row[label] - other + 0.5, 0.0))
    assert 0.0 in expected
    assert margin_loss(logits, labels, 0.5).tolist() == pytest.approx(expected)


def test_dissimilarity() -> None:
    """It is one minus the weighted mean of each original token's best cosine, of counted tokens."""
    original, sampled = random(2, 5, 4), random(2, 3, 5, 4)
    weights = torch.tensor([[0.0, 0.5, 0.5, 0.0, 0.0], [0.0, 0.2, 0.3, 0.5, 0.0]])
    counted = weights > 0
    for text in range(2):
        places = counted[text].nonzero().flatten().tolist()
        for sample in range(3):
            recall = 0.0
            for i in places:
                cosines = [
                    float(torch.cosine_similarity(original[text, i], sampled[text, sample, j], 0))
                    for j in places
                ]
                recall += float(weights[text, i]) * max(cosines)
            found = dissimilarity(original, sampled, weights, counted)[text, sample]
            assert float(found) == pytest.approx(1 - recall, abs=1e-6)


def test_a_text_is_not_unlike_itself() -> None:
    """The same hidden states at any length differ by nothing."""
    states, weights = random(2, 5, 4), torch.full((2, 5), 0.2)
    found = dissimilarity(states, 3 * states[:, None], weights, weights > 0)
    assert found.flatten().tolist() == pytest.approx([0, 0], abs=1e-6)


def test_surprise() -> None:
    """It is the cross entropy between soft tokens and the language model's prediction."""
    probabilities, logits = random(2, 3, 5).softmax(-1), random(2, 3, 5)
    for place in range(2):
        for sample in range(3):
            scores = logits[place, sample].tolist()
            total = math.log(sum(math.exp(score) for score in scores))
            expected = -sum(
                p * (score - total)
                for p, score in zip(probabilities[place, sample].tolist(), scores, strict=True)
            )
            found = surprise(probabilities, logits)[place, sample]
            assert float(found) == pytest.approx(expected, rel=1e-5)


def test_rare_tokens_weigh_more() -> None:
    """A token counts log((M + 1) / (df + 1)), once a text; in all texts it counts nothing."""
    found = rarities([(5, 5, 6), (5, 7)])
    assert found == {5: 0.0, 6: math.log(1.5), 7: math.log(1.5)}


def test_weights_sum_to_one() -> None:
    """Weights are in proportion, and equal where nothing is rare."""
    assert share([1.0, 3.0]) == [0.25, 0.75]
    assert share([0.0, 0.0]) == [0.5, 0.5]


def levenshtein(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Return the distance as it is defined, by its three cases."""

    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        changed = distance(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, changed)

    return distance(len(first), len(second))


@given(words, words)
def test_edit_distance(first: list[str], second: list[str]) -> None:
    """It is Levenshtein's."""
    assert edit_distance(first, second) == levenshtein(tuple(first), tuple(second))


def test_change_rate() -> None:
    """Changed, added and dropped words count over the words there were, spaces do not."""
    assert change_rate("the film is good", "the  film was good\n") == 0.25
    assert change_rate("good", "not at all") == 3.0
    assert change_rate("", "good") == 1.0
    assert change_rate("a b", "a b") == 0.0
