"""Transformers' own layers in place of ours, so that it can save the model.

Rounded weights are kept as numbers in the model's dtype; parallel adapters are left out. Start with
`make_plain`.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from engine.layers.quantized_embedding import QuantizedEmbedding
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.rounded_weight import RoundedWeight
from engine.models.conv1d import restore_conv1d


def make_plain(model: PreTrainedModel) -> tuple[str, ...]:
    """Replace every layer of ours by a plain one that holds its weight; in place.

    The weight is the layer's frozen one, with an active absorbed adapter added. Tied layers share
    theirs again, and what was a Conv1D is one again.

    Args:
        model: With layers installed whose frozen weights are what they are to hold.

    Returns:
        Names of the layers that are Conv1D.
    """
    weights: dict[int, nn.Parameter] = {}
    for name, module in list(model.named_modules()):
        if isinstance(module, QuantizedLinear | QuantizedEmbedding):
            key = id(module.rounded)
            if key not in weights:
                weights[key] = _weight(module.rounded)
            model.set_submodule(name, _plain(module, weights[key]))
    return restore_conv1d(model)


@torch.no_grad()
def _weight(rounded: RoundedWeight) -> nn.Parameter:
    """Return what is multiplied with, (O, I) in the model's dtype."""
    whole = rounded.weight if rounded.absorbed is None else rounded.unrounded()
    return nn.Parameter(whole.detach().to(rounded.weight.dtype), requires_grad=False)


def _plain(module: QuantizedLinear | QuantizedEmbedding, weight: nn.Parameter) -> nn.Module:
    if isinstance(module, QuantizedEmbedding):
        rows, columns = weight.shape
        table = nn.Embedding(rows, columns, padding_idx=module.padding_idx, device="meta")
        table.weight = weight
        return table
    linear = nn.Linear(module.in_features, module.out_features, device="meta")
    linear.weight = weight
    linear.register_parameter("bias", module.bias)
    return linear
