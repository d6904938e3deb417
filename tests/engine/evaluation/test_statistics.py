"""Promises of means: errors over windows, none for a single one, exp by the delta method."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.evaluation.statistics import Mean, bootstrapped, exponential, mean_of


def test_the_error_is_that_of_the_mean_of_window_means() -> None:
    """Mean, standard error and count equal NumPy's over window means, not over tokens."""
    values = torch.rand(7, 11) + torch.arange(7.0).unsqueeze(1)
    found = mean_of(values)
    windows = values.double().numpy().mean(axis=1)
    assert found.value == pytest.approx(windows.mean())
    assert found.standard_error == pytest.approx(np.std(windows, ddof=1) / math.sqrt(7))
    assert found.num_samples == 77


def test_a_single_window_has_no_error() -> None:
    """Where no error can be known none is given, also not zero, also not after exp."""
    found = mean_of(torch.rand(1, 50))
    assert found.standard_error is None
    assert found.num_samples == 50
    assert exponential(found).standard_error is None


def test_the_exponential_of_a_mean_carries_its_error() -> None:
    """A perplexity's error is perplexity × error of the mean loss."""
    found = exponential(Mean(2.0, 0.1, 30))
    assert found == Mean(math.exp(2), pytest.approx(math.exp(2) * 0.1), 30)


def test_a_hopeless_model_has_an_infinite_perplexity() -> None:
    """A loss too large for exp is infinity, not an error."""
    assert exponential(Mean(1e4, None, 5)).value == math.inf


def test_small_losses_are_summed_in_double() -> None:
    """Millions of equal small values keep their mean."""
    assert mean_of(torch.full((2, 1_000_000), 1e-4)).value == pytest.approx(1e-4, rel=1e-6)


def test_a_bootstrapped_mean_has_the_error_of_a_mean() -> None:
    """Resampling gives a mean the error its formula does, the same each time; one example none."""
    values = np.random.default_rng(0).normal(2.0, 3.0, 400)
    found = bootstrapped(np.mean, values)
    assert found.value == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std(ddof=1) / 20, rel=0.1)
    assert found.num_samples == 400
    assert bootstrapped(np.mean, values) == found
    assert bootstrapped(np.mean, values, seed=1).standard_error != found.standard_error
    assert bootstrapped(np.mean, values[:1]).standard_error is None


def test_columns_are_resampled_together() -> None:
    """Columns are of the same examples: two equal ones differ in no resampling."""
    values = np.arange(20.0)

    def gap(left: NDArray[Any], right: NDArray[Any], *, axis: int) -> NDArray[Any]:
        return np.abs(left - right).max(axis=axis)

    assert bootstrapped(gap, values, values) == Mean(0.0, 0.0, 20)
