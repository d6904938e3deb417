"""Promises of kept teacher predictions: the whole divergence at k = V, and shared by key."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from engine.layers.head import SplitModel
from engine.teacher import targets as room
from engine.teacher.hidden_states import teacher_hidden
from engine.teacher.targets import Targets, teacher_targets
from engine.training.objectives import Answers, Mix, reference_loss
from tests.engine.tiny_layers import some_tokens
from tests.tiny_models import VOCAB_SIZE, make_llama

WINDOWS = some_tokens(5, 24)


class Ticks:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.seen.append((done, total))


def make_teacher() -> SplitModel:
    """Build a teacher with opinions: logits of several units."""
    model = make_llama()
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return SplitModel(model)


def ask(folder: Path, *, temperature: float = 1.0, windows: torch.Tensor = WINDOWS) -> Targets:
    """Return the teacher's targets."""
    return teacher_targets(
        make_teacher(),
        windows,
        temperature=temperature,
        model_key="model",
        folder=folder,
        progress=Ticks(),
    )


def teacher_logits() -> torch.Tensor:
    """Return the teacher's logits on the windows, (N·T, V)."""
    split = make_teacher()
    with torch.no_grad():
        return split.logits(split.hidden(WINDOWS)).flatten(0, 1)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_with_the_whole_vocabulary_kept_the_loss_is_the_full_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    """At k = V value and gradient are those of KL over all tokens, within float16 targets."""
    monkeypatch.setattr(room, "TOP_K", VOCAB_SIZE)
    found = ask(tmp_path, temperature=temperature)
    logits = torch.randn(WINDOWS.numel(), VOCAB_SIZE, requires_grad=True)
    answers = Answers(
        WINDOWS.flatten(), found.indices.flatten(0, 1).long(), found.log_probs.flatten(0, 1).float()
    )
    loss = reference_loss(logits, answers, Mix(1.0, 0.0, temperature))
    (gradient,) = torch.autograd.grad(loss, logits)
    full = temperature**2 * functional.kl_div(
        torch.log_softmax(logits / temperature, dim=-1),
        torch.log_softmax(teacher_logits() / temperature, dim=-1),
        log_target=True,
        reduction="batchmean",
    )
    (expected,) = torch.autograd.grad(full, logits)
    assert loss.item() == pytest.approx(full.item(), rel=0.02)
    cosine = functional.cosine_similarity(gradient.flatten(), expected.flatten(), dim=0)
    assert cosine > 0.99999


def test_targets_are_the_most_likely_tokens_in_order(tmp_path: Path) -> None:
    """Indices and log-probabilities are those of the 64 largest logits, most likely first."""
    found = ask(tmp_path)
    expected = torch.log_softmax(teacher_logits(), dim=-1).topk(64)
    assert found.indices.shape == (5, 24, 64)
    assert found.indices.dtype == torch.int32
    assert found.log_probs.dtype == torch.float16
    assert torch.equal(found.indices.flatten(0, 1).long(), expected.indices)
    torch.testing.assert_close(
        found.log_probs.flatten(0, 1).float(), expected.values, rtol=1e-3, atol=1e-3
    )


def test_top_k_with_a_tail_points_where_the_full_divergence_does(tmp_path: Path) -> None:
    """The gradient at k = 64 of 320 tokens is nearly parallel to the full one."""
    found = ask(tmp_path)
    logits = (teacher_logits() + torch.randn(WINDOWS.numel(), VOCAB_SIZE)).requires_grad_()
    answers = Answers(
        WINDOWS.flatten(), found.indices.flatten(0, 1).long(), found.log_probs.flatten(0, 1).float()
    )
    reference_loss(logits, answers, Mix(1.0, 0.0, 1.0)).backward()
    full = logits.detach().softmax(dim=-1) - teacher_logits().softmax(dim=-1)
    assert functional.cosine_similarity(logits.grad.flatten(), full.flatten(), dim=0) > 0.99


def test_targets_are_computed_once_per_question(tmp_path: Path) -> None:
    """The same question is read from the cache; another temperature or text is computed."""
    ticks = Ticks()
    for _ in range(2):
        teacher_targets(
            make_teacher(), WINDOWS, temperature=1.0, model_key="m", folder=tmp_path, progress=ticks
        )
    assert ticks.seen == [(5, 5)]
    ask(tmp_path, temperature=2.0)
    ask(tmp_path, windows=WINDOWS.view(10, 12))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("piece", [7, 24, 1000])
def test_pieces_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """However the work is cut, the targets are the same."""
    whole = ask(tmp_path / "whole")
    monkeypatch.setattr(room, "PIECE_ROWS", piece)
    cut = ask(tmp_path / "cut")
    assert torch.equal(whole.indices, cut.indices)
    torch.testing.assert_close(whole.log_probs, cut.log_probs, rtol=2e-3, atol=2e-3)


def test_hidden_states_give_the_exact_logits(tmp_path: Path) -> None:
    """Kept hidden states times the head are the teacher's logits; the second asker reads them."""
    split, ticks = make_teacher(), Ticks()
    for _ in range(2):
        hidden = teacher_hidden(
            split, WINDOWS, batch_size=2, model_key="m", folder=tmp_path, progress=ticks
        )
    assert ticks.seen == [(2, 5), (4, 5), (5, 5)]
    assert hidden.shape == (5, 24, 64)
    with torch.no_grad():
        torch.testing.assert_close(split.logits(hidden).flatten(0, 1), teacher_logits())


def test_windows_of_another_length_are_another_question(tmp_path: Path) -> None:
    """The same tokens cut differently get hidden states of their own shape."""
    split = make_teacher()
    for windows in (WINDOWS, WINDOWS.view(10, 12)):
        hidden = teacher_hidden(
            split, windows, batch_size=5, model_key="m", folder=tmp_path, progress=Ticks()
        )
        assert hidden.shape[:2] == windows.shape
