"""What the store promises about scores at layer maps, on either database."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select

from engine.events import MapScored, ScoreMeasured
from tasks.lease import claim_run, give_back
from tasks.settings import Settings
from tasks.store.database import Database
from tasks.store.leaderboard import list_rows
from tasks.store.map_scores import (
    find_map_evaluations,
    list_done,
    list_map_scores,
    list_trained_points,
)
from tasks.store.recording import Batch, finish, write_batch
from tasks.store.run_changes import NewRun, create_run, delete_run
from tasks.store.runs import get_run
from tasks.store.tables import MapScore
from tests.tasks.builders import make_run

SCORED = MapScored(
    place=0, label="8 bits", bits=8.0, effective_bits=8.25, benchmark="text/x", metric="perplexity",
    value=12.5, standard_error=0.5, num_samples=100, direction="lower",
)  # fmt: skip
TRAINED = {"preset": "qat-lora"}


def make_evaluation(database: Database, parent_id: int) -> int:
    key = get_run(database, parent_id).baseline_key
    new = NewRun(
        name="maps", kind="map-evaluation", spec={"kind": "map-evaluation", "maps": []}, asked={},
        preset=None, baseline_key=key, is_baseline=False, queue="cpu", parent_id=parent_id,
    )  # fmt: skip
    return create_run(database, new)[-1]


def write(database: Database, settings: Settings, run_id: int, *scored: MapScored) -> None:
    held = claim_run(database, settings, "host/0", run_id=run_id)
    assert held is not None
    write_batch(database, held, Batch(map_scores=list(scored)))
    give_back(database, held, outcome="returned")


def end(database: Database, settings: Settings, run_id: int, *scores: ScoreMeasured) -> int:
    held = claim_run(database, settings, "host/0", run_id=run_id)
    assert held is not None
    finish(database, held, Batch(scores=list(scores)), ending="succeeded", columns={})
    return run_id


def test_scores_come_back_map_by_map_and_once(database: Database, settings: Settings) -> None:
    """A newer attempt's score replaces the older one's; what is no number comes back as none."""
    run_id = make_evaluation(database, make_run(database))
    lower = replace(SCORED, place=1, label="4 bits", bits=4.0, value=math.nan, standard_error=None)
    write(database, settings, run_id, lower, SCORED, replace(SCORED, metric="kl_divergence"))
    write(database, settings, run_id, replace(SCORED, value=11.0))
    found = list_map_scores(database, run_id)
    assert [(row.place, row.metric) for row in found] == [
        (0, "kl_divergence"),
        (0, "perplexity"),
        (1, "perplexity"),
    ]
    assert (found[1].value, found[1].label, found[1].effective_bits) == (11.0, "8 bits", 8.25)
    assert math.isnan(found[2].value)
    assert found[2].standard_error is None


def test_the_last_map_may_have_been_cut_short(database: Database, settings: Settings) -> None:
    """A new attempt is told of every map that was measured whole, which the last may not be."""
    run_id = make_evaluation(database, make_run(database))
    assert list_done(database, run_id) == ()
    write(database, settings, run_id, SCORED)
    assert list_done(database, run_id) == ()
    write(database, settings, run_id, replace(SCORED, place=1), replace(SCORED, place=2))
    assert list_done(database, run_id) == (0, 1)


def test_scores_go_with_their_run(database: Database, settings: Settings) -> None:
    """Deleting an evaluation of maps leaves none of its scores behind."""
    run_id = make_evaluation(database, make_run(database))
    write(database, settings, run_id, SCORED)
    end(database, settings, run_id)
    delete_run(database, run_id)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(MapScore)) == 0


def test_the_newest_finished_evaluation_comes_first(database: Database, settings: Settings) -> None:
    """Those of other runs and those that have not ended are left out unless asked for."""
    parent = make_run(database)
    made = [make_evaluation(database, parent) for _ in range(3)]
    make_evaluation(database, make_run(database))
    for run_id in made[:2]:
        end(database, settings, run_id)
    assert [run.id for run in find_map_evaluations(database, parent)] == [made[1], made[0]]
    waiting = find_map_evaluations(database, parent, states=("queued",))
    assert [run.id for run in waiting] == [made[2]]


def test_an_evaluation_of_maps_stays_off_the_leaderboard(
    database: Database, settings: Settings
) -> None:
    """It has no score of its own that could stand beside other runs'."""
    parent = end(database, settings, make_run(database))
    end(database, settings, make_evaluation(database, parent))
    assert [row.run.id for row in list_rows(database)] == [parent]


def test_runs_of_one_width_are_what_a_curve_is_compared_with(
    database: Database, settings: Settings
) -> None:
    """Trained at one width in the same setting, by width; the evaluated run is not among them."""
    score = ScoreMeasured("text/x", "perplexity", 12.5, 0.5, 100, "lower")
    before = replace(score, value=99.0, phase="before")

    def train(bits: float, **values: Any) -> int:
        quantizer = {"grid": "integer", "bits": bits, "granularity": "channel"}
        run_id = make_run(database, **{**TRAINED, "quantizer": quantizer, **values})
        return end(database, settings, run_id, score, before)

    parent, low, high = train(4), train(4), train(8)
    train(4, evaluation={"limit": 3})
    train(2.5)
    train(8, training={"bit_policy": {"policy": "switchable", "widths": [8, 4]}})
    end(database, settings, make_run(database))
    make_run(database, **TRAINED)
    evaluation = get_run(database, make_evaluation(database, parent))
    points = list_trained_points(database, evaluation)
    assert [(point.run_id, point.bits) for point in points] == [(high, 8), (low, 4)]
    assert [each.value for each in points[0].scores] == [12.5]
    assert {point.run_id for point in list_trained_points(database, get_run(database, low))} == {
        high,
        parent,
    }
