"""LoftQ: round a weight, fit a low-rank pair to what rounding lost, and again.

Source: LoftQ (Li et al. 2023, arXiv:2310.08659, algorithm 1), for any grid. We differ in four
ways. The pair's own factor s belongs to the product: s·B·A approximates the residual, where
published code leaves s out and is off wherever alpha is not the rank. Iterations end when the error
no longer falls, and the best one is kept, not the last. The decomposition is randomized. The frozen
weight becomes what was rounded, W − s·B·A of the iteration before, so ranges and codes follow from
it as ever. Start with `decompose`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from engine.initialize.error_report import Errors
from engine.initialize.low_rank import Factors, find_factors
from engine.layers.adapters import LoraPair
from engine.layers.codebook_scales import WeightRanges
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import Layers
from engine.quant.grouping import split
from engine.specs import LoftQ

TINY = 1e-30

Progress = Callable[[int, int], None]
Rounding = Callable[[Tensor], Tensor]
Fitting = Callable[[Tensor, Tensor | None], Factors]


class Decomposed(NamedTuple):
    """A weight as something to round and a low-rank product.

    Attributes:
        start: (O, I) float32 of the weight's dtype: what is rounded.
        factors: What approximates the weight less the rounded start.
        errors: ‖W − Q − L·R‖ / ‖W‖ of every iteration made, up to the first that did not help.
    """

    start: Tensor
    factors: Factors
    errors: tuple[float, ...]


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
        rounding: Gives the rounded (O, I) float32 of what it is given, on a grid fitted to it.
        fitting: Gives the factors of a residual, and takes the last right factor to start from.
        iterations: The most to make, at least 1.
        first: Taken off the weight before the first rounding; None for nothing.
    """
    wide = weight.float()
    norm = max(float(torch.linalg.vector_norm(wide)), TINY)
    best: Decomposed | None = None
    factors, errors = first, []
    for _ in range(iterations):
        start = wide if factors is None else _less(weight, factors)
        near = None if factors is None else factors.right
        factors = fitting(wide - rounding(start), near)
        errors.append(factors.remainder / norm)
        if best is not None and errors[-1] >= min(errors[:-1]):
            break
        best = Decomposed(start, factors, ())
    if best is None:
        raise ValueError("iterations must be at least 1")
    return best._replace(errors=tuple(errors))


@torch.no_grad()
def start_loftq(
    layers: Layers, spec: LoftQ, *, head: Tensor, seed: int, progress: Progress
) -> Errors:
    """Give every adapted layer the rounded weight and the pair that make up for each other.

    In place. The frozen weights are replaced, so the model is no longer its own teacher; the head's
    is kept and only its pair fitted, so the head is always the teacher's. Layers without an adapter
    keep their round-to-nearest start.

    Args:
        layers: What was installed.
        spec: How to alternate.
        head: The weight of the model's head.
        seed: With a layer's name, the seed of its probes: the order of layers does not matter.
        progress: Told of layers done and in all.

    Returns:
        Relative error by layer and iteration.
    """
    adapted = {name: layer for name, layer in layers.items() if layer.adapter is not None}
    errors: Errors = {}
    for name, layer in adapted.items():
        is_kept = layer.weight is head
        errors[name] = _start_layer(layer, spec, seed_of(name, seed), is_kept=is_kept)
        progress(len(errors), len(adapted))
    return errors


def seed_of(name: str, seed: int) -> torch.Generator:
    """Return the random numbers of a layer: the same whatever came before it."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


def _start_layer(
    layer: RoundedWeight, spec: LoftQ, generator: torch.Generator, *, is_kept: bool
) -> tuple[float, ...]:
    """Decompose one layer in place; return its errors."""
    pair, ranges = layer.adapter, layer.ranges
    if pair is None or ranges is None:
        raise ValueError("LoftQ needs ranges and an adapter")
    rank = pair.max_rank
    first = None
    if spec.variant == "svd-first" and not is_kept:
        first = find_factors(layer.weight.float(), rank, generator=generator)
    found = decompose(
        layer.weight,
        rounding=lambda start: _round(start, ranges),
        fitting=lambda residual, near: find_factors(residual, rank, generator=generator, near=near),
        iterations=1 if is_kept else spec.iterations,
        first=first,
    )
    layer.weight.copy_(found.start)
    ranges.fit(split(found.start, ranges.num_groups))
    _set_pair(pair, found.factors)
    return found.errors


def _less(weight: Tensor, factors: Factors) -> Tensor:
    """Return the weight less the product, in the weight's dtype, as float32."""
    rest = torch.addmm(weight.float(), factors.left, factors.right, alpha=-1)
    return rest.to(weight.dtype).float()


def _round(start: Tensor, ranges: WeightRanges) -> Tensor:
    """Fit the ranges to what is rounded, in place, and round it."""
    ranges.fit(split(start, ranges.num_groups))
    return ranges.absorb(start, None, out=torch.empty_like(start))


def _set_pair(pair: LoraPair, factors: Factors) -> None:
    """Make s·B·A the product; each factor takes an equal share of s."""
    share = pair.scaling**-0.5
    pair.a.copy_(factors.right * share)
    pair.b.copy_(factors.left * share)
