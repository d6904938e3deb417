"""Widths of a run with a fraction of bits: chosen once, written down, and really installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.allocation.fractions import mean_bits, spread_widths
from engine.errors import DataError, ModelError, SpecError
from engine.estimates.size import estimate_size
from engine.events import Event, FileWritten, Logged, Progressed, SizeMeasured, StageStarted
from engine.experiment import RESULT_FILE, Workspace, run_experiment
from engine.models.shapes import read_shapes
from engine.result import read_widths
from engine.sensitivity.gradient import Sensitivity
from engine.specs import (
    BySensitivity,
    DataSpec,
    EvaluationSpec,
    ExperimentSpec,
    IntegerQuantizer,
    ModelSpec,
    NormalFloatQuantizer,
)
from engine.stages import widths
from tests.tiny_models import save_llama

WIDTHS_FILE = "layer-widths.json"
WINDOWS, LENGTH = 4, 16


class Room:
    """A folder with a model, a text, and the runs made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = ModelSpec(source=str(save_llama(folder / "model")))
        self.text = DataSpec(source=str(folder / "text.txt"))
        lines = [f"Line {number} says {number * 7 % 13}." for number in range(90)]
        (folder / "text.txt").write_text("\n\n".join(lines), encoding="utf-8")

    @property
    def by_sensitivity(self) -> BySensitivity:
        """Return the rule that measures on the room's text."""
        return BySensitivity(data=self.text, num_samples=WINDOWS, max_length=LENGTH)

    def spec(self, bits: float, **values: Any) -> ExperimentSpec:
        """Return round-to-nearest at so many bits."""
        return ExperimentSpec(
            model=self.model,
            quantizer=IntegerQuantizer(bits=bits, group_size=16, **values),
            evaluation=EvaluationSpec(data=self.text, max_length=LENGTH, limit=2),
        )

    def run(self, spec: ExperimentSpec, name: str) -> list[Event]:
        """Carry a run out in a folder of that name; return what it announced."""
        events: list[Event] = []
        workspace = Workspace(self.folder / name, self.folder / "data")
        run_experiment(spec, workspace=workspace, listener=events.append, device="cpu")
        return events

    def written(self, name: str) -> dict[str, Any]:
        """Return the file of widths of a run."""
        read: dict[str, Any] = json.loads((self.folder / name / WIDTHS_FILE).read_text())
        return read

    def installed(self, name: str) -> dict[str, int]:
        """Return the widths a run's result has."""
        return read_widths(self.folder / name / RESULT_FILE)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Return a room for all tests: the model is read, never written."""
    return Room(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def measured(room: Room) -> list[Event]:
    """Return the events of a run with widths by sensitivity."""
    return room.run(room.spec(2.6, mixing=room.by_sensitivity), "measured")


def sizes_of(room: Room) -> dict[str, int]:
    """Return the weights of every layer of the model."""
    shapes = read_shapes(room.model, data_folder=room.folder)
    return {layer.name: layer.num_weights for layer in shapes.layers}


def lines_of(events: list[Event]) -> list[str]:
    """Return what was logged."""
    return [event.message for event in events if isinstance(event, Logged)]


def test_first_layers(room: Room) -> None:
    """The first block gets 4 bits of 3.5, in the result and in the file, and the log says so."""
    spec = room.spec(3.5)
    events = room.run(spec, "first")
    installed = room.installed("first")
    assert installed == {
        f"model.layers.{block}.{kind}": 4 if block == 0 else 2
        for block in range(2)
        for kind in (
            *(f"self_attn.{side}_proj" for side in "qkvo"),
            *(f"mlp.{side}_proj" for side in ("gate", "up", "down")),
        )
    }
    written = room.written("first")
    assert (written["format"], written["rule"]) == ("bitdial-layer-widths-1", "first-layers")
    assert written["layers"] == installed
    assert written["average"] == 3
    assert "scores" not in written
    assert FileWritten("report", WIDTHS_FILE) in events
    assert "3.5 bits: 7 layers at 4, 7 at 2 (mean 3)" in lines_of(events)
    size = next(event for event in events if isinstance(event, SizeMeasured))
    shapes = read_shapes(room.model, data_folder=room.folder)
    assert estimate_size(spec, shapes).parts == size.parts
    assert estimate_size(spec, shapes).effective_bits == pytest.approx(size.effective_bits)


def test_by_sensitivity(room: Room, measured: list[Event]) -> None:
    """Measured widths keep within the mean, are installed, and stand beside their scores."""
    written, installed = room.written("measured"), room.installed("measured")
    assert written["rule"] == "sensitivity"
    assert written["layers"] == installed
    assert written["average"] == mean_bits(installed, sizes_of(room)) <= 2.6
    assert len(set(installed.values())) > 1
    assert set(written["scores"]) == set(written["errors"]) == set(installed)
    for scores in written["scores"].values():
        assert list(scores) == [str(width) for width in range(2, 9)]
    assert StageStarted("sensitivity", WINDOWS) in measured
    assert Progressed("sensitivity", WINDOWS, WINDOWS + 1) in measured


def test_better_than_the_first_layers(room: Room, measured: list[Event]) -> None:
    """The measured scores of the chosen widths are below those of the published rule's."""
    assert measured
    scores, chosen = room.written("measured")["scores"], room.installed("measured")
    sizes = {name: sizes_of(room)[name] for name in chosen}
    published = spread_widths(sizes, 3.2)
    assert mean_bits(published, sizes) > mean_bits(chosen, sizes)

    def total(widths: dict[str, int]) -> float:
        return sum(float(scores[name][str(width)]) for name, width in widths.items())

    assert total(chosen) < total(published)


def test_a_second_attempt_takes_the_same_widths(
    room: Room, measured: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Widths chosen by an earlier attempt are read back, not measured again."""
    assert measured
    before = room.written("measured")
    monkeypatch.setattr(widths, "measure_sensitivity", _must_not_be_called)
    events = room.run(room.spec(2.6, mixing=room.by_sensitivity), "measured")
    assert room.written("measured") == before
    assert room.installed("measured") == before["layers"]
    assert FileWritten("report", WIDTHS_FILE) in events
    assert StageStarted("sensitivity", WINDOWS) not in events


def _must_not_be_called(*args: Any, **kwargs: Any) -> Sensitivity:
    raise AssertionError((args, kwargs))


def test_widths_of_another_spec_are_not_taken(room: Room) -> None:
    """A file left by another quantizer in the same folder is replaced."""
    room.run(room.spec(3.5), "shared")
    quantizer = NormalFloatQuantizer(bits=4.2, group_size=16, mixing=room.by_sensitivity)
    room.run(room.spec(4).model_copy(update={"quantizer": quantizer}), "shared")
    written = room.written("shared")
    assert written["rule"] == "sensitivity"
    assert written["layers"] == room.installed("shared")
    assert 3.5 < written["average"] <= 4.2


def test_whole_bits_write_no_file(room: Room) -> None:
    """Where every layer has the same width there is nothing to choose and nothing to write."""
    events = room.run(room.spec(3, mixing=room.by_sensitivity), "whole")
    assert set(room.installed("whole").values()) == {3}
    assert not (room.folder / "whole" / WIDTHS_FILE).exists()
    assert not [event for event in events if event == FileWritten("report", WIDTHS_FILE)]


def test_too_few_blocks(room: Room) -> None:
    """A fraction that gives no block more bits is refused at the bits."""
    with pytest.raises(SpecError, match=r"quantizer\.bits: 2\.5 of 2 blocks gives no block 4 bits"):
        room.run(room.spec(2.5), "few")


def test_one_layer(room: Room) -> None:
    """A single layer cannot have a mean width."""
    one = room.spec(2.5, mixing=room.by_sensitivity, include=("*.0.self_attn.q_proj",))
    with pytest.raises(SpecError, match=r"2\.5 on the mean needs two layers or more"):
        room.run(one, "one")


def test_a_text_that_is_not_there(room: Room) -> None:
    """Calibration text that cannot be read is told at its own field."""
    missing = BySensitivity(data=DataSpec(source="/nowhere/text.txt"))
    with pytest.raises(DataError) as refused:
        room.run(room.spec(2.5, mixing=missing), "missing")
    assert refused.value.field.startswith("quantizer.mixing.data")


def test_scores_that_are_no_numbers(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that overflow are refused at the number format."""
    name = "model.layers.0.self_attn.q_proj"
    broken = Sensitivity({name: dict.fromkeys(widths.WIDTHS, float("nan"))}, {})
    monkeypatch.setattr(widths, "measure_sensitivity", lambda *_args, **_named: broken)
    with pytest.raises(ModelError, match="not a finite number") as refused:
        room.run(room.spec(2.5, mixing=room.by_sensitivity), "broken")
    assert refused.value.field == "model.dtype"


def test_too_little_text(room: Room) -> None:
    """A text shorter than a window is told with its length."""
    long = BySensitivity(data=room.text, max_length=100_000)
    with pytest.raises(DataError, match="too few for one window"):
        room.run(room.spec(2.5, mixing=long), "short")
