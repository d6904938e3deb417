"""Names of runs, and which runs share a baseline."""

from __future__ import annotations

from typing import Any

import pytest

from engine.specs import (
    ExperimentSpec,
    RankEvaluationSpec,
    RankSearchSpec,
    resolve,
    resolve_child,
)
from tasks.naming import baseline_key, build_baseline, make_name, write_ranks


def spec(**values: Any) -> ExperimentSpec:
    return resolve(values).spec


def classify(task: str, **evaluation: Any) -> dict[str, Any]:
    return {
        "preset": "loftq",
        "model": {"source": "x/minilm", "head": "classification"},
        "training": {
            "method": "qat",
            "objective": "task",
            "data": {"kind": "task", "task": task},
        },
        "evaluation": evaluation,
    }


def test_runs_of_one_setting_share_a_baseline() -> None:
    """Neither method, name nor batch size changes what a run is compared with."""
    base = baseline_key(spec(preset="baseline"))
    evaluation = {"per_device_eval_batch_size": 1, "divergence": False}
    same = spec(preset="qat-lora", name="x", seed=1, evaluation=evaluation)
    assert baseline_key(same) == base
    assert len(base) == 64


@pytest.mark.parametrize(
    "values",
    [
        {"model": {"source": "other/model"}},
        {"model": {"dtype": "bfloat16"}},
        {"evaluation": {"limit": 3}},
        {"evaluation": {"data": {"split": "validation"}}},
    ],
)
def test_another_setting_has_another_baseline(values: dict[str, Any]) -> None:
    """Model, number format and what is measured on make the setting."""
    assert baseline_key(spec(**values)) != baseline_key(spec())


def test_a_baseline_is_the_untouched_model_of_the_same_setting() -> None:
    """The baseline of a spec is a baseline, and its own."""
    run = spec(preset="qat-lora", evaluation={"limit": 5})
    baseline = build_baseline(run)
    assert baseline.is_baseline
    assert baseline_key(baseline) == baseline_key(run)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"preset": "baseline"}, "smollm2-135m-instruct 16-bit baseline"),
        ({"preset": "rtn"}, "smollm2-135m-instruct 4-bit group 64 round-to-nearest"),
        (
            {
                "preset": "qat-lora",
                "quantizer": {"symmetry": "symmetric", "granularity": "channel"},
            },
            "smollm2-135m-instruct 3-bit per channel symmetric QAT LoRA 16",
        ),
        (
            {"preset": "switchable"},
            "smollm2-135m-instruct W4A8 group 64 narrow QAT switchable 8·6·4 LoRA bank 16",
        ),
        (
            {"preset": "cyclic", "quantizer": {"inputs": {"rounding": "none"}}},
            "smollm2-135m-instruct 4-bit group 64 narrow QAT cyclic 4–8 LoRA 16",
        ),
        (
            {"preset": "random-precision", "quantizer": {"cache": {"rounding": "layer"}}},
            "smollm2-135m-instruct W4A8KV4 group 64 narrow QAT random 8·7·6·5·4 by block LoRA 16",
        ),
        (
            {"preset": "curriculum"},
            "smollm2-135m-instruct 3-bit group 64 narrow QAT curriculum 8→6→4→3 LoRA 16",
        ),
        (
            {"preset": "rtn", "quantizer": {"layer_bits": ["*.mlp.*=3"]}},
            "smollm2-135m-instruct 4-bit layer map group 64 round-to-nearest",
        ),
        (
            {"preset": "qat-nls"},
            "smollm2-135m-instruct 4-bit group 64 QAT NLS 16·12·8",
        ),
        (
            {"quantizer": {"grid": "normal-float", "bits": 3}},
            "smollm2-135m-instruct 3-bit NormalFloat block 64 round-to-nearest",
        ),
        (
            {"preset": "loftq"},
            "smollm2-135m-instruct 4-bit NormalFloat block 64 LoftQ LoRA 16",
        ),
        (
            {"preset": "loftq", "quantizer": {"bits": 2.5}},
            "smollm2-135m-instruct 2.5-bit NormalFloat block 64 LoftQ LoRA 16",
        ),
        (
            {"quantizer": {"grid": "integer", "bits": 2.25, "mixing": {"rule": "sensitivity"}}},
            "smollm2-135m-instruct 2.25-bit sensitivity mix group 64 round-to-nearest",
        ),
        (
            {"preset": "rtn", "quantizer": {"mixing": {"rule": "sensitivity"}}},
            "smollm2-135m-instruct 4-bit group 64 round-to-nearest",
        ),
        (
            {"quantizer": {"grid": "loftq-uniform", "bits": 2, "granularity": "tensor"}},
            "smollm2-135m-instruct 2-bit LoftQ-uniform per tensor round-to-nearest",
        ),
        (
            {"preset": "rtn", "initialization": {"method": "minimal-error"}},
            "smollm2-135m-instruct 4-bit group 64 minimal-error",
        ),
        (
            {"preset": "rtn", "initialization": {"method": "data-aware"}},
            "smollm2-135m-instruct 4-bit group 64 data-aware",
        ),
        (
            {"preset": "loftq", "initialization": {"method": "data-aware"}},
            "smollm2-135m-instruct 4-bit NormalFloat block 64 data-aware LoRA 16",
        ),
        (
            {
                "preset": "loftq",
                "initialization": {"method": "adapter-folder", "path": "/a/mine/"},
            },
            "smollm2-135m-instruct 4-bit NormalFloat block 64 adapter mine LoRA 16",
        ),
        (
            classify("sst2"),
            "minilm 4-bit NormalFloat block 64 LoftQ QAT LoRA 16 sst2",
        ),
        ({"preset": "rtn", "name": " mine "}, "mine"),
        ({"model": {"source": "/models/gpt2/"}}, "gpt2 16-bit baseline"),
    ],
)
def test_a_run_without_a_name_is_named_after_its_spec(values: dict[str, Any], name: str) -> None:
    """The name says model, bits and method; a given one is kept."""
    assert make_name(spec(**values)) == name


def test_benchmarks_have_baselines_of_their_own() -> None:
    """Which benchmarks and how they are asked decide; their order and number of askings do not."""

    def key(**evaluation: Any) -> str:
        return baseline_key(spec(evaluation=evaluation))

    two = key(benchmarks=["openbookqa", "arc_easy"])
    assert two == key(benchmarks=["arc_easy", "openbookqa"], before_training=True)
    assert len({two, key(), key(benchmarks=["openbookqa", "arc_easy"], num_fewshot=5)}) == 3
    assert key() == key(num_fewshot=5, benchmark_limit=9)


def test_runs_from_before_there_were_benchmarks_keep_their_baseline() -> None:
    """A store that is upgraded compares its new runs with the baselines it has."""
    known = "1896a43187181c15d1ea72f12169eee38f03305ddd0342e0733f143d2909befa"
    assert baseline_key(spec(preset="rtn")) == known


def test_a_head_is_measured_on_its_task_and_no_text() -> None:
    """What is trained is measured unasked; texts and windows are nothing to a classifier."""
    sst2 = baseline_key(spec(**classify("sst2")))
    assert sst2 == baseline_key(spec(**classify("sst2", benchmarks=["sst2"], limit=3)))
    assert sst2 != baseline_key(spec(**classify("rte")))
    assert sst2 != baseline_key(spec(**classify("sst2", benchmark_limit=100)))


def test_runs_that_build_on_another_say_so() -> None:
    """A search names its strategy, an evaluation its ranks, both the run they build on."""
    parent = spec(preset="qat-nls")
    search = resolve_child(RankSearchSpec, parent, {"parent": 12})
    assert make_name(search) == "search: hill-climbing on run 12"
    ranks = {"parent": 12, "ranks": [16, 12, 8, 8]}
    evaluation = resolve_child(RankEvaluationSpec, parent, ranks)
    assert make_name(evaluation) == "ranks 16·12·8… of run 12"
    assert write_ranks((8, 8, 8, 8)) == "all 8"
    assert write_ranks((8,)) == "8"
