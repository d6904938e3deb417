"""Combinations of axes that make no sense are refused with what would be accepted."""

from __future__ import annotations

from typing import Any

import pytest

from engine.specs import (
    DataAware,
    ElasticLoraAdapter,
    ExperimentSpec,
    IntegerQuantizer,
    LoftQ,
    LoraAdapter,
    NormalFloatQuantizer,
    NoTraining,
    QatTraining,
)
from engine.specs.experiment import iter_conflicts

NORMAL = NormalFloatQuantizer()
INTEGER = IntegerQuantizer()
ELASTIC = ElasticLoraAdapter(placement="parallel")
PARALLEL = LoraAdapter(placement="parallel")


def conflicts(**values: Any) -> dict[str, str]:
    return {each.field: each.message for each in iter_conflicts(ExperimentSpec(**values))}


@pytest.mark.parametrize(
    ("values", "field", "accepted"),
    [
        ({"quantizer": INTEGER, "adapter": LoraAdapter()}, "training.method", "choose qat"),
        ({"quantizer": NORMAL, "training": QatTraining()}, "training.method", "adapter.kind lora"),
        (
            {"quantizer": NORMAL, "initialization": DataAware()},
            "initialization.method",
            "round-to-nearest",
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
