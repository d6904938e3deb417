"""The three terms of the attack's objective; all are made small.

Source: Guo et al., 2021, arXiv:2104.13733, section 3. Shapes: G texts, S samples of each, T tokens,
D wide, V words, C classes, P tokens that may change. Start with `margin_loss`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def margin_loss(logits: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Return by how much a wrong class does not yet win, max(z_y − max_{j≠y} z_j + κ, 0), (N,).

    Args:
        logits: (N, C), C at least 2.
        labels: (N,) int64, the right classes.
        margin: κ, by how much it should win.
    """
    right = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -math.inf).amax(dim=1)
    return (right - others + margin).clamp(min=0)


def dissimilarity(original: Tensor, sampled: Tensor, weights: Tensor, counted: Tensor) -> Tensor:
    """Return 1 − R of hidden states, (G, S): R is BERTScore's recall weighted by rarity.

    R = Σ_i w_i · max_j cos(u_i, v_j), over tokens i of the original and j of the sampled text
    (Zhang et al., 2020, arXiv:1904.09675, equation 1).

    Args:
        original: (G, T, D), u.
        sampled: (G, S, T, D), v.
        weights: (G, T), w; rows sum to 1 and are 0 where a token does not count.
        counted: (G, T) bool, tokens that count; at least one in each row.
    """
    first = functional.normalize(original.float(), dim=-1)
    second = functional.normalize(sampled.float(), dim=-1)
    cosines = torch.einsum("gid,gsjd->gsij", first, second)
    best = cosines.masked_fill(~counted[:, None, None, :], -math.inf).amax(dim=-1)  # (G, S, T)
    return 1 - (best * weights[:, None, :]).sum(dim=-1)


def surprise(probabilities: Tensor, logits: Tensor) -> Tensor:
    """Return −Σ_v π_v · log p(v), (P, S): how little a language model expects soft tokens.

    Args:
        probabilities: (P, S, V), π.
        logits: (P, S, V) of the language model for the same places, before its softmax.
    """
    return -(probabilities * functional.log_softmax(logits.float(), dim=-1)).sum(dim=-1)


def rarities(texts: Sequence[Sequence[int]]) -> dict[int, float]:
    """Return each token's inverse document frequency, log((M + 1) / (df + 1)), of M texts.

    BERTScore's, with one added so that a token of no text would have the most. The texts attacked
    stand for the corpus, where Guo et al. count over training data: the order is the same, and no
    further data must be there.
    """
    counts = Counter(token for text in texts for token in set(text))
    return {token: math.log((len(texts) + 1) / (df + 1)) for token, df in counts.items()}


def share(values: Sequence[float]) -> list[float]:
    """Return weights that sum to 1, in proportion to `values`; equal ones where all are 0."""
    total = sum(values)
    return [value / total for value in values] if total > 0 else [1 / len(values)] * len(values)
