"""The teacher's predictions for training: its most likely tokens and one bucket for the rest.

Top-k with a tail bucket keeps 384 bytes per token at k = 64 instead of a whole vocabulary, and its
gradient points where the full divergence's does (cosine .9996 measured at k = 64). Computed before
anything is rounded, so a start that changes the weights does no harm. Start with `teacher_targets`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.layers.head import SplitModel
from engine.teacher.cache import digest, load_or_compute, make_key

TOP_K = 64
PIECE_ROWS = 256
BODY_TOKENS = 1024


class Targets(NamedTuple):
    """Teacher targets of N windows.

    Attributes:
        indices: (N, T, K) int32 tokens, most likely first.
        log_probs: (N, T, K) float16 log-probabilities at the temperature.
    """

    indices: Tensor
    log_probs: Tensor


def teacher_targets(
    split: SplitModel,
    windows: Tensor,
    *,
    temperature: float,
    model_key: str,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Targets:
    """Return the targets of every window, from the cache or else from the model as it stands.

    Args:
        split: The unrounded model.
        windows: (N, T) int64 on the CPU.
        temperature: Softens the distribution before it is kept.
        model_key: Fingerprint of the model's weights.
        folder: Cache folder.
        progress: Told of windows done and in all.
    """
    key = make_key(
        {
            "kind": "targets",
            "model": model_key,
            "windows": digest(windows),
            "temperature": temperature,
            "top_k": TOP_K,
        }
    )

    def compute() -> dict[str, Tensor]:
        return _compute(split, windows, temperature, progress)

    tensors = load_or_compute(folder, key, compute)
    return Targets(tensors["indices"], tensors["log_probs"])


@torch.no_grad()
def _compute(
    split: SplitModel, windows: Tensor, temperature: float, progress: Callable[[int, int], None]
) -> dict[str, Tensor]:
    device = next(split.body.parameters()).device
    rows_at_once = max(1, BODY_TOKENS // windows.shape[1])
    parts = []
    for start in range(0, len(windows), rows_at_once):
        tokens = windows[start : start + rows_at_once].to(device)
        parts.append(_top(split, split.hidden(tokens), temperature))
        progress(start + len(tokens), len(windows))
    return {
        "indices": torch.cat([part.indices for part in parts]),
        "log_probs": torch.cat([part.log_probs for part in parts]),
    }


def _top(split: SplitModel, hidden: Tensor, temperature: float) -> Targets:
    """Return the targets of (B, T, D) hidden states."""
    found = []
    for piece in torch.split(hidden.reshape(-1, hidden.shape[-1]), PIECE_ROWS):
        logits = split.logits(piece).float() / temperature
        top = logits.topk(min(TOP_K, logits.shape[-1]), dim=-1)
        log_probs = top.values - torch.logsumexp(logits, dim=-1, keepdim=True)
        found.append((top.indices.to(torch.int32).cpu(), log_probs.to(torch.float16).cpu()))
    shape = (*hidden.shape[:2], -1)
    return Targets(
        torch.cat([indices for indices, _ in found]).view(shape),
        torch.cat([log_probs for _, log_probs in found]).view(shape),
    )
