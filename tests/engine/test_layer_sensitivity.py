"""Whole sensitivity runs: what they announce and write, with a parent and without, on tasks."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SpecError
from engine.events import Event, FileWritten, Progressed, SensitivityScored
from engine.layer_sensitivity import run_sensitivity
from engine.sensitivity.layer_facts import FACTS_FILE, read_layer_facts
from engine.specs import SensitivitySpec, resolve_child
from engine.specs.resolve import resolve_sensitivity
from tests.engine.test_map_evaluation import NEAREST, SWITCHABLE, Room

METHODS = ("gradient", "ablation", "output-error", "weight-error")
ON_TASKS = {"method": "ablation", "measured_on": "tasks"}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Return a room for all tests."""
    return Room(tmp_path_factory.mktemp("sensitivity"))


def calibration(room: Room) -> dict[str, Any]:
    return {"data": {"source": str(room.text)}, "num_samples": 3, "max_length": 16}


def score(room: Room, name: str, **asked: Any) -> list[Event]:
    """Score the tiny Llama as it is; return what was announced."""
    values = {
        "model": {"source": str(room.llama)},
        "quantizer": {"grid": "integer", "bits": 4, "group_size": 16},
        "calibration": calibration(room),
        "widths": [4, 2],
    }
    return run(room, name, resolve_sensitivity(values | asked))


def run(room: Room, name: str, spec: SensitivitySpec, **given: Any) -> list[Event]:
    events: list[Event] = []
    run_sensitivity(
        spec, workspace=room.workspace(name), listener=events.append, device="cpu", **given
    )
    return events


def scores_of(events: list[Event]) -> dict[tuple[str, int, str], float]:
    found = (event for event in events if isinstance(event, SensitivityScored))
    return {(each.unit, each.bits, each.metric): each.value for each in found}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_scores_every_layer(method: str, room: Room) -> None:
    """Each layer has a score at each width, and the facts of the layers are a report."""
    events = score(room, method, method={"method": method})
    found = scores_of(events)
    assert len({(unit, bits) for unit, bits, _ in found}) == 14 * 2
    assert FileWritten("report", FACTS_FILE) in events
    facts = read_layer_facts(room.folder / method / FACTS_FILE)
    assert facts is not None
    assert list(facts.layers) == list(dict.fromkeys(unit for unit, _, _ in found))
    last = [event for event in events if isinstance(event, Progressed)][-1]
    assert (last.stage, last.done) == ("sensitivity", last.total)


def test_done_pairs_are_not_measured_again(room: Room) -> None:
    """An ablation that goes on announces what is left, with the same scores."""
    asked = {"method": {"method": "ablation"}, "unit": "block"}
    whole = scores_of(score(room, "whole", **asked))
    spec = resolve_sensitivity(
        {
            "model": {"source": str(room.llama)},
            "quantizer": {"grid": "integer", "bits": 4, "group_size": 16},
            "calibration": calibration(room),
            "widths": [4, 2],
            **asked,
        }
    )
    rest = scores_of(run(room, "rest", spec, done={("model.layers.0", 2)}))
    assert rest == {key: value for key, value in whole.items() if key[:2] != ("model.layers.0", 2)}


@pytest.mark.parametrize("method", ["gradient", "ablation"])
def test_a_trained_run_is_scored_with_its_adapters(method: str, room: Room) -> None:
    """A run with an adapter for each width is scored, and not as the model without them."""
    spec, _, files = room.language(adapter=NEAREST, training=SWITCHABLE)
    asked = {
        "parent": 1,
        "method": {"method": method},
        "calibration": calibration(room),
        "widths": [4, 2],
    }
    child = resolve_child(SensitivitySpec, spec, asked)
    found = scores_of(run(room, f"trained-{method}", child, parent=files))
    plain = scores_of(score(room, f"plain-{method}", method={"method": method}))
    assert set(found) == set(plain)
    assert found != plain


def test_a_head_is_scored_on_its_task(room: Room) -> None:
    """A classifier's units are scored by what its task loses, with an error and its questions."""
    spec, _, files = room.head()
    asked = {"parent": 1, "method": ON_TASKS, "unit": "block", "widths": [2]}
    child = resolve_child(SensitivitySpec, spec, asked)
    events = run(room, "head", child, parent=files)
    told = [event for event in events if isinstance(event, SensitivityScored)]
    assert told
    assert {each.metric for each in told} >= {"sst2 accuracy"}
    assert all(-1 <= each.value <= 1 for each in told if each.metric == "sst2 accuracy")
    progress = [e for e in events if isinstance(e, Progressed) and e.stage == "sensitivity"]
    assert progress[-1].done == progress[-1].total
    assert [each.done for each in progress] == sorted(each.done for each in progress)


def test_what_does_not_fit_is_refused(room: Room) -> None:
    """A start map without layers and a float quantizer are refused at their fields."""
    with pytest.raises(SpecError) as caught:
        score(room, "wrong", method={"method": "ablation"}, start_map=["*.nothing=4"])
    assert [problem.field for problem in caught.value.problems] == ["start_map"]
    with pytest.raises(SpecError) as caught:
        score(room, "float", quantizer={"grid": "float"})
    assert [problem.field for problem in caught.value.problems] == ["quantizer.grid"]
