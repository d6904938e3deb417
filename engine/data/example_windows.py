"""Examples as padded rows of tokens, and an order that puts rows of like length together.

Shapes: N examples, T tokens of the longest. The other kind of training data, running text, is
`windows`. Start with `encode_examples`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from engine.data.tasks import Example
from engine.data.windows import epoch_order
from engine.errors import DataError
from engine.specs.data import LossOn

CHUNK_BATCHES = 32


class EncodedExamples(NamedTuple):
    """Examples ready to train on.

    Attributes:
        tokens: (N, T) int64 on the CPU, padded on the right with the end of text, or 0.
        lengths: (N,) int64, tokens of each row before the padding.
        label_starts: (N,) int64, place of the first token that is a label; at least 1, because
            nothing predicts the first token. Below the row's length.
    """

    tokens: Tensor
    lengths: Tensor
    label_starts: Tensor


def encode_examples(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    loss_on: LossOn,
    field: str = "",
) -> EncodedExamples:
    """Tokenize each example's text, add the end of text where there is room, and pad.

    Args:
        examples: In order.
        tokenizer: The model's tokenizer, with its own special tokens, as lm-eval uses it.
        max_length: Rows are cut to so many tokens.
        loss_on: "text" learns the whole text, "answer" only what follows the question.
        field: The spec field an error is reported at ("training.data").

    Raises:
        DataError: When cutting leaves nothing of an answer to learn from.
    """
    pairs = [example.candidates[example.gold] for example in examples]
    end = tokenizer.eos_token_id
    rows: list[list[int]] = []
    starts: list[int] = []
    for (whole, answer), example in zip(encode_pairs(pairs, tokenizer), examples, strict=True):
        has_room = end is not None and len(whole) < max_length and whole[-1] != end
        row = [*whole, int(end)] if has_room else whole[:max_length]
        start = 1 if loss_on == "text" else answer
        if start >= len(row):
            raise DataError(
                f"nothing is left to learn of {example.text[:60]!r} in {max_length} tokens; use a "
                f"window length of at least {start + 1}",
                field=field,
            )
        rows.append(row)
        starts.append(start)
    lengths = torch.tensor([len(row) for row in rows])
    padded = torch.full((len(rows), int(lengths.max())), 0 if end is None else int(end))
    for place, tokens in enumerate(rows):
        padded[place, : len(tokens)] = torch.tensor(tokens)
    return EncodedExamples(padded, lengths, torch.tensor(starts))


def encode_pairs(
    pairs: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerBase
) -> list[tuple[list[int], int]]:
    """Tokenize each context with its continuation as one text.

    Returns:
        Per pair its tokens, and the place of the first that is not the context's alone: at least
        1, below their number. Spaces that end a context count to the continuation, as in lm-eval;
        a token that holds the end of one and the beginning of the other does, too.
    """
    if not pairs:
        return []
    texts = [context + continuation for context, continuation in pairs]
    contexts = [context.rstrip() for context, _ in pairs]
    # verbose=False: what is longer than the model is cut later
    encoded = tokenizer(texts, verbose=False)["input_ids"]
    alone = tokenizer(contexts, verbose=False)["input_ids"]
    found = []
    for tokens, context in zip(encoded, alone, strict=True):
        shared = _shared_prefix(tokens, context)
        found.append((list(tokens), max(1, min(shared, len(tokens) - 1))))
    return found


def length_grouped_order(lengths: Tensor, *, seed: int, epoch: int, batch_size: int) -> Tensor:
    """Return an order of one epoch in which the rows of a batch are about equally long.

    Examples are shuffled, sorted by length inside chunks of 32 batches, and the batches shuffled
    again: little is computed on padding, and short examples do not come first. Batches are counted
    over the endless row of epochs, as `windows.iter_batches` takes them; those that reach over the
    end of an epoch keep their place.

    Args:
        lengths: (N,) int64.
        seed: Seed of the order.
        epoch: Which epoch.
        batch_size: Examples per batch, B.

    Returns:
        (N,) int64, a permutation that follows from the arguments alone.
    """
    count = len(lengths)
    order = epoch_order(count, seed=seed, epoch=epoch)
    head = min(-epoch * count % batch_size, count)
    last = head + (count - head) // batch_size * batch_size
    chunk = CHUNK_BATCHES * batch_size
    grouped = [
        part[torch.argsort(lengths[part], descending=True, stable=True)]
        for part in torch.split(order[head:last], chunk)
        if len(part)
    ]
    if not grouped:
        return order
    batches = torch.cat(grouped).view(-1, batch_size)
    # another stream than the examples' own: the same seed would repeat its permutation
    shuffled = batches[epoch_order(len(batches), seed=seed + 1, epoch=epoch)]
    return torch.cat([order[:head], shuffled.flatten(), order[last:]])


def _shared_prefix(tokens: Sequence[int], context: Sequence[int]) -> int:
    """Count the leading tokens that both have."""
    for place, (token, known) in enumerate(zip(tokens, context, strict=False)):
        if token != known:
            return place
    return min(len(tokens), len(context))
