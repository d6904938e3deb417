"""How likely a model finds given continuations of given contexts.

Requests with one context share it: a row holds the context once and behind it every continuation,
each attending to the context and itself alone (a tree of two levels, as in Cai et al., 2024,
arXiv:2401.10774). Where a family does not honor such masks, or attends to a window, each request is
a row of its own. What comes out is the same. Start with `score_continuations`; rows are built in
`token_trees`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import DataError
from engine.evaluation.token_trees import (
    Row,
    TreeBatch,
    build_batch,
    build_rows,
    honors_trees,
    iter_row_batches,
)
from engine.layers.head import SplitModel

PIECE_ROWS = 256
Request = tuple[Sequence[int], Sequence[int]]


class Likelihood(NamedTuple):
    """What a model makes of a continuation.

    Attributes:
        log_prob: Sum of the log-probabilities of its tokens, in nats.
        num_tokens: How many tokens it has.
        is_greedy: Whether each token is the most likely one at its place.
    """

    log_prob: float
    num_tokens: int
    is_greedy: bool


@torch.no_grad()
def score_continuations(
    split: SplitModel,
    requests: Sequence[Request],
    *,
    batch_tokens: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Likelihood]:
    """Score each continuation after its context, in the order of the requests.

    A request longer than the model's limit keeps its continuation and loses the beginning of its
    context, as in lm-eval. Probabilities are float32 over the whole vocabulary, in pieces.

    Args:
        split: The model as it stands, in evaluation mode.
        requests: Token ids of context and continuation, neither empty.
        batch_tokens: About how many tokens, padding included, are computed at once.
        progress: Told of requests done and in all.

    Raises:
        DataError: When a continuation alone is longer than the model's limit.
        ValueError: When a context or continuation is empty.
    """
    if not requests:
        return []
    limit = context_limit(split)
    for context, continuation in requests:
        _check(context, continuation, limit)
    shares = len({tuple(context) for context, _ in requests}) < len(requests)
    window = _window(split) if shares and honors_trees(split) else 0
    rows = build_rows(requests, limit=limit, window=window, max_tokens=batch_tokens)
    found: list[Likelihood | None] = [None] * len(requests)
    done = 0
    for part in iter_row_batches(rows, batch_tokens=batch_tokens):
        scored = _score_rows(split, part)
        for place, likelihood in scored:
            found[place] = likelihood
        done += len(scored)
        if progress is not None:
            progress(done, len(requests))
    return [likelihood for likelihood in found if likelihood is not None]


def context_limit(split: SplitModel) -> int:
    """Return how many tokens the model can read at once; 2048 where its config does not say."""
    config = split.body.config.get_text_config()  # type: ignore[union-attr, operator]
    limit = getattr(config, "max_position_embeddings", None)
    return int(limit) if isinstance(limit, int) and limit > 0 else 2048


def _check(context: Sequence[int], continuation: Sequence[int], limit: int) -> None:
    if not context or not continuation:
        raise ValueError("a context or a continuation has no tokens")
    if len(continuation) > limit:
        raise DataError(
            f"an answer has {len(continuation)} tokens, more than the {limit} the model can read; "
            "use a model with a longer context"
        )


def _window(split: SplitModel) -> int:
    """Return up to which length a row attends everywhere; beyond it, trees would see too much."""
    config = split.body.config.get_text_config()  # type: ignore[union-attr, operator]
    names = ("sliding_window", "attention_chunk_size", "attention_window")
    windows = [value for name in names if isinstance(value := getattr(config, name, None), int)]
    return min([*windows, context_limit(split)])


def _score_rows(split: SplitModel, rows: Sequence[Row]) -> list[tuple[int, Likelihood]]:
    """Return each request's place with its likelihood."""
    device = next(split.body.parameters()).device
    dtype = next(split.body.parameters()).dtype
    batch = build_batch(rows, dtype=dtype)
    log_probs, greedy = _score_labels(split, batch, device)
    found, start = [], 0
    for place, count in batch.requests:
        part = slice(start, start + count)
        total = float(log_probs[part].double().sum())
        found.append((place, Likelihood(total, count, bool(greedy[part].all()))))
        start += count
    return found


def _score_labels(
    split: SplitModel, batch: TreeBatch, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return log-probability and greediness of each of n labels, (n,) each, on the CPU."""
    mask = None if batch.mask is None else batch.mask.to(device)
    positions = None if batch.positions is None else batch.positions.to(device)
    hidden = split.hidden(
        batch.tokens.to(device), position_ids=positions, attention_mask=mask
    ).flatten(0, 1)[batch.sources.to(device)]  # (n, D)
    labels = batch.labels.to(device)
    log_probs, greedy = [], []
    for start in range(0, len(labels), PIECE_ROWS):
        part = slice(start, start + PIECE_ROWS)
        log_q = torch.log_softmax(split.logits(hidden[part]).float(), dim=-1)
        log_probs.append(log_q.gather(1, labels[part].unsqueeze(1)).squeeze(1))
        greedy.append(log_q.argmax(dim=-1) == labels[part])
    return torch.cat(log_probs).cpu(), torch.cat(greedy).cpu()
