"""Soft tokens: how they are drawn, and that a model reads them as the tokens they stand for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.robustness.editable_texts import Group, build_group, list_editable
from engine.robustness.soft_texts import Places, SoftTexts, draw_soft, reading_softly
from engine.robustness.terms import rarities
from tests.engine.robustness.tiny import as_read, make_victim
from tests.engine.tiny_layers import integer, quantize
from tests.tiny_heads import DECODERS, ENCODERS, VOCAB_SIZE

PAIRS = (("lists are mutable sequences", "the end"), ("a value", "of many other things"))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def places(*owners: int) -> Places:
    return Places(torch.tensor(owners), torch.arange(len(owners)))


def hard(tokens: Tensor) -> Tensor:
    """Return (P, S) tokens as probabilities."""
    return functional.one_hot(tokens, VOCAB_SIZE).float()


def make_group(victim: object, *texts: tuple[str, ...]) -> Group:
    editable = list_editable(victim, as_read(victim, *texts))
    return build_group(victim, editable, rarities([each.tokens for each in editable]))


@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS])
def test_certain_tokens_are_read_as_themselves(kind: str) -> None:
    """Samples that are sure of other words are read as a batch of those words, padding and all."""
    victim = make_victim(kind)
    group = make_group(victim, *PAIRS)
    draws = torch.randint(4, VOCAB_SIZE, (len(group.tokens), 3))
    texts = SoftTexts(hard(draws), group.places)
    batch = {name: value.repeat_interleave(3, 0) for name, value in group.batch.items()}
    with reading_softly(victim.model, texts):
        found = victim.logits(batch)
    written = batch["input_ids"].clone()
    rows = group.places.rows(3)
    written[rows, group.places.columns[:, None].expand_as(rows)] = draws
    torch.testing.assert_close(found, victim.logits({**batch, "input_ids": written}))
    assert not found.allclose(victim.logits(batch))


def test_a_rounded_embedding_is_read_as_rounded() -> None:
    """Soft tokens mix the rows of the embedding as it is at the moment, rounded ones included."""
    victim = make_victim("bert")
    layers = quantize(victim.model, integer(bits=2, embeddings=True))
    group = make_group(victim, ("lists are mutable",))
    texts = SoftTexts(hard(group.tokens[:, None]), group.places)
    for bits in (2, 16):
        for layer in layers.values():
            layer.set_bits(bits)
        with reading_softly(victim.model, texts):
            found = victim.logits(group.batch)
        torch.testing.assert_close(found, victim.logits(group.batch))


def test_samples_are_those_of_the_softmax() -> None:
    """The likeliest tokens of many Gumbel-softmax samples are as frequent as softmax(Θ) says."""
    theta = torch.tensor([[0.0, 1.0, 2.0, -math.inf]])
    drawn = draw_soft(theta, places(0), num_samples=20_000, generators=generators(0))
    assert drawn.probabilities.sum(-1).allclose(torch.ones(1, 20_000))
    counts = torch.bincount(drawn.probabilities[0].argmax(-1), minlength=4) / 20_000
    assert counts.tolist() == pytest.approx(theta[0].softmax(-1).tolist(), abs=0.01)


def test_samples_are_the_formula() -> None:
    """A sample is softmax(Θ − log(−log u)) for uniform u of its text's generator."""
    theta = torch.randn(2, 5)
    drawn = draw_soft(theta, places(0, 0), num_samples=3, generators=generators(4))
    uniform = torch.rand(2, 3, 5, generator=generators(4)[0])
    scores = theta[:, None].exp() / -uniform.log()
    torch.testing.assert_close(drawn.probabilities, scores / scores.sum(-1, keepdim=True))


def test_neighbors_do_not_change_a_text() -> None:
    """A text's samples are the same whoever it is drawn with."""
    theta = torch.randn(5, 4)
    both = draw_soft(theta, places(0, 0, 1, 1, 1), num_samples=2, generators=generators(1, 2))
    alone = draw_soft(theta[2:], places(0, 0, 0), num_samples=2, generators=generators(2))
    torch.testing.assert_close(both.probabilities[2:], alone.probabilities)


def test_reading_ends() -> None:
    """After the block, and after an error in it, the model reads tokens as before."""
    victim = make_victim("bert")
    group = make_group(victim, ("lists are mutable",))
    before = victim.logits(group.batch)
    texts = SoftTexts(hard(torch.full((len(group.tokens), 1), 7)), group.places)

    def fail() -> None:
        with reading_softly(victim.model, texts):
            assert not victim.logits(group.batch).allclose(before)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    torch.testing.assert_close(victim.logits(group.batch), before)
