"""What a model's weights are known by, without reading all of them. Start with `fingerprint`."""

from __future__ import annotations

import hashlib
import json

import torch
from torch import nn

SAMPLED = 257


def fingerprint(model: nn.Module) -> str:
    """Return a hash of the config, and of names, shapes, dtypes and evenly spread values.

    Two models that differ in a whole layer, a conversion or a fine-tuning differ here; a change of
    a few single weights may not show.
    """
    hasher = hashlib.sha256(_describe_config(model).encode())
    for name, parameter in model.named_parameters():
        flat = parameter.detach().reshape(-1)
        places = torch.linspace(0, flat.numel() - 1, SAMPLED, dtype=torch.float64).long()
        sample = flat[places.to(flat.device)].float().cpu()
        hasher.update(f"{name}{tuple(parameter.shape)}{parameter.dtype}".encode())
        hasher.update(sample.numpy().tobytes())
    return hasher.hexdigest()


def _describe_config(model: nn.Module) -> str:
    """Return what of a config shapes the outputs; where it was read from does not."""
    config = getattr(model, "config", None)
    values = {} if config is None else config.to_dict()
    for key in ("_name_or_path", "transformers_version"):
        values.pop(key, None)
    return json.dumps(values, sort_keys=True, default=str)
