"""GPT-2's Conv1D, replaced by an equal `nn.Linear`, so that one kind of layer is left to quantize.

Start with `replace_conv1d`.
"""

from __future__ import annotations

from torch import nn
from transformers.pytorch_utils import Conv1D


def replace_conv1d(model: nn.Module) -> int:
    """Replace every Conv1D by the `nn.Linear` that computes the same; in place.

    A Conv1D keeps its weight as (I, O); the linear layer gets the transposed copy (O, I) and the
    same bias.

    Returns:
        How many layers were replaced.
    """
    found = [name for name, module in model.named_modules() if isinstance(module, Conv1D)]
    for name in found:
        parent = model.get_submodule(name.rpartition(".")[0])
        child = name.rpartition(".")[2]
        setattr(parent, child, _linear(getattr(parent, child)))
    return len(found)


def _linear(conv: Conv1D) -> nn.Linear:
    in_features, out_features = conv.weight.shape
    linear = nn.Linear(in_features, out_features, device="meta")
    weight = conv.weight.detach().t().contiguous()  # (O, I)
    linear.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    linear.bias = conv.bias
    return linear
