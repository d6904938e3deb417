"""What the store promises about scores at layer maps, on either database."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select

from engine.events import MapScored, ScoreMeasured
from engine.specs import ExperimentSpec, MapEvaluationSpec, load_spec, resolve_child
from tasks.lease import claim_run, give_back
from tasks.naming import baseline_key
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
from tasks.store.records import RunRecord
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


CHANNEL = {"grid": "integer", "symmetry": "narrow", "granularity": "channel"}
FINAL = ScoreMeasured("text/x", "perplexity", 12.5, 0.5, 100, "lower")


class Trained:
    """Finished training runs and evaluations of their maps, as they are stored."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings

    def train(self, bits: float, quantizer: Mapping[str, Any] | None = None, **values: Any) -> int:
        asked = {**TRAINED, "quantizer": {**CHANNEL, "bits": bits, **(quantizer or {})}, **values}
        before = replace(FINAL, value=99.0, phase="before")
        return end(self.database, self.settings, make_run(self.database, **asked), FINAL, before)

    def evaluate(self, parent_id: int) -> RunRecord:
        parent = load_spec(get_run(self.database, parent_id).spec)
        assert isinstance(parent, ExperimentSpec)
        values = {"parent": parent_id, "maps": [{"map": "uniform", "bits": 4}]}
        spec = resolve_child(MapEvaluationSpec, parent, values)
        new = NewRun(
            name="maps", kind=spec.kind, spec=spec.model_dump(mode="json"), asked={}, preset=None,
            baseline_key=baseline_key(spec), is_baseline=False, queue="cpu", parent_id=parent_id,
        )  # fmt: skip
        return get_run(self.database, create_run(self.database, new)[-1])

    def list_ids(self, run: RunRecord) -> list[int]:
        return [point.run_id for point in list_trained_points(self.database, run).points]


@pytest.fixture
def trained(database: Database, settings: Settings) -> Trained:
    return Trained(database, settings)


def test_runs_of_one_width_are_what_a_curve_is_compared_with(trained: Trained) -> None:
    """Trained at one width in the same setting, by width; the evaluated run is not among them."""
    parent, low, high = trained.train(4), trained.train(4), trained.train(8)
    trained.train(4, evaluation={"limit": 3})
    trained.train(2.5)
    trained.train(8, {"layer_bits": ["*.0.*=4"]})
    trained.train(8, training={"bit_policy": {"policy": "switchable", "widths": [8, 4]}})
    end(trained.database, trained.settings, make_run(trained.database))
    make_run(trained.database, **TRAINED)
    found = list_trained_points(trained.database, trained.evaluate(parent))
    assert [(point.run_id, point.bits) for point in found.points] == [(high, 8), (low, 4)]
    assert [each.value for each in found.points[0].scores] == [12.5]
    assert found.num_left_out == 0
    assert trained.list_ids(get_run(trained.database, low)) == [high, parent]


@pytest.mark.parametrize(
    ("quantizer", "training"),
    [
        ({"grid": "normal-float"}, {}),
        ({"symmetry": "asymmetric"}, {}),
        ({"granularity": "group", "group_size": 32}, {}),
        ({"exclude": ["*lm_head*", "*.0.*"]}, {}),
        ({"inputs": {"rounding": "fixed", "bits": 4}}, {}),
        ({"cache": {"rounding": "fixed", "bits": 2}}, {}),
        ({}, {"objective": "task"}),
        ({}, {"temperature": 2.0}),
        ({}, {"data": {"kind": "text", "source": "other/text"}}),
        ({}, {"data": {"kind": "task", "task": "openbookqa"}, "objective": "task"}),
    ],
)
def test_what_rounds_or_learns_otherwise_is_no_point(
    trained: Trained, quantizer: dict[str, Any], training: dict[str, Any]
) -> None:
    """A difference that would pass for one of widths keeps a run out."""
    eights = {"inputs": {"rounding": "fixed", "bits": 8}}
    keeps = {} if quantizer.get("grid") else {**CHANNEL, **eights}
    parent, same = trained.train(4, eights), trained.train(4, eights)
    other = {"quantizer": {**keeps, "bits": 4, **quantizer}}
    run_id = make_run(trained.database, **{**TRAINED, **other, "training": training})
    end(trained.database, trained.settings, run_id, FINAL)
    assert trained.list_ids(trained.evaluate(parent)) == [same]


def test_states_as_wide_as_the_weights_are_those_of_a_fixed_width(trained: Trained) -> None:
    """W4A4KV4 is a point of maps whose inputs and cache follow the weights, fixed or not."""
    follow = {"inputs": {"rounding": "layer"}, "cache": {"rounding": "layer"}}
    fours = {name: {"rounding": "fixed", "bits": 4} for name in follow}
    parent = trained.train(8, follow)
    own, fixed = trained.train(4, follow), trained.train(4, fours)
    trained.train(6, fours)
    trained.train(4)
    points = list_trained_points(trained.database, trained.evaluate(parent)).points
    assert [(point.run_id, point.bits) for point in points] == [(own, 4), (fixed, 4)]


def test_what_may_differ_is_told_in_words(trained: Trained) -> None:
    """Adapter, placement and steps are said beside each point."""
    parent = trained.train(4)
    adapter = {"kind": "lora", "r": 8, "placement": "parallel"}
    trained.train(4, adapter=adapter, training={"max_steps": 200, "learning_rate": 1e-3})
    trained.train(8, adapter={"kind": "none"})
    points = list_trained_points(trained.database, trained.evaluate(parent)).points
    assert [point.summary for point in points] == [
        "8-bit, QAT, no adapter, 1 epoch",
        "4-bit, QAT, LoRA 8 parallel, 200 steps",
    ]


def test_the_newest_few_of_each_width_are_read_in_two_queries(trained: Trained) -> None:
    """However many runs there are: three of each width are shown, and the others counted."""
    parent = trained.train(4)
    fours, eights = [trained.train(4) for _ in range(5)], [trained.train(8)]
    evaluation = trained.evaluate(parent)
    asked: list[str] = []

    def listen(*told: Any) -> None:
        asked.append(str(told[2]))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        found = list_trained_points(trained.database, evaluation)
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    assert [point.run_id for point in found.points] == [*eights, *fours[-3:]]
    assert all(point.scores for point in found.points)
    assert found.num_left_out == 2
    assert len([each for each in asked if each.startswith("SELECT")]) == 2
