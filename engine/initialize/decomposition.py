"""A weight as something rounded and a low-rank product: round, fit what is left, and again.

What rounding and fitting mean is for others to say: `loftq` rounds to nearest and fits the weights'
own error, `data_aware` compensates and fits the error of the outputs. Start with `decompose`.

Source: LoftQ (Li et al. 2023, arXiv:2310.08659, algorithm 1), for any grid. We differ in four
ways. The pair's own factor s belongs to the product: s·B·A approximates the residual, where
published code leaves s out and is off wherever alpha is not the rank. Iterations end when the error
no longer falls, and the best one is kept, not the last. The decomposition is randomized. The frozen
weight becomes what was rounded, W − s·B·A of the iteration before, so ranges and codes follow from
it as ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.initialize.hessian import LayerHessian
from engine.initialize.low_rank import Factors, find_factors
from engine.layers.adapters import LoraPair
from engine.layers.rounded_weight import RoundedWeight

TINY = 1e-30


class Rounded(NamedTuple):
    """What rounding made of a matrix.

    Attributes:
        start: (O, I) float32 of the weight's dtype: what is to be rounded.
        value: (O, I) float32, rounded.
        ranges: The state of the ranges that round one to the other.
    """

    start: Tensor
    value: Tensor
    ranges: dict[str, Tensor]


class Decomposed(NamedTuple):
    """A weight as something rounded and a low-rank product.

    Attributes:
        rounded: Of the best iteration.
        factors: What approximates the weight less the rounded value.
        errors: Of every iteration made, relative, up to the first that did not help.
    """

    rounded: Rounded
    factors: Factors
    errors: tuple[float, ...]


Rounding = Callable[[Tensor], Rounded]


class Fitting:
    """Finds the low-rank product nearest to a residual, by the weights or by the outputs.

    With a Hessian H = L·Lᵀ the product nearest in ‖(Δ − B·A)·L‖ has a closed form: that of rank R
    nearest to Δ·L, times L⁻¹. Source: CLoQ (Deng et al. 2025, arXiv:2501.18475), with a
    triangular factor in place of a symmetric root.

    Attributes:
        norm: Gives the norm errors are measured in.
    """

    def __init__(
        self,
        rank: int,
        *,
        generator: torch.Generator,
        hessian: LayerHessian | None = None,
    ) -> None:
        self._rank = rank
        self._generator = generator
        self._factor = None if hessian is None else hessian.factor
        self._near: Tensor | None = None

    def norm(self, matrix: Tensor) -> float:
        """Return the norm of an (O, I) error as this fitting counts it."""
        return float(torch.linalg.vector_norm(self._weigh(matrix)))

    def __call__(self, residual: Tensor) -> Factors:
        """Return the factors of an (O, I) float32 residual; starts from those found before."""
        found = find_factors(
            self._weigh(residual), self._rank, generator=self._generator, near=self._near
        )
        self._near = found.right
        if self._factor is None:
            return found
        right = torch.linalg.solve_triangular(self._factor, found.right, upper=False, left=False)
        return _balance(found._replace(right=right))

    def _weigh(self, matrix: Tensor) -> Tensor:
        return matrix if self._factor is None else matrix @ self._factor


def decompose(
    weight: Tensor,
    *,
    rounding: Rounding,
    fitting: Fitting,
    iterations: int,
    first: Factors | None = None,
) -> Decomposed:
    """Round and fit in turn; return the best iteration.

    Args:
        weight: (O, I) of any float dtype; not modified.
        rounding: Gives what rounding makes of an (O, I) float32 matrix.
        fitting: Gives the factors of a residual.
        iterations: The most to make, at least 1.
        first: Taken off the weight before the first rounding; None for nothing.

    Raises:
        ValueError: When there are no iterations.
    """
    wide = weight.float()
    norm = max(fitting.norm(wide), TINY)
    best: Decomposed | None = None
    factors, errors = first, []
    for _ in range(iterations):
        target = wide
        if factors is not None:
            target = torch.addmm(wide, factors.left, factors.right, alpha=-1)
        rounded = rounding(target)
        factors = fitting(wide - rounded.value)
        errors.append(factors.remainder / norm)
        if best is not None and errors[-1] >= min(errors[:-1]):
            break
        best = Decomposed(rounded, factors, ())
    if best is None:
        raise ValueError("iterations must be at least 1")
    return best._replace(errors=tuple(errors))


@torch.no_grad()
def install_start(layer: RoundedWeight, found: Decomposed) -> None:
    """Make a decomposition the layer's frozen weight, ranges and pair, in place."""
    install_rounded(layer, found.rounded)
    if layer.adapter is not None:
        _set_pair(layer.adapter, found.factors)


@torch.no_grad()
def install_rounded(layer: RoundedWeight, rounded: Rounded) -> None:
    """Make what was rounded the layer's frozen weight, and its ranges the layer's, in place."""
    layer.weight.copy_(rounded.start)
    if layer.ranges is not None:
        layer.ranges.load_state_dict(rounded.ranges)


def round_with(layer: RoundedWeight, start: Tensor) -> Rounded:
    """Return what the layer's current ranges make of an (O, I) start."""
    if layer.ranges is None:
        raise ValueError("only a layer with ranges can be rounded")
    start = start.to(layer.weight.dtype).float()
    value = layer.ranges.absorb(start, None, out=torch.empty_like(start))
    state = {name: part.clone() for name, part in layer.ranges.state_dict().items()}
    return Rounded(start, value, state)


def seed_of(name: str, seed: int) -> torch.Generator:
    """Return the random numbers of a layer: the same whatever came before it."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


def _balance(factors: Factors) -> Factors:
    """Give both factors the same norm: an optimizer moves them at one rate."""
    left, right = (float(torch.linalg.vector_norm(each)) for each in factors[:2])
    if min(left, right) <= TINY:
        return factors
    share = (right / left) ** 0.5
    return factors._replace(left=factors.left * share, right=factors.right / share)


def _set_pair(pair: LoraPair, factors: Factors) -> None:
    """Make s·B·A the product; each factor takes an equal share of s."""
    share = pair.scaling**-0.5
    pair.a.copy_(factors.right * share)
    pair.b.copy_(factors.left * share)
