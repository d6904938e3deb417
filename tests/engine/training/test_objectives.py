"""Promises of the losses: the fast paths are the slow one, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.layers.head import SplitModel
from engine.specs import QatTraining
from engine.training import objectives
from engine.training.objectives import (
    IGNORED,
    Answers,
    Mix,
    any_head_loss,
    build_mix,
    loss_of_hidden,
    plain_head_loss,
    reference_loss,
)
from tests.tiny_models import VOCAB_SIZE, make_llama
from tests.tolerances import assert_near

POSITIONS, SIZE, TOP_K = 50, 64, 8
MIXES = {
    "distillation": Mix(1.0, 0.0, 1.0),
    "task": Mix(0.0, 1.0, 1.0),
    "both": Mix(0.7, 0.3, 1.0),
    "both, soft": Mix(0.4, 0.6, 2.5),
    "distillation, sharp": Mix(1.0, 0.0, 0.5),
}
every_mix = pytest.mark.parametrize("name", MIXES)


@pytest.fixture(autouse=True, params=[7, 49, 128], ids=["many pieces", "a piece of one", "one"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go through the vocabulary in pieces of every kind."""
    monkeypatch.setattr(objectives, "PIECE_ROWS", request.param)


@pytest.fixture(scope="module")
def split() -> SplitModel:
    """Return a model whose head makes logits of several units."""
    model = make_llama().requires_grad_(requires_grad=False)
    torch.nn.init.normal_(model.lm_head.weight, std=0.4)
    return SplitModel(model)


def make_hidden() -> Tensor:
    """Return hidden states that want a gradient."""
    return torch.randn(POSITIONS, SIZE, requires_grad=True)


def make_answers(temperature: float, *, ignored: tuple[int, ...] = (3, 17, 49)) -> Answers:
    """Return labels, some of them missing, and the top-k of a random teacher."""
    labels = torch.randint(VOCAB_SIZE, (POSITIONS,))
    labels[list(ignored)] = IGNORED
    logits = torch.randn(POSITIONS, VOCAB_SIZE) * 2 / temperature
    top = torch.log_softmax(logits, dim=-1).topk(TOP_K)
    return Answers(labels, top.indices, top.values)


def value_and_gradient(loss: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Run backward with a factor, as accumulation does, and return loss and gradient."""
    (gradient,) = torch.autograd.grad(loss / 3, hidden)
    return loss.detach(), gradient


@every_mix
def test_both_fast_paths_are_the_slow_one(name: str, split: SplitModel) -> None:
    """All three agree in value and in the gradient of the hidden states."""
    mix, hidden = MIXES[name], make_hidden()
    answers = make_answers(mix.temperature)
    slow = value_and_gradient(reference_loss(split.logits(hidden), answers, mix), hidden)
    fast = value_and_gradient(plain_head_loss(hidden, split.head_weight, answers, mix), hidden)
    general = value_and_gradient(any_head_loss(split, hidden, answers, mix), hidden)
    chosen = value_and_gradient(loss_of_hidden(split, hidden, answers, mix), hidden)
    assert slow[0] > 0.1
    for found in (fast, general, chosen):
        assert_near(found[0], slow[0])
        assert_near(found[1], slow[1])


@every_mix
def test_the_general_path_knows_a_capped_head(name: str, split: SplitModel) -> None:
    """With a soft cap the general path is chosen, and its gradient goes through the cap."""
    mix, hidden = MIXES[name], make_hidden()
    answers = make_answers(mix.temperature)
    split.soft_cap = 2.0
    try:
        logits = torch.tanh(functional.linear(hidden, split.head_weight) / 2.0) * 2.0
        slow = value_and_gradient(reference_loss(logits, answers, mix), hidden)
        found = value_and_gradient(loss_of_hidden(split, hidden, answers, mix), hidden)
    finally:
        split.soft_cap = None
    assert_near(found[0], slow[0])
    assert_near(found[1], slow[1])


def test_ignored_positions_teach_nothing(split: SplitModel) -> None:
    """A position without a label gets no gradient from the task loss, and does not dilute it."""
    mix, hidden = MIXES["task"], make_hidden()
    answers = make_answers(1.0, ignored=tuple(range(1, POSITIONS)))
    loss, gradient = value_and_gradient(
        plain_head_loss(hidden, split.head_weight, answers, mix), hidden
    )
    logits = functional.linear(hidden[:1], split.head_weight)
    assert_near(loss, functional.cross_entropy(logits, answers.labels[:1]))
    assert gradient[0].any()
    assert not gradient[1:].any()


def test_a_teacher_is_not_asked_for_the_task(split: SplitModel) -> None:
    """The task loss needs no teacher at all."""
    mix, hidden = MIXES["task"], make_hidden()
    answers = make_answers(1.0)
    alone = Answers(answers.labels, None, None)
    expected = plain_head_loss(hidden, split.head_weight, answers, mix)
    assert torch.equal(plain_head_loss(hidden, split.head_weight, alone, mix), expected)
    assert_near(any_head_loss(split, hidden, alone, mix), expected)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_student_equal_to_its_teacher_has_no_loss(split: SplitModel, temperature: float) -> None:
    """The divergence from oneself is zero, and so is its gradient."""
    hidden = make_hidden()
    with torch.no_grad():
        top = torch.log_softmax(split.logits(hidden) / temperature, dim=-1).topk(TOP_K)
    answers = Answers(torch.zeros(POSITIONS, dtype=torch.long), top.indices, top.values)
    mix = Mix(1.0, 0.0, temperature)
    loss, gradient = value_and_gradient(
        plain_head_loss(hidden, split.head_weight, answers, mix), hidden
    )
    assert abs(loss.item()) < 1e-5
    assert gradient.abs().max() < 1e-6


def test_a_divergence_is_never_negative(split: SplitModel) -> None:
    """With the tail in one bucket the loss is a divergence still, whatever the student says."""
    for scale in (0.1, 1.0, 10.0):
        hidden = make_hidden() * scale
        loss = plain_head_loss(hidden, split.head_weight, make_answers(1.0), MIXES["distillation"])
        assert loss >= 0


def test_a_certain_student_stays_finite(split: SplitModel) -> None:
    """Logits of thousands give a large loss and a gradient, not a non-number."""
    hidden = (torch.randn(POSITIONS, SIZE) * 1000).requires_grad_()
    loss, gradient = value_and_gradient(
        plain_head_loss(hidden, split.head_weight, make_answers(1.0), MIXES["both"]), hidden
    )
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_bfloat16_states_are_computed_in_float32(split: SplitModel) -> None:
    """States and head in bfloat16 give the loss of their values, a gradient in their dtype."""
    mix, hidden = MIXES["both"], make_hidden().detach().bfloat16().requires_grad_()
    head, answers = split.head_weight.bfloat16(), make_answers(1.0)
    loss, gradient = value_and_gradient(plain_head_loss(hidden, head, answers, mix), hidden)
    logits = functional.linear(hidden.float(), head.float())
    slow, expected = value_and_gradient(reference_loss(logits, answers, mix), hidden)
    assert loss.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    assert_near(loss, slow)
    assert_near(gradient, expected, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("distillation", Mix(1.0, 0.0, 2.0)),
        ("task", Mix(0.0, 1.0, 2.0)),
        ("both", Mix(0.75, 0.25, 2.0)),
    ],
)
def test_the_mix_is_what_the_spec_says(objective: str, expected: Mix) -> None:
    """Shares and temperature come from the spec."""
    spec = QatTraining(objective=objective, temperature=2.0, task_weight=0.25)
    assert build_mix(spec) == expected


@every_mix
def test_a_16_bit_head_is_converted_a_stretch_at_a_time(
    name: str, split: SplitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stretches that do not divide the vocabulary give what the whole head in float32 gives."""
    monkeypatch.setattr(objectives, "HEAD_ROWS", 37)
    mix, hidden = MIXES[name], make_hidden()
    answers = make_answers(mix.temperature)
    head = split.head_weight.detach().to(torch.bfloat16)
    found = value_and_gradient(plain_head_loss(hidden, head, answers, mix), hidden)
    slow = reference_loss(hidden @ head.float().t(), answers, mix)
    expected = value_and_gradient(slow, hidden)
    for mine, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-6)
