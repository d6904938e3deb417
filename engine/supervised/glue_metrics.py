"""GLUE's metrics, task by task, as published (Wang et al., 2018, arXiv:1804.07461, table 1).

Accuracy, and besides F1 for mrpc and qqp; Matthews' correlation alone for cola; Pearson's and
Spearman's for stsb. The numbers are scikit-learn's and SciPy's, as fractions. A correlation of
values that are all the same is 0, as in scikit-learn. Start with `score_glue`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from engine.evaluation.statistics import Mean, bootstrapped, mean_of

Values = NDArray[np.float64]


def score_glue(task: str, labels: Values, answers: Values) -> dict[str, Mean]:
    """Return a task's metrics by name; `labels` and `answers` are (N,), classes or numbers."""
    return {name: METRICS[name](labels, answers) for name in TASK_METRICS.get(task, ("accuracy",))}


def _accuracy(labels: Values, answers: Values) -> Mean:
    return mean_of(torch.from_numpy(labels == answers).unsqueeze(1))


def _f1(labels: Values, answers: Values) -> Mean:
    return bootstrapped(_positive_f1, labels, answers)


def _matthews(labels: Values, answers: Values) -> Mean:
    return bootstrapped(metrics.matthews_corrcoef, labels, answers)


def _pearson(labels: Values, answers: Values) -> Mean:
    return bootstrapped(_correlation(stats.pearsonr), labels, answers)


def _spearman(labels: Values, answers: Values) -> Mean:
    return bootstrapped(_correlation(stats.spearmanr), labels, answers)


def _positive_f1(labels: Values, answers: Values) -> float:
    """F1 of class 1, the positive one; 0 where neither has it."""
    return float(metrics.f1_score(labels, answers, zero_division=0.0))


def _correlation(measure: Callable[[Values, Values], Any]) -> Callable[[Values, Values], float]:
    def correlate(labels: Values, answers: Values) -> float:
        if len(labels) < 2 or np.ptp(labels) == 0 or np.ptp(answers) == 0:
            return 0.0
        return float(measure(labels, answers).statistic)

    return correlate


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
