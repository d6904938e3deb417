"""The objective against one written out text by text, and what the steps leave alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.layers.layer_map import held
from engine.models.loading import LoadedModel
from engine.robustness.classifier import Classifier
from engine.robustness.editable_texts import Group, build_group, list_editable, list_special
from engine.robustness.gradient_search import objective, search
from engine.robustness.reference import Reference, build_reference
from engine.robustness.soft_texts import SoftTexts, draw_soft
from engine.robustness.terms import dissimilarity, margin_loss, rarities, surprise
from engine.specs.attack import GradientAttack
from tests.engine.robustness.tiny import as_read, gbda, make_victim
from tests.engine.tiny_layers import integer, lora, quantize

PAIRS = (("lists are mutable sequences", "the end"), ("a value", "of many other things"))
SAMPLES = 2


def make_group(victim: Classifier) -> Group:
    editable = list_editable(victim, as_read(victim, *PAIRS))
    return build_group(victim, editable, rarities([each.tokens for each in editable]))


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in (1, 2)]


def refer(victim: Classifier, spec: GradientAttack, layers: Any = None) -> Reference:
    loaded = LoadedModel(victim.model, victim.tokenizer, torch.float32, "/nowhere")
    return build_reference(loaded, layers or {}, spec=spec)


def slow_objective(
    victim: Classifier,
    group: Group,
    texts: SoftTexts,
    *,
    spec: GradientAttack,
    reference: Reference,
) -> Tensor:
    """Return the loss of each text, with each sample embedded and read alone, without padding."""
    table = victim.model.get_input_embeddings().weight
    losses = []
    for row in range(len(group.members)):
        length = int(group.batch["attention_mask"][row].sum())
        asked = {name: value[row : row + 1, :length] for name, value in group.batch.items()}
        ids = asked.pop("input_ids")
        mine = group.places.owners == row
        columns = group.places.columns[mine]
        weights, counted = group.weights[row : row + 1, :length], group.counted[row, :length]
        original = victim.model.base_model(input_ids=ids, **asked).last_hidden_state
        total = torch.zeros(())
        for sample in range(texts.probabilities.shape[1]):
            soft = texts.probabilities[mine, sample]
            mixed = table[ids].clone()
            mixed[0, columns] = soft @ table
            logits = victim.model(inputs_embeds=mixed, **asked).logits
            hidden = victim.model.base_model(inputs_embeds=mixed, **asked).last_hidden_state
            total = total + margin_loss(logits, group.labels[row : row + 1], spec.margin)
            unlike = dissimilarity(original, hidden[None], weights, counted[None])
            total = total + spec.similarity_weight * unlike[0]
            if reference.language is not None:
                later = columns > 0
                predicted = reference.language.logits(hidden[0, columns[later] - 1])
                total = total + spec.fluency_weight * surprise(soft[later], predicted).mean()
        losses.append(total / texts.probabilities.shape[1])
    return torch.stack(losses).squeeze(-1)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "gpt2"])
def test_objective(kind: str) -> None:
    """Texts of different lengths, side by side, have the losses they have alone."""
    victim, spec = make_victim(kind), gbda(similarity_weight=0.7, fluency_weight=0.3)
    group, reference = make_group(victim), refer(victim, spec)
    assert (reference.language is not None) == (kind == "gpt2")
    vocabulary = victim.model.get_input_embeddings().weight.shape[0]
    theta = torch.randn(len(group.tokens), vocabulary, requires_grad=True)
    texts = draw_soft(theta, group.places, num_samples=SAMPLES, generators=generators())
    original = reference.hidden(victim.model, group.batch)
    found = objective(victim, group, texts, spec=spec, reference=reference, original=original)
    expected = slow_objective(victim, group, texts, spec=spec, reference=reference)
    torch.testing.assert_close(found, expected)
    gradients = [
        torch.autograd.grad(each.sum(), theta, retain_graph=True)[0] for each in (found, expected)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)
    assert gradients[0].abs().sum(-1).gt(0).all()


def test_a_first_token_alone_has_no_fluency() -> None:
    """A text of which only its first token may change adds 0, and nothing is divided by 0."""
    victim = make_victim("gpt2")
    members = [
        replace(each, columns=each.columns[:1], tokens=each.tokens[:1])
        for each in list_editable(victim, as_read(victim, *PAIRS))
    ]
    members[0] = replace(members[0], columns=(0,))
    group = build_group(victim, members, rarities([each.tokens for each in members]))
    theta = torch.zeros(2, victim.model.get_input_embeddings().weight.shape[0])
    texts = draw_soft(theta, group.places, num_samples=SAMPLES, generators=generators())
    without, weighed = (
        objective(victim, group, texts, spec=spec, reference=refer(victim, spec), original=None)
        for spec in (gbda(similarity_weight=0.0, fluency_weight=weight) for weight in (0.0, 1.0))
    )
    assert weighed[0] == without[0]
    assert weighed[1] > without[1]


def test_steps_are_adam_from_the_text_itself() -> None:
    """Θ starts at the coefficient and 0 elsewhere; each step is Adam's on fresh samples."""
    victim, spec = make_victim("bert"), gbda(num_steps=2, similarity_weight=0.0)
    group, reference = make_group(victim), refer(victim, spec)
    found = search(victim, group, spec=spec, reference=reference, generators=generators())
    theta = spec.initial_coefficient * functional.one_hot(group.tokens, found.shape[1]).float()
    special = sorted(list_special(victim.tokenizer))
    theta[:, special] = -math.inf
    theta.requires_grad_()
    adam, sources = torch.optim.Adam([theta], lr=spec.learning_rate), generators()
    for _ in range(2):
        texts = draw_soft(theta, group.places, num_samples=3, generators=sources)
        adam.zero_grad()
        slow_objective(victim, group, texts, spec=spec, reference=reference).sum().backward()
        adam.step()
    assert found[:, special].eq(-math.inf).all()
    torch.testing.assert_close(found, theta.detach(), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("is_held", [True, False])
def test_weights_get_no_gradient(is_held: bool) -> None:
    """Adapters and ranges have no gradient after the steps, held or not, and stay as they are."""
    victim, spec = make_victim("bert"), gbda(num_steps=2)
    layers = quantize(victim.model, integer(bits=4), lora())
    before = {name: value.clone() for name, value in victim.model.named_parameters()}
    if is_held:
        with held(layers, torch.float32):
            search(
                victim, make_group(victim), spec=spec, reference=refer(victim, spec, layers),
                generators=generators(),
            )  # fmt: skip
    else:
        search(
            victim, make_group(victim), spec=spec, reference=refer(victim, spec, layers),
            generators=generators(),
        )  # fmt: skip
    for name, value in victim.model.named_parameters():
        assert value.grad is None
        assert value.equal(before[name])
