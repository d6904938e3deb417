"""The attack's gradient steps on a group of texts at once. Start with `search`.

Texts do not touch each other: losses are summed, and Adam moves every coefficient by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.robustness.classifier import Classifier
from engine.robustness.editable_texts import Group, list_undrawn
from engine.robustness.reference import Reference
from engine.robustness.soft_texts import SoftTexts, draw_soft, reading_softly
from engine.robustness.terms import dissimilarity, margin_loss, surprise
from engine.specs.attack import GradientAttack


def search(
    victim: Classifier,
    group: Group,
    *,
    spec: GradientAttack,
    reference: Reference,
    generators: Sequence[torch.Generator],
    stepped: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return the coefficients of every token that may change after all steps, Θ (P, V).

    The model's weights get no gradient. Of Guo et al. we differ in two ways: special tokens have
    no coefficients, and what counts as similar or fluent are the tokens that may change.

    Args:
        victim: The model, in evaluation mode.
        group: The texts.
        spec: Steps, learning rate and weights of the terms.
        reference: The judge of similarity and fluency.
        generators: One per text.
        stepped: Called after every step.
    """
    theta = _start(victim, group, spec).requires_grad_()
    optimizer = torch.optim.Adam([theta], lr=spec.learning_rate)
    original = _read_original(victim, group, spec, reference)
    for _ in range(spec.num_steps):
        texts = draw_soft(
            theta, group.places, num_samples=spec.num_gradient_samples, generators=generators
        )
        loss = objective(victim, group, texts, spec=spec, reference=reference, original=original)
        (theta.grad,) = torch.autograd.grad(loss.sum(), [theta])
        optimizer.step()
        stepped()
    return theta.detach()


def objective(
    victim: Classifier,
    group: Group,
    texts: SoftTexts,
    *,
    spec: GradientAttack,
    reference: Reference,
    original: Tensor | None,
) -> Tensor:
    """Return the weighted terms of each text, the mean over its samples, (G,).

    Args:
        victim: The model.
        group: G texts.
        texts: S samples of each.
        spec: Weights of the terms.
        reference: The judge of similarity and fluency.
        original: (G, T, D) 16-bit hidden states of the texts as they were; None without similarity.
    """
    samples = texts.probabilities.shape[1]
    batch = {name: value.repeat_interleave(samples, 0) for name, value in group.batch.items()}
    with reading_softly(victim.model, texts):
        logits = victim.logits(batch)
        hidden = (
            reference.hidden(victim.model, batch) if _needs_reference(spec, reference) else None
        )
    labels = group.labels.repeat_interleave(samples)
    loss = margin_loss(logits, labels, spec.margin).view(-1, samples).mean(dim=1)
    if hidden is None:
        return loss
    if original is not None:
        sampled = hidden.view(-1, samples, *hidden.shape[1:])
        unlike = dissimilarity(original, sampled, group.weights, group.counted)
        loss = loss + spec.similarity_weight * unlike.mean(dim=1)
    if spec.fluency_weight and reference.language is not None:
        loss = loss + spec.fluency_weight * _surprises(group, texts, hidden, reference)
    return loss


def _surprises(group: Group, texts: SoftTexts, hidden: Tensor, reference: Reference) -> Tensor:
    """Return −(1/T) Σ_t Σ_v π_tv · log p(v | π_<t) of each text, the mean over samples, (G,).

    Over the T tokens that may change: a mean, to which the published weight of 1 belongs, so that a
    long text is held to its other terms no less than a short one. The first token of a row has
    nothing before it and is left out; a text with no other has 0.
    """
    places = group.places
    follows = places.columns > 0
    rows = places.rows(texts.probabilities.shape[1])[follows]  # (P', S)
    before = (places.columns[follows] - 1)[:, None].expand_as(rows)
    logits = reference.logits(hidden[rows, before])  # (P', S, V)
    each = surprise(texts.probabilities[follows], logits).mean(dim=1)  # (P')
    owners = places.owners[follows]
    total = torch.zeros(len(group.members), device=each.device).index_add(0, owners, each)
    return total / owners.bincount(minlength=len(group.members)).clamp(min=1)


def _start(victim: Classifier, group: Group, spec: GradientAttack) -> Tensor:
    """Return Θ at the texts themselves: the coefficient at each token, 0 at others."""
    num_words = victim.model.get_input_embeddings().weight.shape[0]
    theta = torch.zeros(len(group.tokens), num_words, device=victim.device)
    theta[:, list_undrawn(victim.tokenizer, num_words).to(victim.device)] = -math.inf
    theta.scatter_(1, group.tokens[:, None], spec.initial_coefficient)
    return theta


def _read_original(
    victim: Classifier, group: Group, spec: GradientAttack, reference: Reference
) -> Tensor | None:
    if not spec.similarity_weight:
        return None
    with torch.no_grad():
        return reference.hidden(victim.model, group.batch)


def _needs_reference(spec: GradientAttack, reference: Reference) -> bool:
    is_fluency_weighed = bool(spec.fluency_weight) and reference.language is not None
    return bool(spec.similarity_weight) or is_fluency_weighed
