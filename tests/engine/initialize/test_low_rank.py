"""Promises of the randomized decomposition: nearly as near as the full one, and reproducible."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.initialize.low_rank import find_factors

SHAPES = [(96, 64), (64, 96), (80, 80)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smallest_remainder(matrix: Tensor, rank: int) -> float:
    """Return what the full decomposition leaves: no product of that rank leaves less."""
    values = torch.linalg.svdvals(matrix.double())
    return float(values[rank:].square().sum().sqrt())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, 8, 32, 64])
def test_nearly_as_near_as_the_full_decomposition(shape: tuple[int, int], rank: int) -> None:
    """On noise, the worst case there is, the remainder is within a hundredth of the smallest."""
    matrix = torch.randn(shape, generator=generator(1))
    found = find_factors(matrix, rank, generator=generator())
    smallest = smallest_remainder(matrix, rank)
    left = float(torch.linalg.norm((matrix - found.left @ found.right).double()))
    assert smallest * 0.999 - 1e-3 <= left <= smallest * 1.01 + 1e-3
    assert found.remainder == pytest.approx(left, rel=1e-4, abs=2e-2)


def test_a_matrix_of_that_rank_is_found_whole() -> None:
    """Where the matrix has no more than the rank, nothing is left."""
    matrix = torch.randn(60, 5, generator=generator(1)) @ torch.randn(5, 40)
    found = find_factors(matrix, 5, generator=generator())
    torch.testing.assert_close(found.left @ found.right, matrix, rtol=1e-4, atol=1e-4)


def test_fewer_columns_are_the_factors_of_a_smaller_rank() -> None:
    """The strongest directions come first, as smaller ranks of an elastic adapter need."""
    matrix = torch.randn(70, 50, generator=generator(1)) @ torch.diag(0.9 ** torch.arange(50))
    found = find_factors(matrix, 12, generator=generator())
    left = float(torch.linalg.norm(matrix - found.left[:, :4] @ found.right[:4]))
    assert left <= smallest_remainder(matrix, 4) * 1.001


def test_a_subspace_found_before_is_a_better_start() -> None:
    """Probing near the answer gives no more than the full decomposition's remainder and a trace."""
    matrix = torch.randn(96, 80, generator=generator(1))
    near = torch.linalg.svd(matrix).Vh[:8]
    found = find_factors(matrix, 8, generator=generator(), near=near)
    assert found.remainder <= smallest_remainder(matrix, 8) * (1 + 1e-5)


def test_the_same_seed_gives_the_same_factors() -> None:
    """Random probes come from the generator alone."""
    matrix = torch.randn(64, 48, generator=generator(1))
    torch.manual_seed(1)
    first = find_factors(matrix, 8, generator=generator())
    torch.manual_seed(2)
    second = find_factors(matrix, 8, generator=generator())
    assert torch.equal(first.left, second.left)
    assert torch.equal(first.right, second.right)
