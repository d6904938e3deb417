"""Rows of tokens of unequal length, kept end to end and padded batch by batch.

A quarter of a million articles fit that way: four bytes a token, none for padding. Shapes: N rows,
B of them per batch, T tokens of the longest in it. Start with `pack` and `TokenRows.padded`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from engine.errors import DataError
from engine.supervised.family import Batch

CHUNK_TEXTS = 1_000
TRAINED_LENGTH = "training.max_length"
MEASURED_LENGTH = "evaluation.max_length"


@dataclass(frozen=True)
class TokenRows:
    """N rows of tokens.

    Attributes:
        tokens: (sum of the lengths,) int32, row after row.
        starts: (N + 1,) int64, where each row begins, and the end of the last.
    """

    tokens: Tensor
    starts: Tensor

    @property
    def lengths(self) -> Tensor:
        """(N,) int64, tokens of each row."""
        return self.starts.diff()

    def padded(self, places: Tensor, *, fill: int) -> Tensor:
        """Return the rows at `places`, (B,) int64, as (B, T) int64, filled up on the right."""
        lengths = self.lengths[places]
        columns = torch.arange(int(lengths.max()))
        is_there = columns < lengths.unsqueeze(1)  # (B, T)
        found = torch.full(is_there.shape, fill, dtype=torch.long)
        sources = self.starts[places].unsqueeze(1) + columns
        found[is_there] = self.tokens[sources[is_there]].long()
        return found


def pack(rows: Iterable[Sequence[int]]) -> TokenRows:
    """Lay rows end to end."""
    tokens, lengths = array("i"), [0]
    for row in rows:
        tokens.extend(row)
        lengths.append(len(row))
    flat = torch.frombuffer(tokens, dtype=torch.int32) if tokens else torch.empty(0).int()
    return TokenRows(flat, torch.tensor(list(accumulate(lengths))))


class Encoded(NamedTuple):
    """Texts as what an encoder or decoder reads.

    Attributes:
        tokens: N rows.
        types: Which of two texts each token is of; None where the tokenizer does not say.
    """

    tokens: TokenRows
    types: TokenRows | None

    def batch(self, places: Tensor, *, fill: int) -> Batch:
        """Return "input_ids", "attention_mask" and where known "token_type_ids", (B, T) int64."""
        found = {"input_ids": self.tokens.padded(places, fill=fill)}
        columns = torch.arange(found["input_ids"].shape[1])
        lengths = self.tokens.lengths[places].unsqueeze(1)
        found["attention_mask"] = (columns < lengths).long()
        if self.types is not None:
            found["token_type_ids"] = self.types.padded(places, fill=0)
        return found


def encode(
    texts: Sequence[tuple[str, ...]], tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> Encoded:
    """Tokenize single texts or pairs with the tokenizer's special tokens.

    Of a pair too long the longer text is cut first.

    Args:
        texts: One or two texts each, the same number in all.
        tokenizer: The model's.
        max_length: Rows are cut to so many tokens.
    """
    tokens: list[array[int]] = []
    types: list[array[int]] = []
    for start in range(0, len(texts), CHUNK_TEXTS):
        columns = list(zip(*texts[start : start + CHUNK_TEXTS], strict=True))
        if len(columns) == 2:
            columns[0] = tuple(part_off(text, tokenizer) for text in columns[0])
        found = tokenizer(
            *map(list, columns), truncation="longest_first", max_length=max_length, verbose=False
        )
        tokens += (array("i", row) for row in found["input_ids"])
        types += (array("i", row) for row in found.get("token_type_ids", ()))
    return Encoded(pack(tokens), pack(types) if types else None)


def part_off(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the first of two texts with a line's end where the tokenizer puts nothing between."""
    added = tokenizer.num_special_tokens_to_add
    return text if added(pair=True) > added(pair=False) else f"{text}\n"


def padding_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token rows are filled up with: the tokenizer's for that, its end of text, or 0.

    A decoder with a classification head must know it (`config.pad_token_id`): it reads the class
    at the last other token.
    """
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((int(token) for token in known if token is not None), 0)


def row_limit(tokenizer: PreTrainedTokenizerBase, max_length: int, *, field: str) -> int:
    """Return how long rows may be, in training and measuring: `max_length`, or the model's less.

    Args:
        tokenizer: The model's, as `load_model` returns it: it knows what the model reads.
        max_length: What the spec asks for.
        field: The spec field it is from.

    Raises:
        DataError: When special tokens leave no room for text.
    """
    limit = min(max_length, int(tokenizer.model_max_length))
    added = int(tokenizer.num_special_tokens_to_add(pair=True))
    if limit < added + 2:
        raise DataError(
            f"{limit} tokens leave no room beside the {added} special ones; use a window length of "
            f"at least {added + 2}",
            field=field,
        )
    return limit


def iter_places(lengths: Tensor, *, batch_size: int) -> Iterator[Tensor]:
    """Yield places of (N,) rows in batches of like length, the longest first, each (B,) int64."""
    yield from torch.split(torch.argsort(lengths, descending=True, stable=True), batch_size)
