"""Questions on a text as rows of tokens that know which characters they stand for.

A text too long for a row becomes several, each sharing a third of a row's length with the one
before. Shapes: N questions, F ≥ N rows. Start with `build_features`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from engine.data.supervised_rows import Passage
from engine.errors import DataError
from engine.supervised.token_rows import (
    CHUNK_TEXTS,
    TRAINED_LENGTH,
    Encoded,
    TokenRows,
    pack,
    part_off,
    row_limit,
)

OUTSIDE = -1


class SpanFeatures(NamedTuple):
    """F rows: a question and a stretch of its text each.

    Attributes:
        encoded: What the model reads.
        questions: (F,) int64, which of the N questions each row is of.
        begins: For each token the place of its first character in the text; −1 for tokens of the
            question and special ones.
        ends: For each token the place behind its last character; −1 likewise.
    """

    encoded: Encoded
    questions: Tensor
    begins: TokenRows
    ends: TokenRows


def build_features(
    passages: Sequence[Passage],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    field: str = TRAINED_LENGTH,
) -> SpanFeatures:
    """Tokenize questions with their texts, the question first.

    Args:
        passages: N questions with their texts; the answers are not looked at.
        tokenizer: The model's; a fast one, which knows the characters of its tokens.
        max_length: Tokens of a row at most. Questions are cut to a third of it.
        field: The spec field the length is from.

    Raises:
        DataError: When the tokenizer is not a fast one, or rows are too short for text.
    """
    if not tokenizer.is_fast:
        raise DataError(
            f"the tokenizer {type(tokenizer).__name__} does not tell which characters a token "
            "stands for; use a model with a fast one (tokenizer.json)",
            field="model.source",
        )
    limit = row_limit(tokenizer, max_length, field=field)
    parts = _Parts()
    for start in range(0, len(passages), CHUNK_TEXTS):
        _add_rows(parts, passages[start : start + CHUNK_TEXTS], tokenizer, limit=limit, first=start)
    encoded = Encoded(pack(parts.tokens), pack(parts.types) if parts.types else None)
    questions = torch.tensor(parts.questions)
    return SpanFeatures(encoded, questions, pack(parts.begins), pack(parts.ends))


def find_answers(features: SpanFeatures, passages: Sequence[Passage]) -> Tensor:
    """Return the first and last token of each row's answer, (F, 2) int64.

    The first answer of a question is learned; its tokens are those that share a character with it.
    A row that does not hold it whole points at its first token, whatever stands there, as in the
    BERT recipe (Devlin et al., 2019, arXiv:1810.04805, section 4.3).
    """
    starts = features.begins.starts.tolist()
    begins, ends = features.begins.tokens, features.ends.tokens
    found = torch.zeros(len(features.questions), 2, dtype=torch.long)
    for row, question in enumerate(features.questions.tolist()):
        part = slice(starts[row], starts[row + 1])
        low, high = _stripped(*passages[question].answers[0])
        is_whole, inside = _tokens_of(begins[part], ends[part], low, high)
        if is_whole:
            found[row] = torch.tensor([int(inside[0]), int(inside[-1])])
    return found


class _Parts:
    """Rows as they are made."""

    def __init__(self) -> None:
        self.tokens: list[array[int]] = []
        self.types: list[array[int]] = []
        self.begins: list[array[int]] = []
        self.ends: list[array[int]] = []
        self.questions: list[int] = []


def _add_rows(
    parts: _Parts,
    passages: Sequence[Passage],
    tokenizer: PreTrainedTokenizerBase,
    *,
    limit: int,
    first: int,
) -> None:
    """Tokenize a chunk of questions; the first of them has the number `first`."""
    room = limit // 3
    added = tokenizer.num_special_tokens_to_add(pair=True)
    found = tokenizer(
        [_shortened(passage.question, tokenizer, room) for passage in passages],
        [passage.context for passage in passages],
        truncation="only_second",
        max_length=limit,
        stride=max(0, min(limit // 3, limit - room - added - 1)),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    parts.questions += (first + place for place in found["overflow_to_sample_mapping"])
    parts.tokens += (array("i", row) for row in found["input_ids"])
    parts.types += (array("i", row) for row in found.get("token_type_ids", ()))
    for row, offsets in enumerate(found["offset_mapping"]):
        sides = found.sequence_ids(row)
        kept = [
            pair if side == 1 and pair[1] > pair[0] else (OUTSIDE, OUTSIDE)
            for pair, side in zip(offsets, sides, strict=True)
        ]
        parts.begins.append(array("i", [begin for begin, _ in kept]))
        parts.ends.append(array("i", [end for _, end in kept]))


def _shortened(question: str, tokenizer: PreTrainedTokenizerBase, room: int) -> str:
    """Return a question of at most `room` tokens, with what parts it from the text."""
    text = question.strip()
    while True:
        whole = part_off(text, tokenizer)
        found = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        over = len(found["input_ids"]) - room
        if over <= 0 or not text:
            return whole
        text = text[: min(found["offset_mapping"][room][0], len(text) - 1)].rstrip()


def _stripped(answer: str, start: int) -> tuple[int, int]:
    """Return the characters of an answer without the spaces around it."""
    low = start + len(answer) - len(answer.lstrip())
    return low, low + len(answer.strip())


def _tokens_of(begins: Tensor, ends: Tensor, low: int, high: int) -> tuple[bool, Tensor]:
    """Return whether a row holds the characters whole, and the tokens that share one with them."""
    inside = ((begins >= 0) & (begins < high) & (ends > low)).nonzero().flatten()
    if len(inside) == 0:
        return False, inside
    is_whole = int(begins[inside[0]]) <= low and int(ends[inside[-1]]) >= high
    return is_whole, inside
