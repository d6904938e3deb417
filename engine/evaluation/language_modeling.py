"""Perplexity of held-out text, mean KL divergence from the 16-bit model, and top-1 agreement.

All in float32 over the whole vocabulary, in pieces. The first token of a window predicts nothing
and is predicted by nothing. Start with `evaluate_language_model`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.evaluation.statistics import Mean, exponential, mean_of
from engine.layers.head import SplitModel

PIECE_ROWS = 256


class LanguageScores(NamedTuple):
    """Scores of a model on windows of text.

    Attributes:
        perplexity: exp of the mean negative log-likelihood per token.
        divergence: Mean KL(16-bit ‖ model) per token in nats; None where no teacher was given.
        agreement: Share of positions whose most likely token is the same; None without a teacher.
    """

    perplexity: Mean
    divergence: Mean | None
    agreement: Mean | None


@torch.no_grad()
def evaluate_language_model(
    split: SplitModel,
    windows: Tensor,
    *,
    batch_size: int,
    teacher: Tensor | None,
    teacher_logits: Callable[[Tensor], Tensor],
    progress: Callable[[int, int], None],
) -> LanguageScores:
    """Measure a model on N windows.

    Args:
        split: The model as it stands.
        windows: (N, T) int64 on the CPU.
        batch_size: Windows computed at once.
        teacher: (N, T, D) hidden states of the 16-bit model, or None.
        teacher_logits: Maps (n, D) hidden states of the teacher to its (n, V) logits.
        progress: Told of windows done and in all.
    """
    device = next(split.body.parameters()).device
    rows = []
    for start in range(0, len(windows), batch_size):
        tokens = windows[start : start + batch_size].to(device)
        teacher_part = None
        if teacher is not None:
            teacher_part = teacher[start : start + batch_size].to(device)
        rows.append(_measure(split, tokens, teacher_part, teacher_logits))
        progress(start + len(tokens), len(windows))
    loss, divergence, agreement = (torch.cat(parts) for parts in zip(*rows, strict=True))
    if teacher is None:
        return LanguageScores(exponential(mean_of(loss)), None, None)
    return LanguageScores(exponential(mean_of(loss)), mean_of(divergence), mean_of(agreement))


def _measure(
    split: SplitModel,
    tokens: Tensor,
    teacher: Tensor | None,
    teacher_logits: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, divergence and agreement per predicted token, (B, T − 1) each."""
    return score_hidden(split, split.hidden(tokens), tokens, teacher, teacher_logits=teacher_logits)


@torch.no_grad()
def score_hidden(
    split: SplitModel,
    hidden: Tensor,
    tokens: Tensor,
    teacher: Tensor | None,
    *,
    teacher_logits: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, divergence and agreement per predicted token, (B, T − 1) float32 on the CPU.

    Args:
        split: The model as it stands; only its head is run.
        hidden: (B, T, D) its last hidden states.
        tokens: (B, T) int64, what they were made from.
        teacher: (B, T, D) those of the 16-bit model, or None: then there is no divergence.
        teacher_logits: Maps (n, D) hidden states of the teacher to its (n, V) logits.
    """
    hidden = hidden[:, :-1]
    shape = hidden.shape[:2]
    labels = tokens[:, 1:].reshape(-1)
    hidden = hidden.reshape(-1, hidden.shape[-1])
    known = None if teacher is None else teacher[:, :-1].reshape(-1, teacher.shape[-1])
    pieces = []
    for start in range(0, len(labels), PIECE_ROWS):
        part = slice(start, start + PIECE_ROWS)
        log_q = torch.log_softmax(split.logits(hidden[part]).float(), dim=-1)
        loss = -log_q.gather(1, labels[part].unsqueeze(1)).squeeze(1)
        if known is None:
            pieces.append((loss, torch.zeros_like(loss), torch.ones_like(loss)))
            continue
        log_p = torch.log_softmax(teacher_logits(known[part]).float(), dim=-1)
        same = (log_p.argmax(dim=-1) == log_q.argmax(dim=-1)).float()
        divergence = (log_p.exp() * log_p.sub(log_q)).sum(dim=-1)
        pieces.append((loss, divergence, same))
    loss, divergence, same = (torch.cat(parts).cpu() for parts in zip(*pieces, strict=True))
    return loss.view(shape), divergence.view(shape), same.view(shape)
