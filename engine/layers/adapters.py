"""Low-rank adapter pairs. Start with `LoraPair`."""

from __future__ import annotations

import math

import torch
from torch import nn

from engine.errors import SpecError
from engine.quant.projection import LowRank
from engine.specs import LoraAdapter


class LoraPair(nn.Module):
    """A pair of fixed rank, s·B·A with s = alpha / rank.

    A starts uniform as in Hu et al. 2021 (arXiv:2106.09685), B at zero, so that the layer starts
    as it was. Both are float32 whatever the model's dtype: the moments of Adam need it.

    Attributes:
        a: (R, I) float32.
        b: (O, R) float32.
        scaling: The factor s.
    """

    def __init__(self, shape: torch.Size, spec: LoraAdapter, *, generator: torch.Generator) -> None:
        super().__init__()
        out_features, in_features = shape
        if spec.r > min(out_features, in_features):
            raise SpecError.at(
                "adapter.r",
                f"{spec.r} is more than a layer of {out_features} × {in_features} allows; use at "
                f"most {min(out_features, in_features)}",
            )
        bound = 1 / math.sqrt(in_features)
        start = torch.empty(spec.r, in_features).uniform_(-bound, bound, generator=generator)
        self.a = nn.Parameter(start)
        self.b = nn.Parameter(torch.zeros(out_features, spec.r))
        self.scaling = spec.lora_alpha / spec.r

    def low_rank(self) -> LowRank:
        """Return the pair as plain tensors, without a graph."""
        return LowRank(self.a.detach(), self.b.detach(), self.scaling)
