"""GLUE's metrics, task by task, as published (Wang et al., 2018, arXiv:1804.07461, table 1).

Accuracy, and besides F1 for mrpc and qqp; Matthews' correlation alone for cola; Pearson's and
Spearman's for stsb; all as fractions. Formulas are written for many resamplings at once, and equal
scikit-learn's and SciPy's; a correlation of values that are all the same is 0. Start with
`score_glue`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from engine.evaluation.statistics import Mean, bootstrapped, mean_of

Values = NDArray[np.float64]


def score_glue(task: str, labels: Values, answers: Values) -> dict[str, Mean]:
    """Return a task's metrics by name; `labels` and `answers` are (N,), classes or numbers."""
    return {name: METRICS[name](labels, answers) for name in TASK_METRICS.get(task, ("accuracy",))}


def _accuracy(labels: Values, answers: Values) -> Mean:
    return mean_of(torch.from_numpy(labels == answers).unsqueeze(1))


def _f1(labels: Values, answers: Values) -> Mean:
    return bootstrapped(positive_f1, labels, answers)


def _matthews(labels: Values, answers: Values) -> Mean:
    return bootstrapped(matthews, labels, answers)


def _pearson(labels: Values, answers: Values) -> Mean:
    return bootstrapped(pearson, labels, answers)


def _spearman(labels: Values, answers: Values) -> Mean:
    return bootstrapped(spearman, labels, answers)


def positive_f1(labels: Values, answers: Values, *, axis: int) -> Values:
    """Return F1 of class 1 along `axis`; 0 where neither labels nor answers have it."""
    both, either = (labels * answers).sum(axis=axis), (labels + answers).sum(axis=axis)
    return _quotient(2 * both, either)


def matthews(labels: Values, answers: Values, *, axis: int) -> Values:
    """Return Matthews' correlation of classes 0 and 1 along `axis`: Pearson's of the same."""
    return pearson(labels, answers, axis=axis)


def pearson(labels: Values, answers: Values, *, axis: int) -> Values:
    """Return Pearson's correlation along `axis`."""
    centered = [values - values.mean(axis=axis, keepdims=True) for values in (labels, answers)]
    left, right = centered
    spread = np.sqrt((left**2).sum(axis=axis) * (right**2).sum(axis=axis))
    is_constant = (np.ptp(labels, axis=axis) == 0) | (np.ptp(answers, axis=axis) == 0)
    return _quotient((left * right).sum(axis=axis), np.where(is_constant, 0.0, spread))


def spearman(labels: Values, answers: Values, *, axis: int) -> Values:
    """Return Spearman's correlation along `axis`: Pearson's of the ranks, ties in the middle."""
    ranks = [stats.rankdata(values, axis=axis) for values in (labels, answers)]
    return pearson(*ranks, axis=axis)


def _quotient(above: Values, below: Values) -> Values:
    """Divide; 0 where there is nothing to divide by."""
    is_there = below > 0
    return np.where(is_there, above / np.where(is_there, below, 1), 0.0)


METRICS: Mapping[str, Callable[[Values, Values], Mean]] = MappingProxyType(
    {
        "accuracy": _accuracy,
        "f1": _f1,
        "matthews_correlation": _matthews,
        "pearson": _pearson,
        "spearman": _spearman,
    }
)
TASK_METRICS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cola": ("matthews_correlation",),
        "mrpc": ("accuracy", "f1"),
        "qqp": ("accuracy", "f1"),
        "stsb": ("pearson", "spearman"),
    }
)
"""What is scored where it is not accuracy alone."""
