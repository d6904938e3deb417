"""Combinations of axes that make no sense are refused with what would be accepted."""

from __future__ import annotations

from typing import Any

import pytest

from engine.specs import (
    AdapterFolder,
    BySensitivity,
    DataAware,
    ElasticLoraAdapter,
    EvaluationSpec,
    ExperimentSpec,
    IntegerQuantizer,
    LoftQ,
    LoraAdapter,
    ModelSpec,
    NormalFloatQuantizer,
    NoTraining,
    QatTraining,
    TaskData,
)
from engine.specs.experiment import iter_conflicts

NORMAL = NormalFloatQuantizer()
INTEGER = IntegerQuantizer()
ELASTIC = ElasticLoraAdapter(placement="parallel")
PARALLEL = LoraAdapter(placement="parallel")
ENCODER = ModelSpec(head="classification")
MIXED = NormalFloatQuantizer(bits=2.5, mixing=BySensitivity())
SST2 = EvaluationSpec(benchmarks=("sst2",))
ANSWERS = QatTraining(objective="task", data=TaskData(task="sst2", loss_on="answer"))
SQUAD = EvaluationSpec(benchmarks=("squad",))


def conflicts(**values: Any) -> dict[str, str]:
    return {each.field: each.message for each in iter_conflicts(ExperimentSpec(**values))}


@pytest.mark.parametrize(
    ("values", "field", "accepted"),
    [
        ({"quantizer": INTEGER, "adapter": LoraAdapter()}, "training.method", "choose qat"),
        ({"quantizer": NORMAL, "training": QatTraining()}, "training.method", "adapter.kind lora"),
        (
            {"quantizer": NORMAL, "initialization": AdapterFolder(path="lora")},
            "initialization.method",
            "adapter.kind lora",
        ),
        (
            {"quantizer": NORMAL, "initialization": AdapterFolder(), "adapter": PARALLEL},
            "initialization.path",
            "adapter_config.json",
        ),
        (
            {"quantizer": MIXED, "model": ENCODER, "evaluation": SST2},
            "quantizer.mixing.rule",
            "first-layers",
        ),
        ({"model": ENCODER}, "evaluation.benchmarks", "sst2"),
        ({"model": ENCODER, "evaluation": SQUAD}, "evaluation.benchmarks", "sst2"),
        (
            {"model": ENCODER, "evaluation": EvaluationSpec(benchmarks=("sst2", "stsb"))},
            "evaluation.benchmarks",
            "sst2 2 classes, stsb a number; measure one kind at once",
        ),
        (
            {"model": ENCODER, "evaluation": SST2.model_copy(update={"num_fewshot": 0})},
            "evaluation.num_fewshot",
            "leave it empty",
        ),
        (
            {"model": ENCODER, "evaluation": SST2.model_copy(update={"num_beams": 2})},
            "evaluation.num_beams",
            "leave it at 1",
        ),
        (
            {"evaluation": EvaluationSpec(max_new_tokens=64)},
            "evaluation.max_new_tokens",
            "leave it at 128",
        ),
        (
            {"model": ENCODER, "quantizer": INTEGER, "training": ANSWERS},
            "training.data.loss_on",
            "leave it at text",
        ),
        ({"quantizer": NORMAL, "initialization": LoftQ()}, "initialization.method", "adapter.kind"),
        (
            {"quantizer": NORMAL, "initialization": LoftQ(), "adapter": LoraAdapter()},
            "adapter.placement",
            "choose parallel",
        ),
        (
            {"initialization": LoftQ(), "adapter": PARALLEL},
            "initialization.method",
            "quantizer.grid normal-float or integer",
        ),
        ({"initialization": DataAware()}, "initialization.method", "round-to-nearest"),
        ({"training": QatTraining()}, "training.method", "quantizer.grid integer"),
        (
            {"adapter": LoraAdapter(), "training": QatTraining()},
            "training.objective",
            "use task",
        ),
        (
            {"quantizer": INTEGER, "training": QatTraining(range_learning_rate=0)},
            "training.range_learning_rate",
            "above 0",
        ),
    ],
)
def test_senseless_combinations(values: dict[str, Any], field: str, accepted: str) -> None:
    """Each is told once, at its field, with what would be accepted."""
    found = conflicts(**values)
    assert list(found) == [field]
    assert accepted in found[field]


def test_a_head_learns_its_own_tasks() -> None:
    """A task for another head is told with the head it needs; its own is also what is measured."""
    training = QatTraining(objective="task", data=TaskData(task="sst2"))
    wanted = {"quantizer": INTEGER, "adapter": PARALLEL, "training": training}
    assert "model.head classification" in conflicts(**wanted)["training.data.task"]
    spec = ExperimentSpec(**wanted, model=ENCODER)
    assert list(iter_conflicts(spec)) == []
    assert spec.measured_tasks == ("sst2",)


def test_options_of_a_head_are_its_own() -> None:
    """What other heads are refused is accepted where it is read."""
    writer, summaries = ModelSpec(head="seq2seq"), {"max_new_tokens": 64, "num_beams": 2}
    evaluation = EvaluationSpec(benchmarks=("xsum",), **summaries)
    assert conflicts(model=writer, evaluation=evaluation) == {}
    assert conflicts(evaluation=EvaluationSpec(benchmarks=("gsm8k",), num_fewshot=5)) == {}
    both = EvaluationSpec(benchmarks=("rte", "wnli"))
    assert conflicts(model=ENCODER, evaluation=both) == {}


def test_a_fraction_of_bits_stays_one_and_a_whole_number_is_whole() -> None:
    """2.5 bits are mixed and written as 2.5; 4.0 bits are 4."""
    assert NormalFloatQuantizer(bits=2.5).is_mixed
    assert not NormalFloatQuantizer(bits=4.0).is_mixed
    assert repr(NormalFloatQuantizer(bits=4.0).model_dump()["bits"]) == "4"


@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
@pytest.mark.parametrize("quantizer", [INTEGER, NORMAL], ids=["integer", "normal-float"])
def test_every_grid_trains_an_adapter(quantizer: Any, placement: Any) -> None:
    """Either grid goes with an adapter inside the rounding or beside it."""
    adapter = LoraAdapter(placement=placement)
    assert conflicts(quantizer=quantizer, adapter=adapter, training=QatTraining()) == {}


@pytest.mark.parametrize("training", [NoTraining(), QatTraining()], ids=["untrained", "qat"])
@pytest.mark.parametrize("quantizer", [INTEGER, NORMAL], ids=["integer", "normal-float"])
@pytest.mark.parametrize("adapter", [PARALLEL, ELASTIC], ids=["fixed", "elastic"])
def test_loftq_goes_with_any_grid_and_parallel_adapter(
    training: Any, quantizer: Any, adapter: Any
) -> None:
    """LoftQ makes an adapter worth having without any training, and is a start of one."""
    start = LoftQ()
    values = {"quantizer": quantizer, "adapter": adapter, "training": training}
    assert conflicts(**values, initialization=start) == {}


def test_a_saved_adapter_makes_no_baseline() -> None:
    """A 16-bit model that starts from a saved adapter is not what others are compared with."""
    start = AdapterFolder(path="lora")
    assert conflicts(adapter=LoraAdapter(), initialization=start) == {}
    assert not ExperimentSpec(adapter=LoraAdapter(), initialization=start).is_baseline
    assert ExperimentSpec().is_baseline
