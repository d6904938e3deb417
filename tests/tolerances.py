"""How near two numbers must be, by the dtype they were computed in: one table for every test.

Start with `assert_near`. Where two paths promise the same bits, a test says so with `torch.equal`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Tolerance(NamedTuple):
    """Largest allowed difference: `absolute` + `relative` × the expected value."""

    relative: float
    absolute: float


# About 64 roundings of each dtype; sums of a few hundred terms in another order stay within.
TOLERANCES = {
    torch.float64: Tolerance(1e-12, 1e-12),
    torch.float32: Tolerance(2e-5, 2e-6),
    torch.bfloat16: Tolerance(4e-2, 1e-2),
    torch.float16: Tolerance(5e-3, 2e-3),
}


def assert_near(actual: Tensor, expected: Tensor, *, dtype: torch.dtype = torch.float32) -> None:
    """Fail where two tensors differ by more than computing in `dtype` explains.

    The absolute part scales with the largest expected value: what cancels in a sum is as wrong as
    its terms.
    """
    tolerance = TOLERANCES[dtype]
    largest = float(expected.detach().abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(
        actual.double(),
        expected.double(),
        rtol=tolerance.relative,
        atol=tolerance.absolute * max(largest, 1e-30),
    )
