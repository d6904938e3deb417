"""GLUE's numbers, each against its formula written out, with errors of the right size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from engine.data.supervised_tasks import GLUE
from engine.supervised.glue_metrics import (
    TASK_METRICS,
    matthews,
    pearson,
    positive_f1,
    score_glue,
    spearman,
)

LABELS = np.array([1.0, 1, 1, 0, 0, 1, 0, 1])
ANSWERS = np.array([1.0, 0, 1, 0, 1, 1, 0, 1])


def test_each_task_s_metrics() -> None:
    """Every task is scored as published: accuracy but for four."""
    found = {name: tuple(score_glue(name, LABELS, ANSWERS)) for name in GLUE}
    plain = dict.fromkeys(GLUE, ("accuracy",))
    assert found == {**plain, **TASK_METRICS}
    assert found["mrpc"] == ("accuracy", "f1")
    assert found["stsb"] == ("pearson", "spearman")


def test_counts() -> None:
    """Accuracy, F1 of class 1 and Matthews' correlation follow from the four counts."""
    both, extra, missed, neither = 4, 1, 1, 2
    found = {**score_glue("mrpc", LABELS, ANSWERS), **score_glue("cola", LABELS, ANSWERS)}
    assert found["accuracy"].value == (both + neither) / 8
    assert found["accuracy"].standard_error == pytest.approx(math.sqrt(0.75 * 0.25 / 7))
    assert found["f1"].value == pytest.approx(2 * both / (2 * both + extra + missed))
    rows = (both + extra) * (both + missed) * (neither + extra) * (neither + missed)
    expected = (both * neither - extra * missed) / math.sqrt(rows)
    assert found["matthews_correlation"].value == pytest.approx(expected)
    assert {mean.num_samples for mean in found.values()} == {8}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (positive_f1, metrics.f1_score),
        (matthews, metrics.matthews_corrcoef),
        (pearson, lambda left, right: stats.pearsonr(left, right).statistic),
        (spearman, lambda left, right: stats.spearmanr(left, right).statistic),
    ],
)
def test_libraries_agree(ours: Any, theirs: Any) -> None:
    """Each formula, for several samples at once, gives what scikit-learn or SciPy gives for one."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, (5, 40)).astype(float)
    answers = np.where(generator.random((5, 40)) < 0.3, 1 - labels, labels)
    if ours in (pearson, spearman):
        labels = np.round(labels + generator.random((5, 40)), 1)  # with ties
    expected = [theirs(*pair) for pair in zip(labels, answers, strict=True)]
    assert ours(labels, answers, axis=-1) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("task", ["cola", "mrpc", "stsb"])
def test_errors_shrink_with_examples(task: str) -> None:
    """A bootstrapped error is about halved by four times the examples, and always the same."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 800).astype(float)
    answers = np.where(generator.random(800) < 0.2, 1 - labels, labels)
    metric = TASK_METRICS[task][-1]
    few, many = (score_glue(task, labels[:n], answers[:n])[metric] for n in (200, 800))
    assert few.standard_error is not None
    assert many.standard_error is not None
    assert 1.5 < few.standard_error / many.standard_error < 2.7
    assert score_glue(task, labels[:200], answers[:200])[metric] == few


@pytest.mark.parametrize("task", ["cola", "mrpc", "stsb"])
def test_one_answer_for_all(task: str) -> None:
    """A model that always says the same scores 0 without a warning; one example has no error."""
    constant = score_glue(task, LABELS, np.full(8, 0.0 if task == "mrpc" else 0.1))
    assert constant[TASK_METRICS[task][-1]].value == 0
    single = score_glue(task, LABELS[:1], LABELS[:1])
    assert {mean.standard_error for mean in single.values()} == {None}
