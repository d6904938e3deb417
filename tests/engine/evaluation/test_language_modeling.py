"""Promises of language scores: known answers, and a plain slow reference."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.evaluation import language_modeling
from engine.evaluation.language_modeling import LanguageScores, evaluate_language_model
from engine.layers.head import SplitModel
from engine.layers.layer_map import bypassed, held
from tests.engine.tiny_layers import quantized_llama, some_tokens
from tests.tiny_models import VOCAB_SIZE, make_llama

WINDOWS = some_tokens(5, 20)
PREDICTED = 5 * 19


def silent(_done: int, _total: int) -> None:
    """Note no progress."""


def measure(
    model: PreTrainedModel,
    *,
    teacher: Tensor | None = None,
    teacher_logits: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 2,
) -> LanguageScores:
    """Measure a model on the windows."""
    split = SplitModel(model)
    return evaluate_language_model(
        split,
        WINDOWS,
        batch_size=batch_size,
        teacher=teacher,
        teacher_logits=teacher_logits or split.logits,
        progress=silent,
    )


def log_probs(model: PreTrainedModel) -> np.ndarray:
    """Return log-probabilities of every next token in float64, (N, T − 1, V), by NumPy."""
    with torch.no_grad():
        logits = model(input_ids=WINDOWS, use_cache=False).logits[:, :-1].double().numpy()
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def loud(model: PreTrainedModel) -> PreTrainedModel:
    """Give a tiny model opinions: logits of several units; in place."""
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return model


def test_a_model_without_an_opinion_has_the_perplexity_of_its_vocabulary() -> None:
    """Uniform logits give exactly V, with no error between windows."""
    model = make_llama()
    torch.nn.init.zeros_(model.lm_head.weight)
    scores = measure(model)
    assert scores.perplexity.value == pytest.approx(VOCAB_SIZE, rel=1e-5)
    assert scores.perplexity.standard_error == pytest.approx(0.0, abs=1e-3)
    assert scores.perplexity.num_samples == PREDICTED
    assert scores.divergence is None
    assert scores.agreement is None


def test_a_model_agrees_with_itself() -> None:
    """Against its own hidden states the divergence is zero and the agreement one."""
    model = loud(make_llama())
    with torch.no_grad():
        hidden = SplitModel(model).hidden(WINDOWS)
    scores = measure(model, teacher=hidden)
    assert scores.divergence is not None
    assert scores.agreement is not None
    assert abs(scores.divergence.value) < 1e-6
    assert scores.agreement.value == 1.0
    assert scores.agreement.standard_error == 0.0


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
@pytest.mark.parametrize("piece_rows", [7, 256])
def test_scores_are_those_of_a_slow_reference(
    monkeypatch: pytest.MonkeyPatch, batch_size: int, piece_rows: int
) -> None:
    """However windows are batched and cut, scores and errors equal NumPy's in float64."""
    monkeypatch.setattr(language_modeling, "PIECE_ROWS", piece_rows)
    teacher, student = loud(make_llama()), loud(make_llama(seed=1))
    split = SplitModel(teacher)
    with torch.no_grad():
        hidden = split.hidden(WINDOWS)
    scores = measure(student, teacher=hidden, teacher_logits=split.logits, batch_size=batch_size)
    log_p, log_q = log_probs(teacher), log_probs(student)
    labels = WINDOWS[:, 1:, None].numpy()
    expected = {
        "loss": -np.take_along_axis(log_q, labels, axis=-1)[..., 0],
        "divergence": (np.exp(log_p) * (log_p - log_q)).sum(axis=-1),
        "agreement": (log_p.argmax(axis=-1) == log_q.argmax(axis=-1)).astype(float),
    }
    assert expected["divergence"].mean() > 0.1
    perplexity = math.exp(expected["loss"].mean())
    error = expected["loss"].mean(axis=1).std(ddof=1) / math.sqrt(5)
    assert scores.perplexity.value == pytest.approx(perplexity, rel=1e-5)
    assert scores.perplexity.standard_error == pytest.approx(perplexity * error, rel=1e-4)
    for name in ("divergence", "agreement"):
        found, values = getattr(scores, name), expected[name]
        assert found.value == pytest.approx(values.mean(), rel=1e-4)
        assert found.standard_error == pytest.approx(
            values.mean(axis=1).std(ddof=1) / math.sqrt(5), rel=1e-3
        )
        assert found.num_samples == PREDICTED


def test_progress_counts_windows() -> None:
    """Progress is told after each batch, the last one shorter."""
    seen = []
    split = SplitModel(make_llama())
    evaluate_language_model(
        split,
        WINDOWS,
        batch_size=2,
        teacher=None,
        teacher_logits=split.logits,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_the_bypassed_student_is_the_teacher() -> None:
    """A quantized model differs from its teacher, and bypassed it does not, held weights or not."""
    model, layers = quantized_llama()
    loud(model)
    split = SplitModel(model)
    with torch.no_grad(), bypassed(layers):
        hidden = split.hidden(WINDOWS)
    with held(layers, torch.float32):
        student = measure(model, teacher=hidden)
        with bypassed(layers):
            teacher = measure(model, teacher=hidden)
    assert student.divergence.value > 1e-3
    assert student.agreement.value < 1
    assert teacher.divergence.value == pytest.approx(0.0, abs=1e-6)
    assert teacher.agreement.value == 1.0
