"""What the store promises about rank searches, on either database."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from engine.events import CandidateEvaluated, ScoreMeasured
from tasks.errors import RunNotFound, WrongState
from tasks.lease import claim_run, give_back
from tasks.settings import Settings
from tasks.store import leaderboard, measurements
from tasks.store.candidates import list_candidates, list_known
from tasks.store.database import Database
from tasks.store.recording import Batch, finish, write_batch
from tasks.store.run_changes import NewRun, create_run, delete_run, request_cancel, requeue
from tasks.store.runs import get_run, list_children
from tests.tasks.builders import make_run

TRIED = CandidateEvaluated((16, 8), 2400, "loss", 1.25, 0.1, 50, "lower", "median", 2.0)
OBJECTIVE = {"split": "held-out", "metric": "loss", "limit": None, "batch_size": 16}


def make_search(database: Database, parent_id: int, **objective: Any) -> int:
    spec = {"kind": "search", "objective": {**OBJECTIVE, **objective}}
    new = NewRun(
        name="search", kind="search", spec=spec, asked={}, preset=None, baseline_key="key",
        is_baseline=False, queue="cpu", parent_id=parent_id,
    )  # fmt: skip
    return create_run(database, new)[-1]


def write(database: Database, settings: Settings, run_id: int, *tried: CandidateEvaluated) -> None:
    held = claim_run(database, settings, "host/0", run_id=run_id)
    assert held is not None
    write_batch(database, held, Batch(candidates=list(tried)))
    give_back(database, held, outcome="returned")


def test_candidates_come_back_in_order_and_once(database: Database, settings: Settings) -> None:
    """A newer attempt appends after the older one's, and what was evaluated keeps its one row."""
    run_id = make_search(database, make_run(database))
    swapped = replace(TRIED, ranks=(8, 16), value=math.nan, standard_error=None)
    write(database, settings, run_id, TRIED, swapped)
    write(database, settings, run_id, replace(TRIED, value=9.0), replace(TRIED, ranks=(8, 8)))
    found = list_candidates(database, run_id)
    assert [row.position for row in found] == [0, 1, 2]
    assert [row.ranks for row in found] == [(16, 8), (8, 16), (8, 8)]
    assert (found[0].value, found[0].origin, found[0].seconds) == (1.25, "median", 2.0)
    assert math.isnan(found[1].value)


def test_a_search_knows_what_others_found_out(database: Database, settings: Settings) -> None:
    """Known are the configurations of the same training run and objective, whatever the batch."""
    parent, other = make_run(database), make_run(database)
    first, second = (make_search(database, parent, batch_size=size) for size in (16, 4))
    write(database, settings, first, TRIED)
    write(database, settings, second, replace(TRIED, value=7.0), replace(TRIED, ranks=(8, 8)))
    write(database, settings, make_search(database, parent, metric="accuracy"), TRIED)
    write(database, settings, make_search(database, other), replace(TRIED, ranks=(16, 16)))
    known = list_known(database, parent, {**OBJECTIVE, "batch_size": 1})
    assert [(row.ranks, row.value) for row in known] == [((16, 8), 1.25), ((8, 8), 1.25)]


def test_children_are_listed_oldest_first(database: Database) -> None:
    """The runs that build on a run are found from it."""
    parent = make_run(database)
    made = [make_search(database, parent) for _ in range(2)]
    assert [child.id for child in list_children(database, parent)] == made
    assert [child.kind for child in list_children(database, parent)] == ["search", "search"]
    assert list_children(database, made[0]) == ()


def test_a_run_stays_while_others_need_it(database: Database) -> None:
    """Its files are not taken from unfinished children, nor does anything build on a gone run."""
    parent = make_run(database)
    request_cancel(database, parent)
    child = make_search(database, parent)
    with pytest.raises(WrongState, match=rf"needed by unfinished runs \({child}\)"):
        delete_run(database, parent)
    request_cancel(database, child)
    delete_run(database, parent)
    assert get_run(database, child).parent_id is None
    with pytest.raises(WrongState, match="which was deleted"):
        requeue(database, child)
    with pytest.raises(RunNotFound, match=f"there is no run {parent}"):
        make_search(database, parent)


def test_a_score_before_training_stays_off_the_leaderboard(
    database: Database, settings: Settings
) -> None:
    """Both phases of one metric are kept; the leaderboard has the final one."""
    held = claim_run(database, settings, "host/0", run_id=make_run(database))
    assert held is not None
    details: dict[str, str | int | None] = {"harness": "lm-eval 0", "num_fewshot": None}
    final = ScoreMeasured("openbookqa", "acc", 0.4, 0.02, 500, "higher", details=details)
    scores = [final, replace(final, value=0.3, phase="before")]
    finish(database, held, Batch(scores=scores), ending="succeeded", columns={})
    listed = measurements.list_scores(database, held.run_id)
    assert [(score.phase, score.value) for score in listed] == [("before", 0.3), ("final", 0.4)]
    assert listed[0].details == details
    (row,) = leaderboard.list_rows(database)
    assert [score.value for score in row.scores.values()] == [0.4]
