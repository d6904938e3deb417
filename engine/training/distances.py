"""How far a lower width is from a higher one: of predictions and of hidden states, in float32.

Predictions: T²·KL(h ‖ b) between the softmaxes at temperature T over all classes (Hinton et al.
2015, arXiv:1503.02531). Hidden states: ‖x_b − x_h‖² / ‖x_h‖² of every token, so that neither the
largest tokens nor the last blocks decide alone. Means over rows do not depend on how a batch is
cut. Start with `divergence`, the plain way; `add_divergence` is the same in closed form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

TINY = 1e-20


def divergence(logits: Tensor, followed: Tensor, temperature: float) -> Tensor:
    """Return the mean over rows of T²·KL(followed ‖ logits), by autograd.

    Args:
        logits: (N, C); a class that is out of question has minus infinity in both.
        followed: (N, C), detached.
        temperature: T.
    """
    log_q = torch.log_softmax(logits.float() / temperature, dim=-1)
    log_p = torch.log_softmax(followed.float() / temperature, dim=-1)
    p = log_p.exp()
    terms = (p * (log_p - log_q)).masked_fill(p == 0, 0.0)
    return terms.sum(dim=-1).mean() * temperature**2


def add_divergence(
    logits: Tensor,
    followed: Iterable[Tensor],
    grad_logits: Tensor,
    *,
    temperature: float,
    weight: float,
) -> Tensor:
    """Return the weighted sum of T²·KL over rows and teachers; add its gradient.

    The derivative of T²·KL(p ‖ q) with respect to logit j is T·(q_j − p_j).

    Args:
        logits: (n, V) float32; left as they are.
        followed: The (n, V) float32 logits of each teacher, asked for one at a time; overwritten.
        grad_logits: (n, V) float32; the gradient is added to it.
        temperature: T.
        weight: Factor of each term.
    """
    log_q = torch.log_softmax(logits / temperature, dim=-1)
    q = log_q.exp()
    total = logits.new_zeros(())
    for teacher in followed:
        log_p = torch.log_softmax(teacher.div_(temperature), dim=-1)
        p = torch.exp(log_p, out=teacher)
        grad_logits.add_(q, alpha=weight * temperature).sub_(p, alpha=weight * temperature)
        total += p.mul_(log_p.sub_(log_q)).sum()
    return total * weight * temperature**2


def mean_state_distance(states: Sequence[Tensor], teachers: Iterable[Sequence[Tensor]]) -> Tensor:
    """Return the mean over teachers of the distance from their states."""
    return torch.stack([state_distance(states, followed) for followed in teachers]).mean()


def state_distance(states: Sequence[Tensor], followed: Sequence[Tensor]) -> Tensor:
    """Return the relative squared distance of states, the mean over tokens and blocks.

    Args:
        states: (N, D) of each block, in the model's order.
        followed: The same of a teacher, detached.
    """
    parts = []
    for mine, theirs in zip(states, followed, strict=True):
        target = theirs.float()
        off = (mine.float() - target).square().sum(dim=-1)
        parts.append((off / target.square().sum(dim=-1).clamp(min=TINY)).mean())
    return torch.stack(parts).mean()
