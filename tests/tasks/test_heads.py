"""Heads other than causal-lm at the door: baselines where there are any, and no search of ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ModelError, SpecError
from engine.specs import load_spec, resolve
from tasks.settings import Settings
from tasks.store.runs import list_runs
from tasks.store.schema import upgrade
from tasks.submit import Desk, open_desk, preview, submit, submit_evaluation, submit_search
from tests.tasks.builders import make_trained
from tests.tiny_heads import save_bert, save_kind


def ask(folder: Path, head: str, task: str, *, group_size: int = 16) -> dict[str, object]:
    """Return a request to round a model and measure it on a task."""
    return {
        "model": {"source": str(folder), "head": head},
        "quantizer": {"grid": "integer", "bits": 4, "group_size": group_size},
        "evaluation": {"benchmarks": [task]},
    }


def test_a_head_that_starts_at_random_has_no_baseline(desk: Desk, tmp_path: Path) -> None:
    """A classifier is queued alone: an untrained random head is nothing to compare with."""
    run = submit(desk, resolve(ask(save_bert(tmp_path), "classification", "sst2")))
    assert [each.id for each in list_runs(desk.database)] == [run.id]
    assert run.estimate is not None
    assert run.estimate["total_bytes"] > 0


def test_a_model_that_summarizes_has_one(desk: Desk, tmp_path: Path) -> None:
    """The 16-bit model writes summaries as it came: it goes first, asked the same tasks."""
    run = submit(desk, resolve(ask(save_kind(tmp_path, "bart", "seq2seq"), "seq2seq", "xsum")))
    ours, baseline = list_runs(desk.database)
    assert (ours.id, baseline.is_baseline) == (run.id, True)
    assert ours.baseline_key == baseline.baseline_key
    assert load_spec(baseline.spec).measured_tasks == ("xsum",)


def test_what_does_not_fit_is_told_before_launch(desk: Desk, tmp_path: Path) -> None:
    """A group size no layer takes, and a head the model cannot have, are told at their fields."""
    save_bert(tmp_path)
    values = ask(tmp_path, "classification", "sst2", group_size=100)
    with pytest.raises(SpecError, match=r"quantizer\.group_size.*bert\.encoder\.layer\.0"):
        submit(desk, resolve(values))
    values = ask(tmp_path, "seq2seq", "xsum")
    with pytest.raises(ModelError, match=r"choose model\.head classification or") as caught:
        submit(desk, resolve(values))
    assert caught.value.field == "model.head"
    assert preview(desk, values).problems[0].field == "model.head"


def test_a_missing_split_is_told_before_launch(settings: Settings, tmp_path: Path) -> None:
    """A mirror without the questions a head is measured on is told at the door, not by a worker."""
    only_training = tmp_path / "mirror" / "nyu-mll" / "glue" / "sst2"
    only_training.mkdir(parents=True)
    (only_training / "train.jsonl").write_text('{"sentence": "fine", "label": 1}\n')
    upgrade(settings)
    desk = open_desk(settings.model_copy(update={"data_mirror": tmp_path / "mirror"}))
    with pytest.raises(SpecError, match="has no split 'validation' in the mirror") as caught:
        submit(desk, resolve(ask(save_bert(tmp_path / "model"), "classification", "sst2")))
    assert [problem.field for problem in caught.value.problems] == ["evaluation.benchmarks"]
    assert list_runs(desk.database) == ()
    desk.database.dispose()


def test_ranks_of_other_heads_are_not_searched(desk: Desk, tmp_path: Path) -> None:
    """Neither a search nor an evaluation of ranks is queued for a classifier."""
    parent = make_trained(
        desk.database,
        desk.settings,
        model={"source": str(save_bert(tmp_path)), "head": "classification"},
        training={"objective": "task", "data": {"task": "sst2", "loss_on": "text"}},
        evaluation={"benchmarks": ["sst2"]},
    )
    count = len(list_runs(desk.database))
    for queue in (submit_search, submit_evaluation):
        with pytest.raises(SpecError, match="has a classification head; ranks are chosen"):
            queue(desk, parent, {"ranks": "maximal"} if queue is submit_evaluation else {})
    assert len(list_runs(desk.database)) == count
