"""Which tokens of which texts an attack may change, and words from tokens.

Only tokens of the first text may change, and never special ones, also where a text spells one out.
Nor is a special token ever drawn: it would not be read as the words it is written with. Shapes: G
texts, T tokens of the longest, P tokens that may change in all. Start with `build_group`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from engine.data.supervised_rows import Labelled
from engine.robustness.classifier import Classifier, Texts
from engine.robustness.soft_texts import Places
from engine.robustness.terms import share
from engine.supervised.family import Batch
from engine.supervised.token_rows import encode, part_off


@dataclass(frozen=True)
class Editable:
    """A text as tokens that may change.

    Attributes:
        place: Of the example in what is attacked.
        texts: Its text, or pair of texts.
        label: Its class.
        columns: Places of the tokens that may change in the model's row.
        tokens: Those tokens.
    """

    place: int
    texts: Texts
    label: int
    columns: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Texts attacked at once.

    Attributes:
        members: The texts.
        batch: As the model reads them, (G, T), on its device.
        places: Where the tokens stand that may change, in the members' order.
        tokens: (P,) int64, those tokens.
        labels: (G,) int64.
        counted: (G, T) bool, the same places as a mask.
        weights: (G, T) float32, how much each counts; rows sum to 1.
    """

    members: tuple[Editable, ...]
    batch: Batch
    places: Places
    tokens: Tensor
    labels: Tensor
    counted: Tensor
    weights: Tensor


def list_editable(victim: Classifier, examples: Sequence[Labelled]) -> tuple[Editable, ...]:
    """Return every text with the tokens that may change."""
    special = list_special(victim.tokenizer)
    return tuple(
        _build_editable(victim, place, example, special) for place, example in enumerate(examples)
    )


def list_special(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the tokens that are no words: those that frame, fill up or stand for the unknown."""
    added = {token for token, value in tokenizer.added_tokens_decoder.items() if value.special}
    return frozenset(added | set(tokenizer.all_special_ids))


def list_undrawn(tokenizer: PreTrainedTokenizerBase, num_words: int) -> Tensor:
    """Return (V,) bool, true for tokens that are never drawn: special ones and unnamed rows."""
    undrawn = torch.arange(num_words) >= len(tokenizer)
    undrawn[[token for token in list_special(tokenizer) if token < num_words]] = True
    return undrawn


def decode(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """Return tokens as words; reading them again need not give the same tokens."""
    text: str = tokenizer.decode(
        list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return text


def build_group(victim: Classifier, members: Sequence[Editable], rarity: dict[int, float]) -> Group:
    """Lay texts side by side.

    Args:
        victim: The model.
        members: At least one, each with a token that may change.
        rarity: Of every token, for its weight.
    """
    texts = [member.texts for member in members]
    encoded = encode(texts, victim.tokenizer, max_length=victim.max_length)
    batch = encoded.batch(torch.arange(len(texts)), fill=victim.fill)
    owners = [row for row, member in enumerate(members) for _ in member.columns]
    columns = [column for member in members for column in member.columns]
    weights = torch.zeros(batch["input_ids"].shape)
    values = [value for each in members for value in share([rarity[t] for t in each.tokens])]
    weights[owners, columns] = torch.tensor(values)
    counted = torch.zeros(weights.shape, dtype=torch.bool)
    counted[owners, columns] = True
    device = victim.device
    return Group(
        members=tuple(members),
        batch={name: value.to(device) for name, value in batch.items()},
        places=Places(torch.tensor(owners, device=device), torch.tensor(columns, device=device)),
        tokens=torch.tensor([token for each in members for token in each.tokens], device=device),
        labels=torch.tensor([member.label for member in members], device=device),
        counted=counted.to(device),
        weights=weights.to(device),
    )


def _build_editable(
    victim: Classifier, place: int, example: Labelled, special: frozenset[int]
) -> Editable:
    tokenizer, texts = victim.tokenizer, example.texts
    given = (part_off(texts[0], tokenizer), *texts[1:]) if len(texts) == 2 else texts
    found: Any = tokenizer(
        *given,
        truncation="longest_first",
        max_length=victim.max_length,
        return_offsets_mapping=True,
        verbose=False,
    )
    row, starts = found["input_ids"], [start for start, _ in found["offset_mapping"]]
    free = [
        column
        for column, which in enumerate(found.sequence_ids(0))
        if which == 0 and row[column] not in special and starts[column] < len(texts[0])
    ]
    tokens = tuple(row[column] for column in free)
    return Editable(place, texts, int(example.label), tuple(free), tokens)
