"""Promises of rounding and fitting in turn: the best stays, outputs are what counts when asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.initialize.decomposition import Fitting, Rounded, decompose
from engine.initialize.error_report import mean_errors
from engine.initialize.hessian import LayerHessian
from engine.initialize.low_rank import Factors, find_factors

RANK = 4


def whole(start: Tensor) -> Rounded:
    """Round to whole numbers."""
    return Rounded(start, start.round(), {})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class MadeUp:
    """A fit whose remainders are made up; the left factor tells which call it was."""

    def __init__(self, *remainders: float) -> None:
        self.calls = iter(enumerate(remainders))

    def norm(self, matrix: Tensor) -> float:
        return float(matrix.norm())

    def __call__(self, residual: Tensor) -> Factors:
        number, remainder = next(self.calls)
        left = torch.full((len(residual), 1), float(number))
        return Factors(left, torch.zeros(1, residual.shape[1]), remainder)


def turn(weight: Tensor, fitting: Any, **values: Any) -> Any:
    return decompose(weight, **{"rounding": whole, "fitting": fitting, "iterations": 1} | values)


def moments_of(features: int) -> Tensor:
    """Moments of inputs that depend on each other and differ in size."""
    mixing = torch.randn(features, features, generator=generator(2)) / features**0.5
    sizes = torch.logspace(-1, 1, features)
    inputs = torch.randn(512, features, generator=generator(3)) @ (mixing + sizes.diag())
    return inputs.t() @ inputs


def test_the_best_iteration_is_kept_and_a_worse_one_ends_it() -> None:
    """After an error that no longer falls nothing more is tried, and the one before stays."""
    found = turn(torch.eye(4), MadeUp(3, 2, 2.5, 1), iterations=9)
    assert found.errors == (3 / 2, 2 / 2, 2.5 / 2)
    assert found.factors.left[0, 0] == 1


def test_iterations_are_the_most_there_are() -> None:
    """While the error falls, exactly as many iterations are made as were asked for."""
    weight = torch.randn(32, 24, generator=generator())
    found = turn(weight, MadeUp(5, 4, 3, 2, 1), iterations=3)
    assert len(found.errors) == 3
    assert found.factors.remainder == 3


def test_a_first_product_is_taken_off_before_rounding() -> None:
    """What is rounded first is the weight less the given product."""
    weight = torch.randn(32, 24, generator=generator())
    first = find_factors(weight, RANK, generator=generator())
    found = turn(weight, MadeUp(1.0), first=first)
    taken_off = weight - first.left @ first.right
    torch.testing.assert_close(found.rounded.start, taken_off, rtol=0, atol=1e-5)


def test_means_count_a_layer_that_stopped_with_its_best() -> None:
    """The mean of an iteration is over all layers, each with its best so far."""
    assert mean_errors({"a": (4.0, 2.0, 3.0), "b": (2.0,)}) == (3.0, 2.0, 2.0)
    assert mean_errors({}) == ()


@pytest.mark.parametrize("shape", [(40, 24), (24, 40)])
def test_a_weighted_fit_is_the_closed_form(shape: tuple[int, int]) -> None:
    """By outputs, no product of the rank is nearer: it equals the symmetric root's closed form."""
    residual = torch.randn(shape, generator=generator())
    hessian = LayerHessian(moments_of(shape[1]))
    found = Fitting(RANK, generator=generator(), hessian=hessian)(residual)
    damped = (hessian.factor @ hessian.factor.t()).double()
    values, vectors = torch.linalg.eigh(damped)
    root = vectors * values.sqrt() @ vectors.t()
    u, s, v = torch.linalg.svd(residual.double() @ root, full_matrices=False)
    best = (u[:, :RANK] * s[:RANK]) @ v[:RANK] @ torch.linalg.inv(root)
    off = residual.double() - (found.left @ found.right).double()
    smallest = float(torch.linalg.norm((residual - best) @ root))
    assert smallest * 0.9999 <= float(torch.linalg.norm(off @ root)) <= smallest * 1.01
    assert found.remainder == pytest.approx(float(torch.linalg.norm(off @ root)), rel=1e-3)


def test_both_factors_of_a_weighted_fit_have_one_norm() -> None:
    """However large the inputs, an optimizer moves both factors alike."""
    hessian = LayerHessian(moments_of(24) * 1e6)
    residual = torch.randn(40, 24, generator=generator())
    found = Fitting(RANK, generator=generator(), hessian=hessian)(residual)
    assert float(found.left.norm()) == pytest.approx(float(found.right.norm()), rel=1e-4)


def test_weighted_by_even_inputs_is_unweighted() -> None:
    """Inputs that are independent and of one size make both fits the same."""
    residual = torch.randn(40, 24, generator=generator())
    even = LayerHessian(torch.eye(24) * 7)
    weighted = Fitting(RANK, generator=generator(), hessian=even)(residual)
    plain = Fitting(RANK, generator=generator())(residual)
    torch.testing.assert_close(
        weighted.left @ weighted.right, plain.left @ plain.right, rtol=0, atol=1e-3
    )
