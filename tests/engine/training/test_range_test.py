"""Promises of the range test: nothing is moved, the first width that learns is taken, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from engine.errors import Diverged, StorageError
from engine.events import Event, MetricPoint, Progressed
from engine.layers.layer_map import read_map
from engine.specs import FixedBits, LoraBankAdapter
from engine.specs.bit_policy import CyclicBits
from engine.training.range_report import RangeReport, find_report, write_report
from engine.training.range_test import count_trial_steps, find_lowest, relative_drop
from engine.training.step import StepResult, StepRunner
from tests.engine.tiny_layers import integer
from tests.engine.training.tiny_training import Tiny, curve, make_spec, make_training

WIDTHS = (5, 4, 3)


def make(folder: Path) -> Tiny:
    """Return a training at three widths."""
    adapter = LoraBankAdapter(r=4, lora_alpha=6.0)
    return make_training(folder, steps=8, widths=WIDTHS, quantizer=integer(bits=3), adapter=adapter)


def cyclic(**values: Any) -> CyclicBits:
    """Return cycles from 3 to 5 bits with a trial of six steps."""
    defaults = {"lowest": 3, "highest": 5, "num_cycles": 2, "range_test": True,
                "range_test_steps": 6}  # fmt: skip
    return CyclicBits(**defaults | values)


def find(tiny: Tiny, policy: CyclicBits, events: list[Event] | None = None) -> RangeReport:
    """Carry out the range test."""
    spec = make_spec(bit_policy=policy, warmup_ratio=0.5)
    bits = tiny.bit_policy(spec)
    assert bits is not None
    return find_lowest(
        tiny.learner(spec), tiny.layers, spec, bits=bits, ranks=None, key="this",
        listener=(events if events is not None else []).append,
    )  # fmt: skip


def test_nothing_of_a_trial_is_kept(tmp_path: Path) -> None:
    """Parameters of all widths and the layer map are what they were, and no gradient is left."""
    tiny = make(tmp_path)
    before, settings = tiny.trained(), read_map(tiny.layers)
    report = find(tiny, cyclic(range_test_threshold=0.99))
    after = tiny.trained()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert read_map(tiny.layers) == settings
    assert not any(value.grad is not None for value in tiny.model.parameters())
    assert (report.lowest, report.has_learned) == (5, False)
    assert set(report.drops) == {3, 4, 5}


def test_every_width_is_tried_from_the_same_start(tmp_path: Path) -> None:
    """A trial's curve is that of a training at that width alone, at the peak rates."""
    tiny, events = make(tmp_path), []
    report = find(tiny, cyclic(range_test_threshold=0.99), events)
    for width in WIDTHS:
        alone = make(tmp_path)
        spec = make_spec(
            bit_policy=CyclicBits(lowest=width, highest=width, num_cycles=1),
            warmup_ratio=0.0, lr_scheduler_type="constant",
        )  # fmt: skip
        losses = curve(alone.train(spec, tmp_path / str(width)), "train/loss")
        found = curve(events, f"range_test/loss_{width}bit")
        assert found == {step: losses[step] for step in range(1, 7)}
        assert report.drops[width] == relative_drop(list(found.values()))
    done = [event.done for event in events if isinstance(event, Progressed)]
    assert done == [*range(1, 19), 18]
    assert count_trial_steps(cyclic()) == 18


def fake_losses(losses: dict[int, list[float]]) -> Any:
    """Return what stands in for a step: the losses of each width in turn; none means diverged."""
    left = {width: list(values) for width, values in losses.items()}

    def run(_self: Any, _microbatches: Any, configurations: Any) -> StepResult:
        values = left[configurations[0].width]
        if not values:
            raise Diverged("the loss became nan")
        return StepResult((values.pop(0),), 1.0)

    return patch.object(StepRunner, "run", run)


FALLING, FLAT = [4.0, 4.0, 3.0, 3.0, 2.0, 2.0], [4.0, 3.99] * 3


@pytest.mark.parametrize(
    ("losses", "lowest", "drops"),
    [
        ({3: FALLING}, 3, {3: 0.5}),
        ({3: FLAT, 4: FALLING}, 4, {3: 0.0, 4: 0.5}),
        ({3: FALLING[:2], 4: FALLING[::-1], 5: FALLING}, 5, {3: None, 4: -1.0, 5: 0.5}),
        ({3: FLAT, 4: FLAT, 5: FLAT}, 5, {3: 0.0, 4: 0.0, 5: 0.0}),
    ],
    ids=["the lowest learns", "a flat one is passed", "so is one that diverges", "none learns"],
)
def test_the_first_width_that_learns_is_taken(
    tmp_path: Path, losses: dict, lowest: int, drops: dict
) -> None:
    """Widths are tried from the lowest until one loses enough; the highest where none does."""
    events: list[Event] = []
    with fake_losses(losses):
        report = find(make(tmp_path), cyclic(), events)
    assert report.lowest == lowest
    assert report.drops == pytest.approx(drops)
    tried = {event.key for event in events if isinstance(event, MetricPoint)}
    assert tried == {f"range_test/loss_{width}bit" for width in losses}
    assert [e.done for e in events if isinstance(e, Progressed)][-1] == 18


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([4.0, 2.0], 0.5), ([4.0, 9.0, 1.0], 0.75), ([0.0, 0.0], 0.0), ([3, 5, 0, 0, 0, 2, 0], 0.75)],
)
def test_thirds_are_compared(losses: list[float], expected: float) -> None:
    """The last third's mean is set against the first third's, each of one step at least."""
    assert relative_drop(losses) == expected


def test_a_report_is_found_again_by_its_key(tmp_path: Path) -> None:
    """What was written is read; another training's, a damaged or a missing file is none."""
    path = tmp_path / "run" / "range-test.json"
    report = RangeReport(key="this", lowest=4, threshold=0.01, drops={3: None, 4: 0.2})
    assert find_report(path, key="this") is None
    write_report(path, report)
    assert find_report(path, key="this") == report
    assert find_report(path, key="another") is None
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    path.write_text("{")
    assert find_report(path, key="this") is None


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Where a file stands in the folder's place, the sentence names the report."""
    (tmp_path / "run").write_text("")
    report = RangeReport(key="this", lowest=4, threshold=0.01, drops={})
    with pytest.raises(StorageError, match=r"range-test\.json could not be written"):
        write_report(tmp_path / "run" / "range-test.json", report)


def test_other_policies_have_no_trial() -> None:
    """Only cycles have a lowest width to find."""
    assert count_trial_steps(FixedBits()) == 0
