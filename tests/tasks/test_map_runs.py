"""A tiny model trained and measured at many maps by the real runners, from store to store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.events import Event, MapScored
from engine.specs import resolve
from tasks.attempt import carry_out
from tasks.lease import claim_run
from tasks.runners.catalogue import RUNNERS
from tasks.runners.context import RunContext, Runner
from tasks.store.logs import list_log_lines
from tasks.store.map_scores import list_map_scores
from tasks.store.measurements import list_scores
from tasks.store.records import RunRecord
from tasks.store.runs import get_run
from tasks.submit import Desk, delete, submit, submit_map_evaluation
from tests.tiny_models import save_llama

MAPS = [
    *({"map": "uniform", "bits": bits} for bits in (8, 5, 4)),
    {"map": "random", "widths": [8, 4], "scope": "layer"},
]


def ask(folder: Path) -> dict[str, Any]:
    """Return a request to train a tiny model at two widths."""
    save_llama(folder / "model")
    (folder / "text.txt").write_text("The quick brown fox jumps over the lazy dog. " * 40)
    data = {"source": str(folder / "text.txt"), "split": "train"}
    policy = {"policy": "switchable", "widths": [8, 4]}
    return {
        "model": {"source": str(folder / "model")},
        "quantizer": {"grid": "integer", "bits": 4, "group_size": 16},
        "adapter": {"kind": "lora-bank", "r": 2, "fallback": "nearest"},
        "training": {
            "method": "qat", "data": data, "bit_policy": policy, "max_steps": 2, "max_length": 16,
        },
        "evaluation": {"data": data, "max_length": 16, "limit": 2},
    }  # fmt: skip


def carry(desk: Desk, run_id: int, runner: Runner | None = None) -> RunRecord:
    """Carry a queued run out in this process."""
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    kind = get_run(desk.database, run_id).kind
    carry_out(desk, claim, {kind: runner or RUNNERS[kind]})
    return get_run(desk.database, run_id)


def stop_at(place: int) -> Runner:
    """Return a runner that is interrupted by the first score of a map."""

    def run(context: RunContext) -> None:
        def listen(event: Event) -> None:
            context.listener(event)
            if isinstance(event, MapScored) and event.place == place:
                raise KeyboardInterrupt

        RUNNERS["map-evaluation"](RunContext(**vars(context) | {"listener": listen}))

    return run


def test_one_training_is_measured_at_many_maps(desk: Desk, tmp_path: Path) -> None:
    """Interrupted and taken up again; its own width gives its own scores; it goes with its rows."""
    trained = submit(desk, resolve(ask(tmp_path)), with_baseline=False)
    assert carry(desk, trained.id).state == "succeeded"
    own = {each.metric: each.value for each in list_scores(desk.database, trained.id)}
    run = submit_map_evaluation(desk, trained.id, {"maps": MAPS})
    assert carry(desk, run.id, stop_at(2)).state == "queued"
    kept = list_map_scores(desk.database, run.id)
    assert [len([each for each in kept if each.place == place]) for place in range(4)] == [
        3,
        3,
        1,
        0,
    ]
    ended = carry(desk, run.id)
    assert (ended.state, ended.attempt, ended.parent_id) == ("succeeded", 2, trained.id)
    found = list_map_scores(desk.database, run.id)
    assert found[:6] == kept[:6]
    labels = list(dict.fromkeys(each.label for each in found))
    assert labels == ["8 bits", "5 bits", "4 bits", "random 8, 4 by layer"]
    assert {each.metric: each.value for each in found if each.label == "4 bits"} == own
    assert list_scores(desk.database, run.id) == ()
    assert ended.resources is not None
    assert set(ended.resources["seconds_by_stage"]) == {"load", "teach", "initialize", "maps"}
    lines = [line.message for line in list_log_lines(desk.database, run.id)]
    assert "2 of 4 maps are measured already" in lines
    assert sum(line.startswith("5 bits: perplexity") for line in lines) == 1
    delete(desk, run.id)
    assert list_map_scores(desk.database, run.id) == ()
