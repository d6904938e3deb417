"""Rows that hold one context and several continuations, and the masks that keep those apart.

Row: context, continuation 1, continuation 2, ... A continuation's last token predicts nothing and
is left out, so that a continuation of one token costs nothing at all. Positions start again behind
the context for each continuation. Shapes: B rows, T tokens of the longest, n labels. Start with
`build_rows`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.layers.head import SplitModel

PROBE_SHARE = 0.25


class Branch(NamedTuple):
    """A continuation of a row's context, and the place of its request."""

    place: int
    tokens: tuple[int, ...]


class Row(NamedTuple):
    """A context with what follows it."""

    context: tuple[int, ...]
    branches: tuple[Branch, ...]

    @property
    def length(self) -> int:
        """Tokens that are computed."""
        return len(self.context) + sum(len(branch.tokens) - 1 for branch in self.branches)

    @property
    def is_tree(self) -> bool:
        """Whether more than one continuation has tokens of its own."""
        return sum(len(branch.tokens) > 1 for branch in self.branches) > 1


class TreeBatch(NamedTuple):
    """Rows as tensors on the CPU.

    Attributes:
        tokens: (B, T) int64, padded on the right with 0.
        positions: (B, T) int64; None where plain counting does.
        mask: (B, 1, T, T), added to attention scores; None where plain causal attention does.
        sources: (n,) int64, places in B · T of the hidden states that predict the labels.
        labels: (n,) int64.
        requests: (place of the request, its number of labels), in the order of the labels.
    """

    tokens: Tensor
    positions: Tensor | None
    mask: Tensor | None
    sources: Tensor
    labels: Tensor
    requests: list[tuple[int, int]]


def build_rows(
    requests: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    limit: int,
    window: int,
    max_tokens: int,
) -> list[Row]:
    """Group requests by context, the longest row first.

    Args:
        requests: Token ids of context and continuation.
        limit: The most tokens the model reads; longer contexts lose their beginning.
        window: Requests up to this many tokens may share a row; 0 where none may.
        max_tokens: Rows are ended at about so many tokens.
    """
    shared: dict[tuple[int, ...], list[Branch]] = defaultdict(list)
    rows = []
    for place, (context, continuation) in enumerate(requests):
        # the last token is never read, so that one more fits
        room = limit + 1 - len(continuation)
        kept = tuple(context[-room:])
        branch = Branch(place, tuple(continuation))
        if len(kept) + len(branch.tokens) - 1 <= window:
            shared[kept].append(branch)
        else:
            rows.append(Row(kept, (branch,)))
    for kept, branches in shared.items():
        rows += _divide(kept, branches, max_tokens)
    return sorted(rows, key=lambda row: row.length, reverse=True)


def iter_row_batches(rows: Sequence[Row], *, batch_tokens: int) -> Iterator[list[Row]]:
    """Yield rows of like length together; rows that need no mask apart from those that do."""
    for is_tree in (True, False):
        part: list[Row] = []
        for row in (row for row in rows if row.is_tree == is_tree):
            if part and part[0].length * (len(part) + 1) > batch_tokens:
                yield part
                part = []
            part.append(row)
        if part:
            yield part


def build_batch(rows: Sequence[Row], *, dtype: torch.dtype) -> TreeBatch:
    """Lay rows out as tensors; the mask is of `dtype`."""
    width = max(row.length for row in rows)
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    places = torch.arange(width).repeat(len(rows), 1)
    owners = torch.zeros(len(rows), width, dtype=torch.long)
    sources: list[int] = []
    labels: list[int] = []
    requests: list[tuple[int, int]] = []
    for index, row in enumerate(rows):
        stem, end = len(row.context), len(row.context)
        tokens[index, :stem] = torch.tensor(row.context)
        for number, branch in enumerate(row.branches, start=1):
            start, end = end, end + len(branch.tokens) - 1
            tokens[index, start:end] = torch.tensor(branch.tokens[:-1], dtype=torch.long)
            places[index, start:end] = torch.arange(stem, stem + end - start)
            owners[index, start:end] = number
            predicting = [stem - 1, *range(start, end)]
            sources += [index * width + place for place in predicting]
            labels += branch.tokens
            requests.append((branch.place, len(branch.tokens)))
        owners[index, end:] = -1
        places[index, end:] = 0
    is_tree = any(row.is_tree for row in rows)
    return TreeBatch(
        tokens,
        places if is_tree else None,
        _mask(owners, dtype) if is_tree else None,
        torch.tensor(sources),
        torch.tensor(labels),
        requests,
    )


@torch.no_grad()
def honors_trees(split: SplitModel) -> bool:
    """Whether the model keeps the continuations of a row apart as asked; a few tokens tell.

    A row of two continuations is compared with the second continuation alone. How far off it may be
    is measured, too: by the same row without the mask, and without the positions. Tiny and rounded
    models need no tolerance of their own that way.
    """
    parameter = next(split.body.parameters())
    context, first, second = (1, 2), tuple(range(3, 16)), (2, 4, 3, 5)
    tree = build_batch([Row(context, (Branch(0, first), Branch(1, second)))], dtype=parameter.dtype)
    tokens, positions, mask = (
        part.to(parameter.device)
        for part in (tree.tokens, tree.positions, tree.mask)
        if part is not None
    )
    alone = torch.tensor([[*context, *second[:-1]]], device=parameter.device)
    try:
        right = split.hidden(alone)[0, len(context) :].float()

        def error(places: Tensor | None, attention: Tensor | None) -> float:
            states = split.hidden(tokens, position_ids=places, attention_mask=attention)
            return float((states[0, -len(right) :].float() - right).norm())

        allowed = PROBE_SHARE * min(error(None, mask), error(positions, None))
        return error(positions, mask) < allowed
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False  # a family that takes no positions or masks of this shape


def _divide(context: tuple[int, ...], branches: list[Branch], max_tokens: int) -> Iterator[Row]:
    """Yield the row of a context, or several where one would be longer than `max_tokens`."""
    part: list[Branch] = []
    length = len(context)
    for branch in branches:
        added = len(branch.tokens) - 1
        if part and length + added > max_tokens:
            yield Row(context, tuple(part))
            part, length = [], len(context)
        part.append(branch)
        length += added
    yield Row(context, tuple(part))


def _mask(owners: Tensor, dtype: torch.dtype) -> Tensor:
    """Let each token attend to earlier ones of the context and of its own continuation.

    Args:
        owners: (B, T), 0 for the context, the number of the continuation, −1 for padding.
        dtype: Of the result.

    Returns:
        (B, 1, T, T), 0 where attention is allowed and the dtype's lowest number elsewhere.
    """
    width = owners.shape[1]
    is_earlier = torch.ones(width, width, dtype=torch.bool).tril()
    is_same = owners.unsqueeze(2) == owners.unsqueeze(1)
    is_context = (owners == 0).unsqueeze(1)
    allowed = is_earlier & (is_same | is_context)
    mask = torch.zeros(allowed.shape, dtype=dtype)
    return mask.masked_fill(~allowed, torch.finfo(dtype).min).unsqueeze(1)
