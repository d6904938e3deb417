"""Means whose standard errors know that tokens of one window depend. Start with `mean_of`.

`bootstrapped` gives the error of what is no mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

RESAMPLINGS = 1000
RESAMPLINGS_AT_ONCE = 50


class Mean(NamedTuple):
    """A mean over tokens, one standard error of it, and how many tokens it rests on."""

    value: float
    standard_error: float | None
    num_samples: int


def mean_of(per_token: Tensor) -> Mean:
    """Return the mean of (N, T) values with its standard error over the N windows.

    Tokens of a window are not independent, windows nearly are; so the error is that of the mean of
    N window means. With a single window there is none.
    """
    windows = per_token.double().mean(dim=1)
    error = None
    if len(windows) > 1:
        error = float(windows.std(correction=1)) / math.sqrt(len(windows))
    return Mean(float(windows.mean()), error, per_token.numel())


def exponential(mean: Mean) -> Mean:
    """Return exp of a mean; its error by the delta method, exp(m) · se."""
    value = math.exp(mean.value) if mean.value < math.log(1e300) else math.inf
    error = None if mean.standard_error is None else value * mean.standard_error
    return Mean(value, error, mean.num_samples)


def bootstrapped(
    statistic: Callable[..., NDArray[Any]], *columns: NDArray[Any], seed: int = 0
) -> Mean:
    """Return a statistic of examples with its standard error over 1,000 resamplings of them.

    Args:
        statistic: Maps as many arrays (..., N) as there are columns to (...) numbers; called with
            `axis=-1`.
        columns: (N,) each, of the same examples.
        seed: Seed of the resamplings.
    """
    from scipy import stats  # noqa: PLC0415  heavy, and only these scores need it

    count, error = len(columns[0]), None
    if count > 1:
        found = stats.bootstrap(
            columns,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLINGS,
            batch=RESAMPLINGS_AT_ONCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
        error = float(found.standard_error)
    return Mean(float(statistic(*columns, axis=-1)), error, count)
