"""What a run is called, and which runs share a baseline. Start with `baseline_key`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import PurePath

from engine.specs import (
    ElasticLoraAdapter,
    ExperimentSpec,
    FloatQuantizer,
    IntegerQuantizer,
    LoftQ,
    LoraAdapter,
    QatTraining,
    RankEvaluationSpec,
    RankSearchSpec,
    RunSpec,
    Subject,
)

MAX_NAME = 120
SHOWN_RANKS = 3
NEVER_COUNTS = frozenset({"per_device_eval_batch_size", "divergence", "before_training"})
COUNTS_WITH_BENCHMARKS = frozenset({"benchmarks", "num_fewshot", "benchmark_limit"})


def baseline_key(spec: Subject) -> str:
    """Return the same 64 characters for all specs that are compared with the same baseline.

    They have the model and the evaluation setting in common. How many windows are computed at once,
    whether divergence is measured too and what is measured before training changes no baseline's
    score, so none of them counts; how benchmarks are asked counts where there are any.
    """
    left_out = set(NEVER_COUNTS)
    if not spec.evaluation.benchmarks:
        left_out |= COUNTS_WITH_BENCHMARKS
    evaluation = spec.evaluation.model_dump(mode="json", exclude=left_out)
    if spec.evaluation.benchmarks:
        evaluation["benchmarks"] = sorted(set(spec.evaluation.benchmarks))
    setting = {"model": spec.model.model_dump(mode="json"), "evaluation": evaluation}
    return hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()


def build_baseline(spec: Subject) -> ExperimentSpec:
    """Return the 16-bit, untuned spec this one is compared with."""
    return ExperimentSpec(seed=spec.seed, model=spec.model, evaluation=spec.evaluation)


def make_name(spec: RunSpec) -> str:
    """Return the spec's name, or one that says model, bits and method, or what it builds on."""
    if spec.name.strip():
        return spec.name.strip()
    if isinstance(spec, RankSearchSpec):
        return f"search: {spec.search.strategy} on run {spec.parent}"
    if isinstance(spec, RankEvaluationSpec):
        return f"ranks {write_ranks(spec.ranks)} of run {spec.parent}"
    source = spec.model.source.removeprefix("bundled:").rstrip("/")
    parts = [PurePath(source).name or source, *_quantizer_words(spec), *_training_words(spec)]
    return " ".join(parts)[:MAX_NAME]


def write_ranks(ranks: Sequence[int]) -> str:
    """Return the first ranks of a configuration, or the one that all groups have."""
    if len(ranks) > 1 and len(set(ranks)) == 1:
        return f"all {ranks[0]}"
    return "·".join(map(str, ranks[:SHOWN_RANKS])) + ("…" if len(ranks) > SHOWN_RANKS else "")


def _quantizer_words(spec: ExperimentSpec) -> list[str]:
    if isinstance(spec.quantizer, FloatQuantizer):
        return ["16-bit"]
    if not isinstance(spec.quantizer, IntegerQuantizer):
        return [f"{spec.quantizer.bits}-bit NormalFloat", f"block {spec.quantizer.group_size}"]
    by_group = spec.quantizer.granularity == "group"
    width = f"group {spec.quantizer.group_size}" if by_group else "per channel"
    words = [f"{spec.quantizer.bits}-bit", width]
    return words if spec.quantizer.symmetry == "asymmetric" else [*words, "symmetric"]


def _training_words(spec: ExperimentSpec) -> list[str]:
    starts = ["LoftQ"] if isinstance(spec.initialization, LoftQ) else []
    if isinstance(spec.training, QatTraining):
        return [*starts, "QAT", *_adapter_words(spec)]
    if starts:
        return [*starts, *_adapter_words(spec)]
    untouched = isinstance(spec.quantizer, FloatQuantizer)
    return ["baseline"] if untouched else [spec.initialization.method]


def _adapter_words(spec: ExperimentSpec) -> list[str]:
    adapter = spec.adapter
    if isinstance(adapter, ElasticLoraAdapter):
        return [f"NLS {write_ranks(adapter.rank_space)}"]
    return [f"LoRA {adapter.r}"] if isinstance(adapter, LoraAdapter) else []
