"""The nearest matrix of a given rank, by a few products instead of a full decomposition.

Start with `find_factors`.

Source: randomized subspace iteration (Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithms
4.4 and 5.1). We differ in that a subspace found before for a similar matrix is among the probes,
and in one orthogonalization for both products of a round: what rounding leaves has a flat spectrum.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

OVERSAMPLING = 10
ROUNDS = 6
ROUNDS_FROM_NEAR = 3


class Factors(NamedTuple):
    """A product of two thin matrices, the square roots of its singular values on both.

    The first r columns and rows are the factors of rank r.

    Attributes:
        left: (O, R) float32, U·√S.
        right: (R, I) float32, √S·Vᵀ.
        remainder: Frobenius norm of what the product leaves of the matrix.
    """

    left: Tensor
    right: Tensor
    remainder: float


def find_factors(
    matrix: Tensor, rank: int, *, generator: torch.Generator, near: Tensor | None = None
) -> Factors:
    """Find factors whose product is nearest to a matrix.

    Args:
        matrix: (O, I) float32.
        rank: R, at most the smaller side.
        generator: On the CPU; gives the random probes.
        near: (R, I) right factor of a similar matrix, or None.

    Returns:
        Factors; their remainder is within half a hundredth of the smallest possible on noise, from
        a cold start, and nearer with `near`. A remainder below 3e-4 of the matrix's norm is noise.
    """
    size = min(rank + OVERSAMPLING, *matrix.shape)
    if size == min(matrix.shape):  # as many probes as the matrix has directions
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    else:
        probes = _find_probes(matrix, size, generator=generator, near=near)
        left, values, mixing = torch.linalg.svd(matrix @ probes, full_matrices=False)
        right = mixing[:rank] @ probes.t()
    roots = values[:rank].sqrt()
    remainder = _remainder(matrix, values[:rank])
    return Factors(left[:, :rank] * roots, roots.unsqueeze(1) * right[:rank], remainder)


def _find_probes(
    matrix: Tensor, size: int, *, generator: torch.Generator, near: Tensor | None
) -> Tensor:
    """Return (I, size) orthonormal columns that hold the strongest directions of the rows."""
    probes = torch.randn(matrix.shape[1], size, generator=generator).to(matrix.device)
    if near is not None:
        probes[:, : len(near)] = near.t()
        probes = torch.linalg.qr(probes).Q
    for _ in range(ROUNDS if near is None else ROUNDS_FROM_NEAR):
        probes = torch.linalg.qr(matrix.t() @ (matrix @ probes)).Q
    return probes


def _remainder(matrix: Tensor, values: Tensor) -> float:
    """Return the norm of what is left: the product is a projection of the matrix."""
    whole = float(torch.linalg.vector_norm(matrix, dtype=torch.float64)) ** 2
    return max(0.0, whole - float(values.double().square().sum())) ** 0.5
