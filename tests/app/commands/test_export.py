"""Promises of `bitdial export`: a folder others can load, or one sentence that says why not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from app.commands import export
from tasks.settings import Settings
from tasks.submit import Desk, open_desk
from tests.app.commands.conftest import Bitdial
from tests.tasks.builders import make_run, make_trained
from tests.tiny_models import save_llama

TEXT = "The quick brown fox jumps over the lazy dog. " * 40


@pytest.fixture
def desk(bitdial: Bitdial, data_folder: Path) -> Iterator[Desk]:
    """The store that `bitdial` works with, its tables made."""
    bitdial("runs", "list")
    opened = open_desk(Settings(data_folder=data_folder, database_url="", broker_url=None))
    yield opened
    opened.database.dispose()


def run_loftq(bitdial: Bitdial, folder: Path) -> int:
    """Carry out a LoftQ run on a tiny model; return its number."""
    model = save_llama(folder / "model")
    (folder / "text.txt").write_text(TEXT)
    words = (
        f"model.source={model}",
        "quantizer.group_size=32",
        "adapter.r=4",
        f"evaluation.data.source={folder / 'text.txt'}",
        "evaluation.data.split=train",
        "evaluation.max_length=16",
        "evaluation.limit=2",
    )
    answer = bitdial("run", "--preset", "loftq", *words, "--json")
    assert answer.code == 0, answer.err
    number: int = answer.json["id"]
    return number


def test_a_run_is_written_and_told(bitdial: Bitdial, tmp_path: Path) -> None:
    """A finished run becomes a folder that Transformers loads; its baseline is nothing to write."""
    number = run_loftq(bitdial, tmp_path)
    folder = tmp_path / "out"
    answer = bitdial("export", str(number), str(folder), "--dtype", "bfloat16")
    assert answer.code == 0, answer.err
    assert f"run {number} is in {folder}: 14 rounded layers, kept as bfloat16" in answer.out
    assert f"{folder / 'adapter'}: 14 pairs, rank 4" in answer.out
    assert "comparing its answers" in answer.err
    config = json.loads((folder / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(folder)
    assert AutoModelForCausalLM.from_pretrained(folder).config.hidden_size == 64
    again = bitdial("export", str(number), str(folder))
    assert again.code == 2
    assert again.err == f"folder: {folder} is not empty; name a new or an empty folder\n"
    baseline = bitdial("export", str(number - 1), str(tmp_path / "none"))
    assert baseline.code == 2
    assert "is the 16-bit model as it was" in baseline.err


def test_what_was_written_as_json(
    bitdial: Bitdial, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON has the run, the format and all that was found out; an end without a word is told."""
    run_id = make_trained(desk.database, desk.settings)
    lines = [{"stage": "load"}, {"note": "a note"}, {"exported": {"ranks": [12], "adapter": None}}]
    monkeypatch.setattr(export, "_iter_told", lambda *_: iter(lines))
    answer = bitdial("export", str(run_id), str(tmp_path / "out"), "--json")
    assert answer.json == {"id": run_id, "format": "peft", "ranks": [12], "adapter": None}
    assert answer.err == "loading the run's model\na note\n"
    lines.pop()
    answer = bitdial("export", str(run_id), str(tmp_path / "out"), "--json")
    assert (answer.code, answer.out) == (1, "")
    assert "broke off; nothing was written" in answer.err


def test_what_cannot_be_written_is_a_bad_request(
    bitdial: Bitdial, desk: Desk, tmp_path: Path
) -> None:
    """No such run, one that waits, and unknown words are told in a sentence, with exit code 2."""
    waiting = str(make_run(desk.database))
    out = str(tmp_path / "out")
    for words, sentence in (
        (("99", out), "no run 99"),
        ((waiting, out), f"run {waiting} is queued; only a run that succeeded can be exported"),
        ((waiting, out, "--format", "gguf"), "--format: 'gguf' is not known; choose peft"),
        ((waiting, out, "--dtype", "int4"), "--dtype: 'int4' is not known; choose auto or float32"),
    ):
        answer = bitdial("export", *words)
        assert answer.code == 2
        assert sentence in answer.err
    assert not (tmp_path / "out").exists()


def test_a_lost_or_foreign_result_is_a_failure(
    bitdial: Bitdial, desk: Desk, tmp_path: Path
) -> None:
    """A result that is gone, or none, is told with exit code 1, and nothing is written."""
    gone = make_trained(desk.database, desk.settings, files=())
    answer = bitdial("export", str(gone), str(tmp_path / "out"))
    assert answer.code == 1
    assert f"run {gone} has no result in" in answer.err
    foreign = make_trained(desk.database, desk.settings)
    answer = bitdial("export", str(foreign), str(tmp_path / "out"))
    assert answer.code == 1
    assert "result is missing or damaged" in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "out").exists()


def test_a_termination_leaves_nothing(tmp_path: Path) -> None:
    """The writing process, terminated in its middle, takes the unfinished folder with it."""
    program = (
        "import signal, sys, pathlib\n"
        "from tasks import export_process\n"
        "from engine.export.new_folder import new_folder\n"
        "def write(run_id, folder, dtype, *, tell):\n"
        "    with new_folder(folder) as written:\n"
        "        (written / 'half').write_text('half')\n"
        "        print('a library speaks', flush=True)\n"
        "        tell({'stage': 'writing'})\n"
        "        signal.pause()\n"
        "export_process._export = write\n"
        "sys.exit(export_process.main([sys.argv[2], '1', sys.argv[1], 'auto']))\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "out"), str(os.getpid())]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == '{"stage": "writing"}\n'
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the writing process leaves when it is killed outright, the command takes away."""
    program = (
        "import os, pathlib, signal, sys\n"
        "from engine.export.new_folder import new_folder\n"
        "with new_folder(pathlib.Path(sys.argv[1])) as written:\n"
        "    (written / 'half').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    start = subprocess.Popen

    def started(words: list[str], **options: Any) -> Any:
        return start([sys.executable, "-c", program, words[-2]], **options)

    monkeypatch.setattr(subprocess, "Popen", started)
    assert list(export._iter_told(1, tmp_path / "out", "auto")) == []
    assert list(tmp_path.iterdir()) == []


def test_an_orphan_ends_before_it_does_anything(tmp_path: Path) -> None:
    """A writing process whose owner is another, or gone, leaves at once."""
    words = ["-m", "tasks.export_process", "1", "1", str(tmp_path / "out"), "auto"]
    done = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
