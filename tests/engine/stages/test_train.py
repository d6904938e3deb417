"""Promises of runs whose widths change in training: where they end, and what is taken up again."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import Cancelled, SpecError
from engine.events import Event, FileWritten, Logged, MetricPoint, StageStarted
from engine.layers.bit_maps import mean_bits
from engine.layers.layer_map import held
from engine.specs import (
    ExperimentSpec,
    FixedInputs,
    IntegerQuantizer,
    LoraAdapter,
    LoraBankAdapter,
    ModelSpec,
    RoundToNearest,
)
from engine.specs.bit_policy import CyclicBits, SwitchableBits
from tests.engine.stages.test_supervise import Room

REPORT = "range-test.json"
CYCLIC = CyclicBits(
    lowest=3, highest=5, num_cycles=1, range_test=True, range_test_steps=3,
    range_test_threshold=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("widths"))


def make_spec(room: Room, policy: Any, *, bits: int = 5, steps: int = 4) -> ExperimentSpec:
    """Return a classifier trained with a bit policy."""
    return room.spec(
        model=ModelSpec(source=str(room.bert), head="classification"),
        quantizer=IntegerQuantizer(bits=bits, group_size=16),
        adapter=LoraBankAdapter(r=4, placement="parallel"),
        initialization=RoundToNearest(),
        training={"bit_policy": policy, "max_steps": steps},
    )


def stages(events: list[Event]) -> list[str]:
    return [event.stage for event in events if isinstance(event, StageStarted)]


def tell(events: list[Event]) -> str:
    return " ".join(event.message for event in events if isinstance(event, Logged))


def test_cycles_begin_at_the_width_of_the_range_test(room: Room) -> None:
    """The trial is a stage, its report is announced, and no step is below the width it found."""
    events = room.run(make_spec(room, CYCLIC), "cyclic")
    assert stages(events) == ["load", "initialize", "range-test", "train", "benchmarks"]
    assert ("report", REPORT) in [
        (event.kind, event.path) for event in events if isinstance(event, FileWritten)
    ]
    report = json.loads((room.folder / "cyclic" / REPORT).read_text())
    assert f"cycles begin at {report['lowest']} bits" in tell(events)
    lowest = [e for e in events if isinstance(e, MetricPoint) and e.key == "range_test/lowest_bits"]
    assert [(point.step, point.value) for point in lowest] == [(1, report["lowest"])]
    widths = [e.value for e in events if isinstance(e, MetricPoint) and e.key == "train/bits"]
    assert widths[0] == report["lowest"]
    assert min(widths) >= report["lowest"]


@pytest.mark.parametrize("step", [1, 3])
def test_a_resumed_run_takes_the_same_lowest_width(room: Room, step: int) -> None:
    """A later attempt reads the report instead of testing again, and ends bit for bit the same."""
    spec, name = make_spec(room, CYCLIC), f"resumed-{step}"
    room.run(spec, f"whole-{step}")
    file = room.stop(spec, name, step=step)
    torch.rand(7)
    events = room.run(spec, name, resume_from=file)
    assert "range-test" not in stages(events)
    assert REPORT in [event.path for event in events if isinstance(event, FileWritten)]
    for saved in ("result.safetensors", "head.safetensors"):
        found, expected = (
            load_file(room.folder / each / saved) for each in (name, f"whole-{step}")
        )
        assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_where_no_width_learns_cycles_stay_at_the_highest(room: Room) -> None:
    """The log says so, and that scores at a lower width are those of an untrained one."""
    policy = CYCLIC.model_copy(update={"range_test_threshold": 0.99})
    events = room.run(make_spec(room, policy, bits=3), "highest")
    assert "cycles begin at 5 bits, as no width learned" in tell(events)
    assert any(isinstance(e, Logged) and e.level == "warning" and "at 3 bits" in e.message
               for e in events)  # fmt: skip
    widths = {e.value for e in events if isinstance(e, MetricPoint) and e.key == "train/bits"}
    assert widths == {5.0}


def test_a_run_ends_at_its_own_width(room: Room) -> None:
    """Switchable runs that differ in their own width alone train alike, and are measured at it."""
    losses = []
    for bits in (5, 3):
        measured = []

        def watch(layers: Any, dtype: torch.dtype, measured: list[float] = measured) -> Any:
            measured.append(mean_bits(layers))
            return held(layers, dtype)

        spec = make_spec(room, SwitchableBits(widths=(5, 3)), bits=bits)
        with patch("engine.stages.supervise.held", watch):
            events = room.run(spec, f"own-{bits}")
        assert measured == [bits]
        points = [event for event in events if isinstance(event, MetricPoint)]
        losses.append([each.value for each in points if "train/loss_" in each.key])
    assert len(losses[0]) == 2 * 4
    assert losses[0] == losses[1]


def test_too_few_steps_are_refused_before_training(room: Room) -> None:
    """More cycles than steps are refused at their field, with no checkpoint left behind."""
    policy = CyclicBits(lowest=3, highest=5, num_cycles=9)
    with pytest.raises(SpecError, match=r"training\.bit_policy\.num_cycles: 9 cycles need"):
        room.run(make_spec(room, policy), "few")
    assert not list((room.folder / "few").glob("checkpoint*"))


def test_a_cancelled_trial_leaves_no_report(room: Room) -> None:
    """Stopped within the range test, there is no report; the next attempt tests again."""

    def cancel(event: Event) -> None:
        if isinstance(event, MetricPoint) and event.key.startswith("range_test/"):
            raise Cancelled

    with pytest.raises(Cancelled):
        room.run(make_spec(room, CYCLIC), "cancelled", listener=cancel)
    assert not (room.folder / "cancelled" / REPORT).exists()
    assert "range-test" in stages(room.run(make_spec(room, CYCLIC), "cancelled"))


@pytest.mark.parametrize("granularity", ["token", "tensor"])
def test_a_finer_cut_goes_on_unless_scales_are_shared(room: Room, granularity: str) -> None:
    """Where a scale spans a pass, a run cut finer begins anew and ends as one cut so throughout."""
    quantizer = IntegerQuantizer(
        bits=4, group_size=16, inputs=FixedInputs(bits=4, granularity=granularity)
    )
    cut = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2}
    coarse, fine = (
        room.spec(
            quantizer=quantizer, adapter=LoraAdapter(r=4), initialization=RoundToNearest(),
            training=training,
        )
        for training in ({}, cut)
    )  # fmt: skip
    file = room.stop(coarse, f"coarse-{granularity}", step=2)
    events = room.run(fine, f"finer-{granularity}", resume_from=file)
    assert ("resumed from" in tell(events)) == (granularity == "token")
    assert ("training begins anew" in tell(events)) == (granularity == "tensor")
    if granularity == "token":
        return
    room.run(fine, "fine")
    found, expected = (
        load_file(room.folder / name / "result.safetensors") for name in ("finer-tensor", "fine")
    )
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    file = room.stop(fine, "fine-stopped", step=2)
    assert "resumed from" in tell(room.run(fine, "fine-again", resume_from=file))
