"""What a model's weights are known by, without reading all of them. Start with `fingerprint`."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

SAMPLED = 257


def fingerprint(model: nn.Module) -> str:
    """Return a hash of names, shapes, dtypes and evenly spread values of every parameter.

    Two models that differ in a whole layer, a conversion or a fine-tuning differ here; a change of
    a few single weights may not show.
    """
    hasher = hashlib.sha256()
    for name, parameter in model.named_parameters():
        flat = parameter.detach().reshape(-1)
        places = torch.linspace(0, flat.numel() - 1, SAMPLED, dtype=torch.float64).long()
        sample = flat[places.to(flat.device)].float().cpu()
        hasher.update(f"{name}{tuple(parameter.shape)}{parameter.dtype}".encode())
        hasher.update(sample.numpy().tobytes())
    return hasher.hexdigest()
