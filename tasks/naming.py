"""What a run is called, and which runs share a baseline. Start with `baseline_key`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from engine.specs import (
    AdapterFolder,
    BySensitivity,
    DataAware,
    ElasticLoraAdapter,
    ExperimentSpec,
    FloatQuantizer,
    IntegerQuantizer,
    LoftQ,
    LoftQUniformQuantizer,
    LoraAdapter,
    LoraBankAdapter,
    MapEvaluationSpec,
    NoAdapter,
    QatTraining,
    RankEvaluationSpec,
    RankSearchSpec,
    RunSpec,
    SensitivitySpec,
    Subject,
)
from engine.specs.quantizer import BITS_UNQUANTIZED

MAX_NAME = 120
SHOWN_RANKS = 3
NEVER_COUNTS = frozenset({"per_device_eval_batch_size", "divergence", "before_training"})
COUNTS_WITH_BENCHMARKS = frozenset({"benchmarks", "num_fewshot", "benchmark_limit"})
COUNTS_WITH_SUMMARIES = frozenset({"max_new_tokens", "num_beams"})
COUNTS_WITH_TEXT = frozenset({"data", "limit"})


def baseline_key(spec: Subject) -> str:
    """Return the same 64 characters for all specs that are compared with the same baseline.

    They have the model and the evaluation setting in common. How many windows are computed at once,
    whether divergence is measured too and what is measured before training changes no baseline's
    score, so none of them counts; how benchmarks are asked counts where there are any, how
    summaries are written where there are some, and the text where a causal language model reads it.
    """
    asked = sorted(set(spec.measured_tasks))
    left_out = set(NEVER_COUNTS)
    left_out |= set() if asked else COUNTS_WITH_BENCHMARKS
    left_out |= set() if spec.model.head == "seq2seq" else COUNTS_WITH_SUMMARIES
    left_out |= set() if spec.model.head == "causal-lm" else COUNTS_WITH_TEXT
    evaluation = spec.evaluation.model_dump(mode="json", exclude=left_out)
    if asked:
        evaluation["benchmarks"] = asked
    model = spec.model.model_dump(mode="json")
    if spec.model.head == "causal-lm":  # as from before there were other heads
        del model["head"]
    setting = {"model": model, "evaluation": evaluation}
    return hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()


def build_baseline(spec: Subject) -> ExperimentSpec:
    """Return the 16-bit, untuned spec this one is compared with; it names what is measured."""
    evaluation = spec.evaluation.model_copy(update={"benchmarks": spec.measured_tasks})
    return ExperimentSpec(seed=spec.seed, model=spec.model, evaluation=evaluation)


def make_name(spec: RunSpec) -> str:
    """Return the spec's name, or one that says model, bits and method, or what it builds on."""
    if spec.name.strip():
        return spec.name.strip()
    if isinstance(spec, RankSearchSpec):
        return f"search: {spec.search.strategy} on run {spec.parent}"
    if isinstance(spec, RankEvaluationSpec):
        return f"ranks {write_ranks(spec.ranks)} of run {spec.parent}"
    if isinstance(spec, MapEvaluationSpec):
        return f"{len(spec.maps)} {'map' if len(spec.maps) == 1 else 'maps'} of run {spec.parent}"
    source = spec.model.source.removeprefix("bundled:").rstrip("/")
    if isinstance(spec, SensitivitySpec):
        subject = PurePath(source).name if spec.parent is None else f"run {spec.parent}"
        return f"sensitivity: {_scoring_words(spec)} of {subject or source} {_width_words(spec)}"[
            :MAX_NAME
        ]
    parts = [PurePath(source).name or source, *_quantizer_words(spec), *_training_words(spec)]
    return " ".join(parts)[:MAX_NAME]


def _scoring_words(spec: SensitivitySpec) -> str:
    """Return how units are scored, and which, where they are no layers."""
    method = spec.method.method.replace("-", " ")
    return method if spec.unit == "layer" else f"{method} by {spec.unit}"


def _width_words(spec: SensitivitySpec) -> str:
    """Return the widths, and the start where it is not 16 bits everywhere."""
    start = "" if spec.starts_unrounded else f" from {spec.start_bits}"
    start += ", mapped" if spec.start_map else ""
    return f"at {' '.join(map(str, spec.widths))} bits{start}"


def write_ranks(ranks: Sequence[int]) -> str:
    """Return the first ranks of a configuration, or the one that all groups have."""
    if len(ranks) > 1 and len(set(ranks)) == 1:
        return f"all {ranks[0]}"
    return "·".join(map(str, ranks[:SHOWN_RANKS])) + ("…" if len(ranks) > SHOWN_RANKS else "")


def write_widths(quantizer: Mapping[str, Any]) -> str:
    """Return the widths of weights, inputs and cache: "4-bit", "W4A8KV4"; "16-bit" for none.

    Args:
        quantizer: The quantizer's fields, as a stored spec has them.
    """
    weights = f"{quantizer.get('bits', BITS_UNQUANTIZED):g}"
    found = {"A": quantizer.get("inputs"), "KV": quantizer.get("cache")}
    states = ""
    for letters, part in found.items():
        rounding = (part or {}).get("rounding", "none")
        if rounding != "none":
            states += letters + (weights if rounding == "layer" else str((part or {})["bits"]))
    return f"W{weights}{states}" if states else f"{weights}-bit"


def write_policy(training: Mapping[str, Any]) -> str:
    """Return how widths change in a training: "switchable 8·6·4", "cyclic 4–8"; "" for not at all.

    Args:
        training: The training's fields, as a stored spec has them.
    """
    policy = training.get("bit_policy") or {}
    kind = policy.get("policy", "fixed")
    if kind == "fixed":
        return ""
    if kind == "cyclic":
        return f"cyclic {policy['lowest']}–{policy['highest']}"
    joint = "→" if kind == "curriculum" else "·"
    scope = policy.get("scope", "model")
    widths = joint.join(map(str, policy["widths"]))
    return f"{kind} {widths}" + ("" if scope == "model" else f" by {scope}")


def _quantizer_words(spec: ExperimentSpec) -> list[str]:
    quantizer = spec.quantizer
    if isinstance(quantizer, FloatQuantizer):
        return ["16-bit"]
    width = write_widths(quantizer.model_dump())
    mix = ["sensitivity mix"] if _mixes_by_sensitivity(spec) else []
    mapped = ["layer map"] if quantizer.layer_bits else []
    if isinstance(quantizer, IntegerQuantizer):
        by_group = quantizer.granularity == "group"
        shared = f"group {quantizer.group_size}" if by_group else "per channel"
        words = [width, *mix, *mapped, shared]
        return words if quantizer.symmetry == "asymmetric" else [*words, quantizer.symmetry]
    is_uniform = isinstance(quantizer, LoftQUniformQuantizer)
    grid = "LoftQ-uniform" if is_uniform else "NormalFloat"
    block = quantizer.shared_weights
    return [f"{width} {grid}", *mix, *mapped, "per tensor" if block is None else f"block {block}"]


def _mixes_by_sensitivity(spec: ExperimentSpec) -> bool:
    quantizer = spec.quantizer
    if isinstance(quantizer, FloatQuantizer) or not quantizer.is_mixed:
        return False
    return isinstance(quantizer.mixing, BySensitivity)


def _training_words(spec: ExperimentSpec) -> list[str]:
    starts = _start_words(spec)
    if isinstance(spec.training, QatTraining):
        policy = write_policy(spec.training.model_dump())
        told = [policy] if policy else []
        return [*starts, "QAT", *told, *_adapter_words(spec), *_task_words(spec)]
    if starts:
        return [*starts, *_adapter_words(spec)]
    untouched = isinstance(spec.quantizer, FloatQuantizer)
    return ["baseline"] if untouched else [spec.initialization.method]


def _start_words(spec: ExperimentSpec) -> list[str]:
    """Return what fills the adapters before any training; nothing where they start empty."""
    start = spec.initialization
    if isinstance(start, LoftQ):
        return ["LoftQ"]
    if isinstance(start, AdapterFolder):
        return [f"adapter {PurePath(start.path).name}"]
    is_beside = not isinstance(spec.adapter, NoAdapter) and spec.adapter.placement == "parallel"
    return ["data-aware"] if isinstance(start, DataAware) and is_beside else []


def _task_words(spec: ExperimentSpec) -> list[str]:
    """Return the task a head learns; a causal language model's many runs are told by method."""
    task = spec.training_task
    return [] if task is None or spec.model.head == "causal-lm" else [task.task]


def _adapter_words(spec: ExperimentSpec) -> list[str]:
    adapter = spec.adapter
    if isinstance(adapter, ElasticLoraAdapter):
        return [f"NLS {write_ranks(adapter.rank_space)}"]
    if isinstance(adapter, LoraBankAdapter):
        return [f"LoRA bank {adapter.r}"]
    return [f"LoRA {adapter.r}"] if isinstance(adapter, LoraAdapter) else []
