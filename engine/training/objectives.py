"""Task loss and distillation, through the vocabulary in pieces and always in float32.

The teacher is known by its k most likely tokens and one bucket for all others, so the divergence
is Σ_k p·(log p − log q) + p_rest·(log p_rest − log q_rest). Logits of a whole batch never exist at
once: `plain_head_loss` computes loss and gradient of a piece together while the piece is there
(the head is frozen, so the gradient of the hidden states is all that is needed), `any_head_loss`
goes through autograd with recomputation for heads that train, cap or scale. Both agree with
`reference_loss`.

Source: closed-form gradients follow from the softmax; the tail bucket removes the bias of
renormalized top-k (cf. sparse logit sampling, arXiv:2503.16870). Start with `reference_loss`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from engine.layers.head import SplitModel
from engine.layers.held_weight import multiplied_dtype
from engine.specs import QatTraining
from engine.training.distances import add_divergence, divergence

PIECE_ROWS = 128
HEAD_ROWS = 8192
IGNORED = -100
TINY = 1e-20


class Mix(NamedTuple):
    """How much of each loss; the weights are shares, distillation is scaled by temperature²."""

    distillation: float
    task: float
    temperature: float

    def scaled(self, share: float) -> Mix:
        """Return the same mix as a share of a larger loss."""
        return Mix(self.distillation * share, self.task * share, self.temperature)


class Answers(NamedTuple):
    """What the N positions should predict.

    Attributes:
        labels: (N,) int64 next tokens, −100 where there is none.
        indices: (N, K) int64 tokens the teacher finds most likely; None without a teacher.
        log_probs: (N, K) float32 the teacher's log-probabilities of them at the temperature.
    """

    labels: Tensor
    indices: Tensor | None
    log_probs: Tensor | None

    def rows(self, rows: slice) -> Answers:
        """Return the answers of some positions."""
        if self.indices is None or self.log_probs is None:
            return Answers(self.labels[rows], None, None)
        return Answers(self.labels[rows], self.indices[rows], self.log_probs[rows])


class Followed(NamedTuple):
    """Predictions of higher widths that N positions are drawn towards.

    Attributes:
        teachers: Of each higher width (N, D) hidden states under the same head, or (N, V) logits
            where the head itself is rounded; detached.
        weight: Share of their mean divergence in the loss.
        temperature: Softens both sides before they are compared.
        are_logits: Whether `teachers` are logits.
    """

    teachers: tuple[Tensor, ...] = ()
    weight: float = 0.0
    temperature: float = 1.0
    are_logits: bool = False

    def rows(self, rows: slice, *, share: float = 1.0) -> Followed:
        """Return those of some positions, weighed by a share."""
        parts = tuple(teacher[rows] for teacher in self.teachers)
        return self._replace(teachers=parts, weight=self.weight * share)


NOBODY = Followed()


def build_mix(spec: QatTraining) -> Mix:
    """Return the shares the spec asks for."""
    task = {"distillation": 0.0, "task": 1.0, "both": spec.task_weight}[spec.objective]
    return Mix(1.0 - task, task, spec.temperature)


def reference_loss(logits: Tensor, answers: Answers, mix: Mix) -> Tensor:
    """Mean loss of (N, V) logits, by autograd; slow and plain."""
    logits = logits.float()
    total = logits.new_zeros(())
    if mix.task:
        total = total + mix.task * functional.cross_entropy(
            logits, answers.labels, ignore_index=IGNORED
        )
    if answers.indices is not None and answers.log_probs is not None and mix.distillation:
        log_q = torch.log_softmax(logits / mix.temperature, dim=-1)
        log_q_top = log_q.gather(1, answers.indices)
        rest = log_q.exp().scatter(1, answers.indices, 0.0).sum(dim=1).clamp(min=TINY)
        p_top = answers.log_probs.exp()
        p_rest = (1 - p_top.sum(dim=1)).clamp(min=0)
        divergence = (p_top * (answers.log_probs - log_q_top)).sum(dim=1)
        divergence = divergence + torch.xlogy(p_rest, p_rest) - p_rest * rest.log()
        total = total + mix.distillation * mix.temperature**2 * divergence.mean()
    return total


def loss_of_hidden(
    split: SplitModel, hidden: Tensor, answers: Answers, mix: Mix, *, followed: Followed = NOBODY
) -> Tensor:
    """Mean loss of (N, D) hidden states, differentiable; picks the path that fits the head."""
    if split.head_is_plain:
        return plain_head_loss(hidden, split.head_weight, answers, mix, followed=followed)
    return any_head_loss(split, hidden, answers, mix, followed=followed)


def any_head_loss(
    split: SplitModel, hidden: Tensor, answers: Answers, mix: Mix, *, followed: Followed = NOBODY
) -> Tensor:
    """Mean loss through any head, in pieces that are computed again in the backward pass."""
    total = hidden.new_zeros((), dtype=torch.float32)
    num_labels = int((answers.labels != IGNORED).sum())
    for rows in _iter_pieces(hidden.shape[0]):
        piece = answers.rows(rows)
        # reference_loss takes means; weigh each piece by its share of positions and of labels
        share = (rows.stop - rows.start) / hidden.shape[0]
        labeled = int((piece.labels != IGNORED).sum()) / max(num_labels, 1)
        shares = Mix(mix.distillation * share, mix.task * labeled, mix.temperature)
        total = total + checkpoint(
            _piece_loss,
            split,
            hidden[rows],
            (piece, shares, followed.rows(rows, share=share)),
            use_reentrant=False,
        )
    return total


def _piece_loss(split: SplitModel, hidden: Tensor, asked: tuple[Answers, Mix, Followed]) -> Tensor:
    answers, mix, followed = asked
    logits = split.logits(hidden)
    loss = reference_loss(logits, answers, mix)
    for teacher in followed.teachers:
        with torch.no_grad():
            target = teacher if followed.are_logits else split.logits(teacher)
        weight = followed.weight / len(followed.teachers)
        loss = loss + weight * divergence(logits, target, followed.temperature)
    return loss


def plain_head_loss(
    hidden: Tensor, head: Tensor, answers: Answers, mix: Mix, *, followed: Followed = NOBODY
) -> Tensor:
    """Mean loss of (N, D) hidden states under a frozen (V, D) head; fast, exact gradient."""
    return _plain_head_loss(hidden, head, (answers, mix, followed))


class _PlainHeadLoss(torch.autograd.Function):
    """Computes the gradient of the hidden states in the forward pass, piece by piece."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, asked: tuple[Answers, Mix, Followed]
    ) -> Tensor:
        answers, mix, followed = asked
        gradient = torch.empty_like(hidden)
        total = hidden.new_zeros((), dtype=torch.float32)
        num_labels = max(int((answers.labels != IGNORED).sum()), 1)
        for rows in _iter_pieces(hidden.shape[0]):
            piece = answers.rows(rows)
            logits = _multiply(hidden[rows], head)
            grad_logits = torch.zeros_like(logits)
            if mix.task:
                total += _add_task(logits, piece.labels, mix.task / num_labels, grad_logits)
            if followed.teachers:
                wanted = followed.rows(rows, share=1 / hidden.shape[0])
                total += _add_followed(logits, head, wanted, grad_logits)
            if piece.indices is not None and mix.distillation:
                weight = mix.distillation / hidden.shape[0]
                total += _add_divergence(
                    logits, piece, grad_logits, temperature=mix.temperature, weight=weight
                )
            gradient[rows] = _multiply_back(grad_logits, head).to(hidden.dtype)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_loss.to(gradient.dtype), None, None


def _multiply(hidden: Tensor, head: Tensor) -> Tensor:
    """Return float32 logits (n, V) of (n, D) hidden states under a (V, D) head."""
    dtype = multiplied_dtype(head.device, head.dtype)
    if dtype == head.dtype:
        return (hidden.to(dtype) @ head.t()).float()
    # a head of another dtype is converted a stretch at a time: a whole copy is the largest tensor
    parts = torch.split(head, HEAD_ROWS)
    return torch.cat([hidden.to(dtype) @ part.to(dtype).t() for part in parts], dim=1).float()


def _multiply_back(grad_logits: Tensor, head: Tensor) -> Tensor:
    """Return the (n, D) gradient of hidden states from that of their logits (n, V)."""
    dtype = multiplied_dtype(head.device, head.dtype)
    if dtype == head.dtype:
        return grad_logits.to(dtype) @ head
    gradient = grad_logits.new_zeros(len(grad_logits), head.shape[1], dtype=dtype)
    stretches = zip(
        torch.split(grad_logits, HEAD_ROWS, 1), torch.split(head, HEAD_ROWS), strict=True
    )
    for part, rows in stretches:
        gradient.addmm_(part.to(dtype), rows.to(dtype))
    return gradient


_plain_head_loss = cast(
    "Callable[[Tensor, Tensor, tuple[Answers, Mix, Followed]], Tensor]", _PlainHeadLoss.apply
)


def _add_task(logits: Tensor, labels: Tensor, weight: float, grad_logits: Tensor) -> Tensor:
    """Return the weighted sum of cross-entropies; add its gradient to `grad_logits`."""
    kept = labels != IGNORED
    index = labels.clamp(min=0).unsqueeze(1)
    log_q = torch.log_softmax(logits, dim=-1)
    loss = -(log_q.gather(1, index).squeeze(1) * kept).sum() * weight
    gradient = log_q.exp_().scatter_add_(1, index, torch.full_like(log_q[:, :1], -1.0))
    grad_logits.add_(gradient.mul_((kept * weight).unsqueeze(1)))
    return loss


def _add_followed(logits: Tensor, head: Tensor, followed: Followed, grad_logits: Tensor) -> Tensor:
    """Return the weighted sum of divergences from teachers; add its gradient to `grad_logits`."""
    return add_divergence(
        logits,
        (_multiply(teacher, head) for teacher in followed.teachers),
        grad_logits,
        temperature=followed.temperature,
        weight=followed.weight / len(followed.teachers),
    )


def _add_divergence(
    logits: Tensor, answers: Answers, grad_logits: Tensor, *, temperature: float, weight: float
) -> Tensor:
    """Return the weighted sum of T²·KL; add its gradient to `grad_logits`; overwrites `logits`.

    With q the student's softmax at temperature T, the derivative of KL with respect to logit j is
    (q_j − p_j) / T for the K known tokens and q_j · (1 − p_rest / q_rest) / T for the others.
    """
    indices, log_p = answers.indices, answers.log_probs
    if indices is None or log_p is None:
        return logits.new_zeros(())
    logits = logits.div_(temperature) if temperature != 1 else logits
    log_sum = torch.logsumexp(logits, dim=-1, keepdim=True)
    log_q_top = logits.gather(1, indices) - log_sum
    q = logits.sub_(log_sum).exp_()
    p_top, q_top = log_p.exp(), log_q_top.exp()
    q.scatter_(1, indices, 0.0)
    q_rest = q.sum(dim=1).clamp_(min=TINY)
    p_rest = (1 - p_top.sum(dim=1)).clamp_(min=0)
    loss = (p_top * (log_p - log_q_top)).sum() + torch.xlogy(p_rest, p_rest / q_rest).sum()
    q.mul_((1 - p_rest / q_rest).unsqueeze(1)).scatter_(1, indices, q_top - p_top)
    grad_logits.add_(q, alpha=weight * temperature)
    return loss * weight * temperature**2


def _iter_pieces(num_rows: int) -> list[slice]:
    return [
        slice(start, min(start + PIECE_ROWS, num_rows)) for start in range(0, num_rows, PIECE_ROWS)
    ]
