"""Scores of the model as it stands: text first, then benchmarks. Start with `measure`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from engine.evaluation.benchmarks import run_benchmarks
from engine.evaluation.language_modeling import LanguageScores, evaluate_language_model
from engine.evaluation.statistics import Mean
from engine.events import TEXT_BENCHMARK, Logged, Phase, ScoreMeasured
from engine.initialize.catalogue import Installed
from engine.layers.head import SplitModel
from engine.layers.layer_map import bypassed, held
from engine.layers.swap import Layers
from engine.session import Session
from engine.specs import Subject
from engine.stages.load import Loaded
from engine.stages.teach import EvaluationText


def measure(session: Session, loaded: Loaded, installed: Installed, text: EvaluationText) -> None:
    """Measure text and benchmarks on the model at its current bits and ranks, and announce."""
    with held(installed.layers, installed.split.head_weight.dtype):
        _measure_text(session, installed, text)
        measure_benchmarks(session, loaded, installed, phase="final")


def measure_benchmarks(
    session: Session, loaded: Loaded, installed: Installed, *, phase: Phase
) -> None:
    """Ask the benchmarks and announce the scores; hold the weights before."""
    if not loaded.benchmarks.names:
        return
    with session.stage("benchmarks", loaded.benchmarks.num_questions):
        scores = run_benchmarks(
            loaded.benchmarks,
            installed.language,
            model=loaded.model.model,
            tokenizer=loaded.model.tokenizer,
            spec=session.spec.evaluation,
            phase=phase,
            progress=session.progress("benchmarks"),
        )
    for score in scores:
        announce_score(session, score)


def _measure_text(session: Session, installed: Installed, text: EvaluationText) -> None:
    with session.stage("evaluate", len(text.windows)):
        scores = evaluate_language_model(
            installed.language,
            text.windows,
            batch_size=session.spec.evaluation.per_device_eval_batch_size,
            teacher=text.hidden,
            teacher_logits=_TeacherHead(installed.language, installed.layers),
            progress=session.progress("evaluate"),
        )
    for event in _score_events(session.spec, scores):
        announce_score(session, event)


def announce_score(session: Session, score: ScoreMeasured) -> None:
    """Announce a score, and say it in the log."""
    session.listener(score)
    what = (
        score.metric
        if score.benchmark.startswith(TEXT_BENCHMARK)
        else f"{score.benchmark} {score.metric}"
    )
    error = "" if score.standard_error is None else f" ± {score.standard_error:.2g}"
    session.listener(Logged("info", f"{what} {score.value:.6g}{error}"))


@dataclass(frozen=True)
class _TeacherHead:
    """The head as the 16-bit model has it."""

    split: SplitModel
    layers: Layers

    def __call__(self, hidden: Tensor) -> Tensor:
        with bypassed(self.layers):
            return self.split.logits(hidden)


def _score_events(spec: Subject, scores: LanguageScores) -> Iterator[ScoreMeasured]:
    benchmark = f"{TEXT_BENCHMARK}{spec.evaluation.data.source}"
    limited = spec.evaluation.limit is not None
    found: list[tuple[str, Mean | None, str]] = [
        ("perplexity", scores.perplexity, "lower"),
        ("kl_divergence", scores.divergence, "lower"),
        ("top1_agreement", scores.agreement, "higher"),
    ]
    for metric, mean, direction in found:
        if mean is not None:
            yield ScoreMeasured(
                benchmark=benchmark,
                metric=metric,
                value=mean.value,
                standard_error=mean.standard_error,
                num_samples=mean.num_samples,
                direction="lower" if direction == "lower" else "higher",
                limited=limited,
            )
