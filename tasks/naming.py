"""What a run is called, and which runs share a baseline. Start with `baseline_key`."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath

from engine.specs import ExperimentSpec, FloatQuantizer, IntegerQuantizer, LoraAdapter, QatTraining

MAX_NAME = 120


def baseline_key(spec: ExperimentSpec) -> str:
    """Return the same 64 characters for all specs that are compared with the same baseline.

    They have the model and the evaluation setting in common. How many windows are computed at once
    and whether divergence is measured too changes no baseline's score, so neither counts.
    """
    evaluation = spec.evaluation.model_dump(
        mode="json", exclude={"per_device_eval_batch_size", "divergence"}
    )
    setting = {"model": spec.model.model_dump(mode="json"), "evaluation": evaluation}
    return hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()


def build_baseline(spec: ExperimentSpec) -> ExperimentSpec:
    """Return the 16-bit, untuned spec this one is compared with."""
    return ExperimentSpec(seed=spec.seed, model=spec.model, evaluation=spec.evaluation)


def make_name(spec: ExperimentSpec) -> str:
    """Return the spec's name, or one that says model, bits and method."""
    if spec.name.strip():
        return spec.name.strip()
    source = spec.model.source.removeprefix("bundled:").rstrip("/")
    parts = [PurePath(source).name or source, *_quantizer_words(spec), *_training_words(spec)]
    return " ".join(parts)[:MAX_NAME]


def _quantizer_words(spec: ExperimentSpec) -> list[str]:
    if not isinstance(spec.quantizer, IntegerQuantizer):
        return ["16-bit"]
    by_group = spec.quantizer.granularity == "group"
    width = f"group {spec.quantizer.group_size}" if by_group else "per channel"
    words = [f"{spec.quantizer.bits}-bit", width]
    return words if spec.quantizer.symmetry == "asymmetric" else [*words, "symmetric"]


def _training_words(spec: ExperimentSpec) -> list[str]:
    if not isinstance(spec.training, QatTraining):
        untouched = isinstance(spec.quantizer, FloatQuantizer)
        return ["baseline"] if untouched else [spec.initialization.method]
    adapter = spec.adapter
    return ["QAT", f"LoRA {adapter.r}"] if isinstance(adapter, LoraAdapter) else ["QAT"]
