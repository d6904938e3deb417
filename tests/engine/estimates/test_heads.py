"""Estimates of heads other than causal-lm: no text, no teacher, and the size a run measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.estimates import Estimate, PastRun, SpeedBasis, estimate, learn_speed
from engine.estimates.workload import count_workload
from engine.layers.swap import LayerPlan, install
from engine.measured_size import measure_size
from engine.models.shapes import read_shapes
from engine.specs import ExperimentSpec, resolve
from tests.tiny_heads import make_kind, save_kind

TASKS = {"classification": "sst2", "span-qa": "squad", "seq2seq": "xsum"}
KINDS = [("bert", "classification"), ("deberta-v2", "span-qa"), ("t5 gated", "seq2seq")]


def spec_of(folder: Path, head: str, **training: Any) -> ExperimentSpec:
    values = {
        "model": {"source": str(folder), "head": head},
        "quantizer": {"grid": "normal-float", "bits": 2, "group_size": 16},
        "adapter": {"kind": "lora", "r": 4, "placement": "parallel"},
        "initialization": {"method": "loftq"},
        "training": {"method": "qat", "objective": "task", "max_steps": 10,
                     "data": {"kind": "task", "task": TASKS[head]}, **training},
    }  # fmt: skip
    return resolve(values).spec


def predict(spec: ExperimentSpec, folder: Path, speed: SpeedBasis | None = None) -> Estimate:
    return estimate(spec, read_shapes(spec.model, data_folder=folder), speed=speed or SpeedBasis())


@pytest.mark.parametrize(("kind", "head"), KINDS)
def test_the_size_is_what_a_run_measures(tmp_path: Path, kind: str, head: str) -> None:
    """Before launch the result weighs what the installed layers do."""
    spec = spec_of(save_kind(tmp_path, kind, head), head)
    model = make_kind(kind, head)
    layers = install(model, LayerPlan(spec.quantizer, spec.adapter, 0))
    measured = measure_size(model, layers, spec.quantizer)
    found = predict(spec, tmp_path)
    assert found.total_bytes == measured.total_bytes
    assert found.effective_bits == measured.effective_bits


@pytest.mark.parametrize(("kind", "head"), KINDS)
def test_neither_text_nor_a_teacher_is_counted(tmp_path: Path, kind: str, head: str) -> None:
    """Time goes into training and the task's own questions; totals are the sums of their parts."""
    spec = spec_of(save_kind(tmp_path, kind, head), head)
    work, found = count_workload(spec), predict(spec, tmp_path)
    assert (work.teach_tokens, work.evaluate_tokens) == (0, 0)
    assert min(work.train_tokens, work.benchmark_tokens) > 0
    assert found.seconds_parts["benchmarks"] > 0
    assert found.seconds_parts["teach"] == found.seconds_parts["evaluate"] == 0
    assert found.peak_memory_bytes == sum(found.memory_parts.values())
    assert (found.memory_parts["predictions"] > 0) == (head == "seq2seq")


def test_a_head_trained_whole_takes_memory(tmp_path: Path) -> None:
    """A classifier's own weights are trained beside the adapters and counted with them."""
    spec = spec_of(save_kind(tmp_path, "roberta", "classification"), "classification")
    with_head = predict(spec, tmp_path).memory_parts["trained"]
    spans = spec_of(tmp_path, "span-qa")
    assert with_head - predict(spans, tmp_path).memory_parts["trained"] == 4 * 5 * 32 * 32


def test_a_past_run_is_followed(tmp_path: Path) -> None:
    """Without any text, the measured speed of the task's questions makes the estimate firmer."""
    spec = spec_of(save_kind(tmp_path, "bert", "classification"), "classification")
    seconds = {"load": 2.0, "initialize": 1.0, "train": 30.0, "benchmarks": 12.0}
    found = predict(spec, tmp_path, learn_speed([PastRun(spec, seconds)]))
    assert found.seconds_parts["train"] == pytest.approx(30.0)
    assert found.seconds_parts["benchmarks"] == pytest.approx(12.0)
    assert "rule of thumb" not in found.basis
