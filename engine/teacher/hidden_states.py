"""The teacher's last hidden states on held-out text, from which its exact logits follow.

A hidden state is some fifty times smaller than the logits it gives, and the head is at hand, so
mean divergences need no approximation and no second copy of the model. Start with
`teacher_hidden`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from engine.layers.head import SplitModel
from engine.teacher.cache import digest, load_or_compute, make_key


def teacher_hidden(
    split: SplitModel,
    windows: Tensor,
    *,
    batch_size: int,
    model_key: str,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Tensor:
    """Return the (N, T, D) hidden states of N windows in the model's dtype, on the CPU.

    Args:
        split: The unrounded model.
        windows: (N, T) int64 on the CPU.
        batch_size: Windows computed at once.
        model_key: Fingerprint of the model's weights.
        folder: Cache folder.
        progress: Told of windows done and in all.
    """
    key = make_key({"kind": "hidden", "model": model_key, "windows": digest(windows)})

    @torch.no_grad()
    def compute() -> dict[str, Tensor]:
        device = next(split.body.parameters()).device
        parts = []
        for tokens in torch.split(windows, batch_size):
            parts.append(split.hidden(tokens.to(device)).cpu())
            progress(sum(map(len, parts)), len(windows))
        return {"hidden": torch.cat(parts)}

    return load_or_compute(folder, key, compute)["hidden"]
