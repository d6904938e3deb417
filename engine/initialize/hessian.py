"""How much an error of a layer's weights shows in its output, from the moments of its inputs.

With H = Σ x·xᵀ over calibration tokens, an error E of the weights changes the squared output by
tr(E·H·Eᵀ). H is what GPTQ (Frantar et al. 2022, arXiv:2210.17323) calls the layer's Hessian.
Start with `LayerHessian`.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

DAMPING = 0.01
SMALLEST = 1e-8


class LayerHessian:
    """Second moments of a layer's inputs, scaled to a mean of 1 on the diagonal.

    Attributes:
        importance: (I,) float32 diagonal: how much an error of each column counts on its own.
        dead: (I,) bool, inputs that were always zero.
    """

    def __init__(self, moments: Tensor) -> None:
        """Take (I, I) float32 moments; not modified."""
        diagonal = moments.diagonal()
        self.dead = diagonal == 0
        self._moments = moments / diagonal.mean().clamp(min=SMALLEST)
        self.importance = self._moments.diagonal().clamp(min=SMALLEST)

    @cached_property
    def factor(self) -> Tensor:
        """Lower triangular L (I, I) with L·Lᵀ = H damped: ‖E·L‖² is the squared output error."""
        damped = self._moments.clone()
        damped.diagonal().add_(DAMPING)
        return torch.linalg.cholesky(damped)

    @cached_property
    def inverse_factor(self) -> Tensor:
        """Upper triangular (I, I) Cholesky factor of the inverse of H damped."""
        return torch.linalg.cholesky(torch.cholesky_inverse(self.factor), upper=True)
