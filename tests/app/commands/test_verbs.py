"""Promises of the verbs that read and change the queue; exit codes and JSON."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.specs import parse_yaml, resolve
from tests.app.commands.conftest import Bitdial

ROOT = Path(__file__).parents[3]


def test_help_is_light() -> None:
    """`bitdial --help` names every verb without loading store, queue or pages."""
    program = (
        "import sys; sys.argv = ['bitdial', '--help']\n"
        "from app.cli import app\n"
        "app(standalone_mode=False)\n"
        "heavy = ('torch', 'gradio', 'sqlalchemy', 'celery', 'fastapi')\n"
        "sys.exit(sum(name in sys.modules for name in heavy))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert seen.returncode == 0, seen.stderr
    for verb in ("up", "demo", "run", "submit", "runs", "leaderboard", "doctor", "db", "worker"):
        assert verb in seen.stdout


def test_submit_queues_run_and_baseline(bitdial: Bitdial) -> None:
    """A first submission queues the 16-bit baseline before the run itself."""
    answer = bitdial("submit", "--preset", "rtn", "quantizer.bits=3", "name=three", "--json")
    assert (answer.code, answer.json["name"]) == (0, "three")
    listed = bitdial("runs", "list", "--json").json
    assert [run["is_baseline"] for run in listed] == [False, True]
    assert {run["state"] for run in listed} == {"queued"}


def test_list_for_people(bitdial: Bitdial) -> None:
    """The list shows names as they were written, markup or not, and says when it is empty."""
    assert "no runs yet" in bitdial("runs", "list").out
    bitdial("submit", "--preset", "baseline", "name='[bold]x[/bold]'")
    assert "[bold]x[/bold]" in bitdial("runs", "list").out


def test_show_prints_a_spec_that_can_be_run_again(bitdial: Bitdial) -> None:
    """What `runs show` prints of the spec resolves to the spec that was asked."""
    run_id = bitdial("submit", "--preset", "rtn", "--json").json["id"]
    shown = bitdial("runs", "show", str(run_id)).out
    text = shown[shown.index("version:") :]
    assert resolve(parse_yaml(text)).spec == resolve({"preset": "rtn"}).spec
    detail = bitdial("runs", "show", str(run_id), "--json").json
    assert detail["spec"]["quantizer"]["bits"] == 4
    assert detail["scores"] == []


def test_cancel_retry_delete(bitdial: Bitdial) -> None:
    """A queued run can be cancelled, queued again, cancelled and deleted."""
    run_id = str(bitdial("submit", "--preset", "baseline", "--json").json["id"])
    assert bitdial("runs", "cancel", run_id, "--json").json["state"] == "cancelled"
    assert bitdial("runs", "retry", run_id).out == f"run {run_id} is queued\n"
    assert bitdial("runs", "cancel", run_id).out == f"run {run_id} is cancelled\n"
    assert bitdial("runs", "delete", run_id).code == 0
    assert bitdial("runs", "show", run_id).code == 2


@pytest.mark.parametrize("verb", ["show", "cancel", "retry", "delete"])
def test_unknown_run_is_a_bad_request(bitdial: Bitdial, verb: str) -> None:
    """A number no run has is one sentence and exit code 2."""
    answer = bitdial("runs", verb, "77")
    assert answer.code == 2
    assert "77" in answer.err
    assert answer.err.count("\n") == 1


def test_runs_are_filtered_by_state(bitdial: Bitdial) -> None:
    """`--state` keeps only runs in that state and refuses a word that is no state."""
    bitdial("submit", "--preset", "baseline")
    assert bitdial("runs", "list", "--state", "running", "--json").json == []
    assert len(bitdial("runs", "list", "--state", "queued", "--json").json) == 1
    answer = bitdial("runs", "list", "--state", "done")
    assert answer.code == 2
    assert "succeeded" in answer.err


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_dry_run_changes_nothing(bitdial: Bitdial, verb: str) -> None:
    """`--dry-run` prints the complete spec, and queues nothing."""
    answer = bitdial(verb, "--preset", "qat-lora", "adapter.r=8", "--dry-run")
    assert answer.code == 0
    assert "r: 8" in answer.out
    assert bitdial("runs", "list", "--json").json == []


@pytest.mark.parametrize("verb", ["run", "submit"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["quantizer.bitz=3"], "quantizer.bitz: there is no such field"),
        (["quantizer.bits=99"], "quantizer.bits"),
        (["quantizer.group_size=100"], "quantizer.group_size"),
        (["adapter.kind=lora"], "training.method"),
        (["model.source=/no/such/folder"], "model.source"),
        (["bits"], "bits"),
    ],
)
def test_bad_fields_are_refused(
    bitdial: Bitdial, verb: str, words: list[str], expected: str
) -> None:
    """A field that cannot be accepted is named in a sentence, exit code 2, and nothing queued."""
    answer = bitdial(verb, "--preset", "rtn", "--set", *words)
    assert answer.code == 2
    assert expected in answer.err
    assert "Traceback" not in answer.err
    assert bitdial("runs", "list", "--json").json == []


def test_every_problem_is_a_line(bitdial: Bitdial) -> None:
    """Two mistakes are two lines."""
    answer = bitdial("submit", "--preset", "rtn", "seed=-1", "quantizer.bits=1")
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 2


def test_empty_leaderboard(bitdial: Bitdial) -> None:
    """Before any run has finished the leaderboard says so, and is an empty list as JSON."""
    assert bitdial("leaderboard").out == "no finished runs yet\n"
    assert bitdial("leaderboard", "--json").json == []


def test_database_upgrade_is_repeatable(bitdial: Bitdial) -> None:
    """`db upgrade` makes the tables and does nothing the second time."""
    assert bitdial("db", "upgrade").code == 0
    assert bitdial("db", "upgrade").code == 0


def test_bad_setting_is_a_bad_request(bitdial: Bitdial, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that cannot be used names its variable."""
    monkeypatch.setenv("BITDIAL_PORT", "http")
    answer = bitdial("runs", "list")
    assert answer.code == 2
    assert "BITDIAL_PORT" in answer.err


def test_unreachable_database_is_a_failure(
    bitdial: Bitdial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer is one sentence, without its password, and exit code 1."""
    pytest.importorskip("psycopg", reason="Postgres' driver is not installed")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/nothing")
    answer = bitdial("runs", "list")
    assert answer.code == 1
    assert "secret" not in answer.err
    assert "Traceback" not in answer.err


def test_data_folder_that_cannot_be_made(
    bitdial: Bitdial, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A data folder below a file is one sentence that names it."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BITDIAL_DATA_FOLDER", str(tmp_path / "file" / "data"))
    answer = bitdial("runs", "list")
    assert answer.code == 1
    assert str(tmp_path / "file") in answer.err
    assert "Traceback" not in answer.err
