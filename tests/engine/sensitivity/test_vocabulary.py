"""One pass through a plain head: the same as both distributions; other heads take the slow way."""

from __future__ import annotations

import pytest
import torch

from engine.layers.head import SplitModel
from engine.sensitivity import vocabulary
from engine.sensitivity.text_losses import TextLosses
from engine.sensitivity.vocabulary import PlainHead, find_plain_head
from tests.engine.sensitivity.scored_tiny import scored
from tests.engine.tiny_layers import integer, lora, quantize
from tests.tiny_models import make_llama

TOKENS, SIZE, DIM = 9, 50, 8


@pytest.mark.parametrize("scale", [1.0, 10.0, 60.0])
@pytest.mark.parametrize("offset", [0.0, 300.0, -300.0])
def test_divergence_and_loss_are_those_of_both_distributions(
    scale: float, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of logits, and in whatever parts the vocabulary is gone through."""
    monkeypatch.setitem(vocabulary.LOGITS_AT_ONCE, "cpu", 7 * vocabulary.LEAST_TOKENS)
    torch.manual_seed(0)
    weight = torch.randn(SIZE, DIM)
    weight[:, 0] = offset / scale
    hidden, teacher = scale * torch.randn(TOKENS, DIM), scale * torch.randn(TOKENS, DIM)
    hidden[:, 0] = teacher[:, 0] = scale
    labels = torch.randint(0, SIZE, (TOKENS,))
    log_q = (hidden.double() @ weight.t().double()).log_softmax(-1)
    log_p = (teacher.double() @ weight.t().double()).log_softmax(-1)
    head = PlainHead(weight)
    loss, divergence = head.score(hidden, labels, head.know(teacher @ weight.t()))
    size = abs(offset) + scale
    expected = (log_p.exp() * (log_p - log_q)).sum(-1)
    assert torch.allclose(divergence, expected, atol=1e-5 * size, rtol=1e-5)
    assert torch.allclose(loss, -log_q[torch.arange(TOKENS), labels], atol=1e-5 * size, rtol=1e-5)


def test_only_a_frozen_matrix_is_plain() -> None:
    """Caps, factors, biases and rounded inputs are more than a matrix."""
    split = SplitModel(make_llama())
    assert find_plain_head(split) is not None
    split.soft_cap = 30.0
    assert find_plain_head(split) is None
    split.soft_cap, split.logit_factor = None, 0.5
    assert find_plain_head(split) is None
    split.logit_factor = 1.0
    split.head.bias = torch.nn.Parameter(torch.ones(split.head_weight.shape[0]))
    assert find_plain_head(split) is None


def test_a_rounded_head_is_taken_as_it_stands() -> None:
    """Its rounded weight is what logits are made of; a switched one is passed over."""
    model, text, _ = scored(embeddings=True, start_bits=3)
    head = find_plain_head(model.split)
    assert head is not None
    assert torch.equal(head.weight, model.start.layers["lm_head"].effective())
    model.start.hold()
    losses = TextLosses(model.split, model.start.layers, text)
    tokens = text.list_tokens(torch.device("cpu"))[0]
    hidden = model.split.hidden(tokens)
    quick, slow = (losses.score(hidden, tokens, 0, head_as_start=same) for same in (True, False))
    for first, second in zip(quick, slow, strict=True):
        assert torch.allclose(first, second, atol=1e-5)


def test_an_adapter_beside_the_head_is_more_than_a_matrix() -> None:
    """A head with a parallel adapter is scored the slow way."""
    model = make_llama()
    adapter = lora().model_copy(update={"placement": "parallel", "target_modules": ("*",)})
    quantize(model, integer(embeddings=True), adapter)
    assert find_plain_head(SplitModel(model)) is None
