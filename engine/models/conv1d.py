"""GPT-2's Conv1D, replaced by an equal `nn.Linear`, so that one kind of layer is left to quantize.

`restore_conv1d` is the way back. Start with `replace_conv1d`.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from transformers import PreTrainedModel
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


def restore_conv1d(model: PreTrainedModel) -> tuple[str, ...]:
    """Give every linear layer that stands where the model's own code has a Conv1D its kind back.

    In place; weights are transposed copies, (I, O) again.

    Returns:
        Names of those layers.
    """
    with torch.device("meta"):
        blank = type(model)(copy.deepcopy(model.config))
    names = [name for name, module in blank.named_modules() if isinstance(module, Conv1D)]
    for name in names:
        model.set_submodule(name, _conv(model.get_submodule(name)))
    return tuple(names)


def _conv(linear: nn.Module) -> Conv1D:
    if not isinstance(linear, nn.Linear):
        raise TypeError("only a linear layer can be a Conv1D again")
    with torch.device("meta"):
        conv = Conv1D(linear.out_features, linear.in_features)
    weight = linear.weight.detach().t().contiguous()  # (I, O)
    conv.weight = nn.Parameter(weight, requires_grad=linear.weight.requires_grad)
    conv.bias = linear.bias
    return conv


def _linear(conv: Conv1D) -> nn.Linear:
    in_features, out_features = conv.weight.shape
    linear = nn.Linear(in_features, out_features, device="meta")
    weight = conv.weight.detach().t().contiguous()  # (O, I)
    linear.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    linear.bias = conv.bias
    return linear
