"""Means whose standard errors know that tokens of one window depend. Start with `mean_of`."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor


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
