"""Attacks on a model whose widths are drawn for every forward pass."""

from __future__ import annotations

import torch

from engine.evaluation.random_precision import random_precision
from engine.layers.swap import LayerPlan, Layers, install
from engine.robustness.attack import AttackScores, attack_classifier
from engine.robustness.classifier import Classifier
from engine.robustness.reference import Reference
from engine.specs import IntegerQuantizer, LayerInputs, LoraAdapter, RandomMap
from tests.engine.robustness.tiny import as_read, gbda, make_victim
from tests.engine.tiny_layers import SEED, disturb, some_tokens

WIDTHS = (8, 4, 2)
QUANTIZER = IntegerQuantizer(bits=4, group_size=16, inputs=LayerInputs())
DRAWN = RandomMap(map="random", widths=WIDTHS)
SENTENCES = (("lists are mutable sequences",), ("a value of many",))


def make_drawn() -> tuple[Classifier, Layers]:
    """Return a classifier whose layers know three widths, inputs and all."""
    victim = make_victim("bert", initializer_range=0.5)
    layers = install(victim.model, LayerPlan(QUANTIZER, LoraAdapter(r=4), SEED, widths=WIDTHS))
    disturb(layers)
    return victim, layers


def attack() -> tuple[AttackScores, list[int]]:
    """Attack a drawn model; return also the width of each pass."""
    victim, layers = make_drawn()
    texts, widths = as_read(victim, *SENTENCES), list[int]()
    with random_precision(victim.model, layers, DRAWN, QUANTIZER, seed=3, dtype=torch.float32):
        watch(victim, layers, widths)
        found = attack_classifier(
            victim, texts, spec=gbda(num_steps=12, num_tries=30, initial_coefficient=3.0),
            reference=Reference(layers), seed=1, progress=lambda *_: None,
        )  # fmt: skip
    return found, widths


def watch(victim: Classifier, layers: Layers, widths: list[int]) -> None:
    """Write down the width of each pass."""
    first = next(iter(layers.values()))
    victim.model.register_forward_hook(lambda *_: widths.append(first.active_bits))


def test_widths_are_drawn_for_steps_and_tries() -> None:
    """Steps and tries are passes like any other; the judge takes none of the draws."""
    found, widths = attack()
    victim, layers = make_drawn()
    plain = list[int]()
    with random_precision(victim.model, layers, DRAWN, QUANTIZER, seed=3, dtype=torch.float32):
        watch(victim, layers, plain)
        for _ in widths:
            victim.logits({"input_ids": some_tokens(1, 3)})
    assert widths == plain
    assert len(widths) > 1 + 12
    assert {*widths} == {*WIDTHS}
    assert any(each.adversarial for each in found.texts)
    assert (found, widths) == attack()


def test_the_judge_is_never_rounded() -> None:
    """While widths are drawn, the 16-bit hidden states are those of the float model."""
    plain, (victim, layers) = make_victim("bert", initializer_range=0.5), make_drawn()
    batch = {"input_ids": some_tokens(2, 6)}
    expected = Reference({}).hidden(plain.model, batch)
    with random_precision(victim.model, layers, DRAWN, QUANTIZER, seed=3, dtype=torch.float32):
        for _ in range(3):
            drawn = victim.logits(batch)
            assert not drawn.allclose(plain.logits(batch))
            torch.testing.assert_close(Reference(layers).hidden(victim.model, batch), expected)
