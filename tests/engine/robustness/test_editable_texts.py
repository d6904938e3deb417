"""Which tokens an attack may touch."""

from __future__ import annotations

import pytest
import torch

from engine.data.supervised_rows import Labelled
from engine.robustness.classifier import Classifier
from engine.robustness.editable_texts import (
    build_group,
    decode,
    list_editable,
    list_special,
    list_undrawn,
)
from engine.robustness.terms import rarities
from engine.specs import EvaluationSpec
from engine.supervised.token_rows import encode
from tests.engine.robustness.tiny import make_victim
from tests.tiny_models import END, make_tokenizer

SINGLE = ("lists are mutable",)
PAIR = ("lists are mutable", "are lists mutable")


def test_a_text_without_its_frame() -> None:
    """Every token of a text may change but those around it, and they write the text."""
    victim = make_victim("bert")
    (text,) = list_editable(victim, [Labelled(SINGLE, 2.0)])
    row = victim.tokenizer(SINGLE[0])["input_ids"]
    assert text.columns == tuple(range(1, len(row) - 1))
    assert list(text.tokens) == row[1:-1]
    assert decode(victim.tokenizer, text.tokens) == SINGLE[0]
    assert (text.label, text.place) == (2, 0)


def test_the_second_text_is_left_alone() -> None:
    """Of a pair only the first text's tokens may change."""
    victim = make_victim("bert")
    (text,) = list_editable(victim, [Labelled(PAIR, 0.0)])
    assert decode(victim.tokenizer, text.tokens) == PAIR[0]


def test_a_line_end_between_texts_stays() -> None:
    """Where a line's end is all that parts a pair, it is no token of the first text."""
    victim = make_victim("gpt2")
    plain = Classifier(victim.model, make_tokenizer(), EvaluationSpec())
    (text,) = list_editable(plain, [Labelled(PAIR, 0.0)])
    assert decode(plain.tokenizer, text.tokens) == PAIR[0]


def test_special_words_in_a_text_stay() -> None:
    """A special token that a text spells out may not change either."""
    victim = make_victim("bert")
    (text,) = list_editable(victim, [Labelled(("lists[SEP]are",), 0.0)])
    assert decode(victim.tokenizer, text.tokens) == "listsare"
    assert not set(text.tokens) & list_special(victim.tokenizer)


def test_what_is_never_drawn() -> None:
    """Special tokens and rows of the embedding without a name are never drawn."""
    tokenizer = make_tokenizer()
    undrawn = list_undrawn(tokenizer, len(tokenizer) + 2)
    assert undrawn.nonzero().flatten().tolist() == [
        tokenizer.convert_tokens_to_ids(END), len(tokenizer), len(tokenizer) + 1
    ]  # fmt: skip


@pytest.mark.parametrize("texts", [(SINGLE, ("the",)), (PAIR, ("the", "values"))])
def test_a_group_is_what_the_model_is_asked(texts: tuple[tuple[str, ...], ...]) -> None:
    """A group is read as in evaluation; what counts are the tokens that may change, to 1 in all."""
    victim = make_victim("bert")
    examples = [Labelled(each, float(place)) for place, each in enumerate(texts)]
    editable = list_editable(victim, examples)
    group = build_group(victim, editable, rarities([each.tokens for each in editable]))
    batch = encode(list(texts), victim.tokenizer, max_length=64).batch(torch.arange(2), fill=0)
    assert {name: value.tolist() for name, value in group.batch.items()} == {
        name: value.tolist() for name, value in batch.items()
    }
    found = group.batch["input_ids"][group.places.owners, group.places.columns]
    assert found.tolist() == group.tokens.tolist()
    assert found.tolist() == [token for each in editable for token in each.tokens]
    assert group.counted.sum().item() == len(found)
    assert group.weights.sum(1).tolist() == pytest.approx([1, 1])
    assert not group.weights[~group.counted].any()
    assert group.labels.tolist() == [0, 1]


def test_rows_are_cut() -> None:
    """A text longer than the model's rows may change only where it is read."""
    victim = make_victim("bert")
    short = Classifier(victim.model, victim.tokenizer, EvaluationSpec(max_length=8))
    (text,) = list_editable(short, [Labelled(("lists are mutable " * 9,), 0.0)])
    assert text.columns == tuple(range(1, 7))
