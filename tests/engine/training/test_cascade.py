"""Promises of following higher widths: distances, their closed form, and what is kept how long."""

from __future__ import annotations

import math
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.layers.head import SplitModel
from engine.layers.layer_map import LayerSetting
from engine.specs import FixedBits, SwitchableBits
from engine.training import objectives
from engine.training.cascade import NO_CASCADE, Cascade, CascadeRule, Outputs, find_rule
from engine.training.configuration import Configuration
from engine.training.distances import divergence, state_distance
from engine.training.objectives import (
    Answers,
    Followed,
    Mix,
    any_head_loss,
    plain_head_loss,
    reference_loss,
)
from tests.tiny_models import VOCAB_SIZE, make_llama
from tests.tolerances import assert_near

POSITIONS, SIZE = 50, 64
MIXES = {"beside both": Mix(0.4, 0.6, 2.5), "alone": Mix(0.0, 0.0, 1.0)}


@pytest.fixture(scope="module")
def split() -> SplitModel:
    """Return a model whose head makes logits of several units."""
    model = make_llama().requires_grad_(requires_grad=False)
    torch.nn.init.normal_(model.lm_head.weight, std=0.4)
    return SplitModel(model)


def make_answers(temperature: float) -> Answers:
    """Return labels and the top-k of a random teacher."""
    logits = torch.randn(POSITIONS, VOCAB_SIZE) * 2 / temperature
    top = torch.log_softmax(logits, dim=-1).topk(8)
    return Answers(torch.randint(VOCAB_SIZE, (POSITIONS,)), top.indices, top.values)


def plain_divergence(logits: Tensor, followed: Tensor, temperature: float) -> Tensor:
    """Return T²·KL by PyTorch's own function."""
    log_q = torch.log_softmax(logits / temperature, dim=-1)
    log_p = torch.log_softmax(followed / temperature, dim=-1)
    kl = functional.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
    return kl * temperature**2


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_divergence_is_that_of_pytorch(temperature: float) -> None:
    """Value and gradient equal `kl_div`'s; from oneself both are zero."""
    logits, followed = torch.randn(2, 9, 21).unbind()
    logits.requires_grad_()
    for target in (followed, logits.detach()):
        found, expected = (
            (loss, *torch.autograd.grad(loss, logits))
            for loss in (
                divergence(logits, target, temperature),
                plain_divergence(logits, target, temperature),
            )
        )
        assert_near(found[0], expected[0])
        assert_near(found[1], expected[1])


def test_classes_out_of_question_count_for_nothing() -> None:
    """Minus infinity on both sides, as where a row is filled up, changes neither loss nor slope."""
    logits, followed = torch.randn(2, 4, 6).unbind()
    wide = torch.cat([logits, torch.full((4, 3), -math.inf)], dim=1).requires_grad_()
    theirs = torch.cat([followed, torch.full((4, 3), -math.inf)], dim=1)
    loss = divergence(wide, theirs, 2.0)
    (gradient,) = torch.autograd.grad(loss, wide)
    assert_near(loss, divergence(logits, followed, 2.0))
    assert torch.isfinite(gradient).all()
    assert not gradient[:, 6:].any()


@pytest.mark.parametrize(("temperature", "pieces"), [(1.0, 7), (2.0, 49), (0.5, 128)])
@pytest.mark.parametrize("name", MIXES)
def test_both_fast_paths_are_the_slow_one(
    split: SplitModel, name: str, temperature: float, pieces: int
) -> None:
    """With two teachers, beside the own losses, value and gradient equal the plain way's."""
    with patch.object(objectives, "PIECE_ROWS", pieces):
        check_fast_paths(split, name, temperature)


def check_fast_paths(split: SplitModel, name: str, temperature: float) -> None:
    """Compare all three paths."""
    mix, answers = MIXES[name], make_answers(MIXES[name].temperature)
    hidden = torch.randn(POSITIONS, SIZE, requires_grad=True)
    teachers = tuple(torch.randn(2, POSITIONS, SIZE).unbind())
    before = [each.clone() for each in teachers]
    followed = Followed(teachers, weight=0.3, temperature=temperature)
    logits = functional.linear(hidden, split.head_weight)
    slow = reference_loss(logits, answers, mix)
    for teacher in teachers:
        theirs = functional.linear(teacher, split.head_weight)
        slow = slow + 0.15 * plain_divergence(logits, theirs, temperature)
    said = followed._replace(
        teachers=tuple(functional.linear(each, split.head_weight) for each in teachers),
        are_logits=True,
    )
    (expected,) = torch.autograd.grad(slow, hidden)
    assert slow > 0.1
    for loss in (
        plain_head_loss(hidden, split.head_weight, answers, mix, followed=followed),
        any_head_loss(split, hidden, answers, mix, followed=followed),
        any_head_loss(split, hidden, answers, mix, followed=said),
    ):
        (found,) = torch.autograd.grad(loss, hidden)
        assert_near(loss, slow)
        assert_near(found, expected)
    assert all(map(torch.equal, teachers, before))


def test_states_are_compared_relative_to_their_size() -> None:
    """Each token's squared distance is divided by its own squared length, then all are averaged."""
    theirs = [torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[10.0, 0.0], [1.0, 0.0]])]
    mine = [theirs[0] + torch.tensor([[0.0, 5.0], [0.5, 0.0]]), theirs[1] * 1.1]
    expected = ((25 / 25 + 0.25) / 2 + (0.01 + 0.01) / 2) / 2
    assert_near(state_distance(mine, theirs), torch.tensor(expected))


def test_the_mean_over_tokens_does_not_depend_on_the_cut() -> None:
    """Halves weighed by their tokens give the whole."""
    mine, theirs = torch.randn(2, 3, 10, 4).unbind()
    parts = [state_distance(mine[:, rows], theirs[:, rows]) for rows in (slice(0, 4), slice(4, 10))]
    assert_near(0.4 * parts[0] + 0.6 * parts[1], state_distance(list(mine), list(theirs)))


@pytest.mark.parametrize(
    ("on", "predictions", "states"),
    [("logits", 0.6, 0.0), ("hidden-states", 0.0, 0.6), ("both", 0.3, 0.3)],
)
def test_the_weight_is_shared_by_what_is_followed(
    on: str, predictions: float, states: float
) -> None:
    """Predictions and hidden states each have the whole weight, or half of it together."""
    rule = find_rule(SwitchableBits(cascade_weight=0.6, cascade_on=on, cascade_temperature=3.0))
    assert (rule.prediction_weight, rule.state_weight) == (predictions, states)
    assert (rule.compares_predictions, rule.compares_states) == (predictions > 0, states > 0)
    assert rule.temperature == 3.0
    assert find_rule(FixedBits()) == NO_CASCADE


def at(width: int) -> dict[str, LayerSetting]:
    """Return the map of a one-layer model."""
    return {"layer": LayerSetting(bits=width)}


def down(*widths: int) -> list[Configuration]:
    """Return configurations that each follow those before them."""
    maps = [at(width) for width in widths]
    return [Configuration(each, None, tuple(maps[:place])) for place, each in enumerate(maps)]


def test_trained_outputs_are_kept_while_somebody_follows_them() -> None:
    """High to low nobody is asked twice, and a width is forgotten after its last follower."""
    configurations = down(8, 6, 4)
    configurations.append(Configuration(at(2), None, (at(6),)))
    cascade = Cascade(CascadeRule(0.5), configurations)
    seen = []
    for place, configuration in enumerate(configurations):
        assert cascade.list_missing(place) == []
        lesson = cascade.lesson(place)
        seen.append([outputs[0].predictions[0].item() for outputs in lesson.teachers])
        width = configuration.settings["layer"].bits
        lesson.keep(Outputs((torch.tensor(float(width or 0), requires_grad=True),)))
        if lesson.kept is not None:
            assert not lesson.kept[0].predictions[0].requires_grad
        cascade.finish(place)
    assert seen == [[], [8.0], [8.0, 6.0], [6.0]]
    assert cascade.lesson(3).kept is None
    assert cascade.list_missing(2) == [at(8), at(6)]


def test_who_is_trained_later_is_asked_before() -> None:
    """Low to high, each higher width is asked once and its answers serve all below it."""
    configurations = list(reversed(down(8, 6, 4)))
    cascade = Cascade(CascadeRule(0.5), configurations)
    assert cascade.list_missing(0) == [at(8), at(6)]
    for settings in (at(8), at(6)):
        cascade.add(settings, [Outputs((torch.zeros(1),))])
    assert len(cascade.lesson(0).teachers) == 2
    cascade.finish(0)
    assert cascade.list_missing(1) == []
    assert cascade.lesson(1).kept is None
    cascade.finish(1)
    assert cascade.lesson(2).teachers == ()


def test_without_weight_nobody_is_asked_or_kept() -> None:
    """A cascade of weight 0 needs no teacher at all."""
    cascade = Cascade(NO_CASCADE, down(8, 6, 4))
    for place in range(3):
        assert cascade.list_missing(place) == []
        lesson = cascade.lesson(place)
        assert (lesson.teachers, lesson.kept, lesson.own_share) == ((), None, 1.0)
