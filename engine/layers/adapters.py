"""Low-rank adapter pairs, of one rank or of every rank of a rank space. Start with `LoraPair`."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.errors import SpecError
from engine.layers.weight_ranges import add_gradient
from engine.quant.projection import LowRank
from engine.specs import ElasticLoraAdapter, LowRankAdapter


class LoraPair(nn.Module):
    """A pair s·B·A whose first r rows and columns are an adapter of rank r.

    The factor is s = alpha / largest rank, whatever rank is active, as in Shears (Muñoz et al.
    2024, arXiv:2404.10934). A starts uniform as in Hu et al. 2021 (arXiv:2106.09685), B at zero, so
    that the layer starts as it was. Both are float32 whatever the model's dtype: the moments of
    Adam need it.

    What only larger ranks use is a part of its own: a step in which it was not active leaves it
    without a gradient, so that neither decay nor momentum moves it. The published code slices one
    parameter, whose inactive rows an optimizer still moves.

    Attributes:
        a: (R, I) float32, R the largest rank.
        b: (O, R) float32.
        scaling: The factor s.
        rank_space: Ranks it can work at, the largest first.
        is_absorbed: Whether it is added to the weight before rounding, else to the output.
        trained_rank: Largest rank that was active since gradients were last cleared.
    """

    def __init__(
        self, shape: torch.Size, spec: LowRankAdapter, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        out_features, in_features = shape
        is_fixed = not isinstance(spec, ElasticLoraAdapter)
        if spec.max_rank > min(out_features, in_features):
            raise SpecError.at(
                "adapter.r" if is_fixed else "adapter.rank_space",
                f"{spec.max_rank} is more than a layer of {out_features} × {in_features} allows; "
                f"use at most {min(out_features, in_features)}",
            )
        bound = 1 / math.sqrt(in_features)
        start = torch.empty(spec.max_rank, in_features)
        self.a = nn.Parameter(start.uniform_(-bound, bound, generator=generator))
        self.b = nn.Parameter(torch.zeros(out_features, spec.max_rank))
        self.scaling = spec.lora_alpha / spec.max_rank
        self.rank_space = spec.rank_space if isinstance(spec, ElasticLoraAdapter) else (spec.r,)
        self.is_absorbed = spec.placement == "absorbed"
        self.trained_rank = 0
        self._parts: dict[str, tuple[nn.Parameter, int]] = {}

    @property
    def max_rank(self) -> int:
        """The rank with all of it active."""
        return self.rank_space[0]

    def low_rank(self, rank: int) -> LowRank:
        """Return the first `rank` rows and columns as plain tensors, without a graph or a copy."""
        return LowRank(self.a.detach()[:rank], self.b.detach()[:, :rank], self.scaling)

    def output(self, inputs: Tensor, rank: int) -> Tensor:
        """Map (..., I) to s·B_r·A_r·x (..., O) in the inputs' dtype, by autograd."""
        a, b = self.a[:rank].to(inputs.dtype), self.b[:, :rank].to(inputs.dtype)
        return functional.linear(functional.linear(inputs, a), b) * self.scaling

    def product(self, rank: int) -> Tensor:
        """Return s·B_r·A_r (O, I), by autograd."""
        return self.scaling * (self.b[:, :rank] @ self.a[:rank])

    def named_parts(self) -> dict[str, nn.Parameter]:
        """Return what an optimizer trains, by name: stretches that share memory with A and B.

        With a single rank these are A and B themselves. Ask after the pair has found its device.
        """
        if len(self.rank_space) == 1:
            return {"a": self.a, "b": self.b}
        if not self._parts:
            for low, high in pairwise((0, *reversed(self.rank_space))):
                self._parts[f"a[{low}:{high}]"] = (nn.Parameter(self.a.data[low:high]), low)
                self._parts[f"b[{low}:{high}]"] = (nn.Parameter(self.b.data[:, low:high]), low)
        return {name: part for name, (part, _) in self._parts.items()}

    def add_gradients(self, gradient: Tensor, rank: int) -> None:
        """Accumulate the gradients that follow from that (O, I) of the weight, at an active rank.

        Rows and columns above it get none.
        """
        pair = self.low_rank(rank)
        grad_a = torch.mm(pair.b.t(), gradient).mul_(pair.scaling)
        grad_b = torch.mm(gradient, pair.a.t()).mul_(pair.scaling)
        if rank == self.max_rank:
            add_gradient(self.a, grad_a)
            add_gradient(self.b, grad_b)
            return
        for whole in (self.a, self.b):
            if whole.grad is None:
                whole.grad = torch.zeros_like(whole)
        if self.a.grad is not None and self.b.grad is not None:
            self.a.grad[:rank].add_(grad_a)
            self.b.grad[:, :rank].add_(grad_b)

    def share_gradients(self) -> None:
        """Hand the gradients of A and B to the parts that were active; none to the others."""
        for name, (part, low) in self._parts.items():
            whole = self.a if name.startswith("a") else self.b
            part.grad = None
            if whole.grad is not None and low < self.trained_rank:
                high = low + part.shape[0 if whole is self.a else 1]
                part.grad = whole.grad[low:high] if whole is self.a else whole.grad[:, low:high]

    def clear_gradients(self) -> None:
        """Forget all gradients, and which ranks they were for."""
        self.trained_rank = 0
        for parameter in (self.a, self.b, *(part for part, _ in self._parts.values())):
            parameter.grad = None
