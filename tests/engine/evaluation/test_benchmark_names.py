"""Names of benchmarks: known without loading lm-eval, and the nearest where one is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.evaluation import benchmark_names
from engine.evaluation.benchmark_names import (
    WELL_KNOWN,
    check_benchmarks,
    harness_folder,
    harness_version,
    list_benchmarks,
)


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for lm-eval's task files."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    monkeypatch.setattr(benchmark_names, "harness_folder", lambda: folder)
    return folder


def test_well_known_files() -> None:
    """The well-known benchmarks are where lm-eval has them."""
    folder = harness_folder()
    assert folder is not None
    for name, place in WELL_KNOWN.items():
        assert f"task: {name}" in (folder / place).read_text().splitlines()


def test_real_scan(data_folder: Path) -> None:
    """Tasks, groups and tags of the installed lm-eval are found, and kept for its version."""
    known = list_benchmarks(data_folder=data_folder)
    assert len(known) > 10_000
    assert known.items() >= WELL_KNOWN.items()
    assert (known["mmlu"], known["ai2_arc"], known["mmlu_anatomy"].endswith(".yaml")) == (
        "",
        "",
        True,
    )
    (cache,) = (data_folder / "cache" / "lm-eval").iterdir()
    assert harness_version() in cache.name


def test_ways_to_write_a_name(harness: Path, data_folder: Path) -> None:
    """Names are found quoted, with comments, and as lists of tags; others' keys are not names."""
    (harness / "a.yaml").write_text('"task": "first_(x)" # the first\ntag:\n  - one\n- "two"\n')
    (harness / "b.yaml").write_text("task: 'second'\ntag: [three, four]\nx:\n  task: no\n")
    (harness / "c.yaml").write_text("group: all\ntask:\n  - first\n  - other\n")
    (harness / "template").write_text("tag: five\ntask: no\n")
    known = list_benchmarks(data_folder=data_folder)
    assert known == {
        "first_(x)": "a.yaml", "second": "b.yaml", "all": "",
        "one": "", "two": "", "three": "", "four": "", "five": "",
    }  # fmt: skip


def test_kept(harness: Path, data_folder: Path) -> None:
    """Files are read once; what was kept damaged or for another version is read again."""
    (harness / "a.yaml").write_text("task: first\n")
    assert list_benchmarks(data_folder=data_folder) == {"first": "a.yaml"}
    (harness / "a.yaml").write_text("task: second\n")
    assert list_benchmarks(data_folder=data_folder) == {"first": "a.yaml"}
    (cache,) = (data_folder / "cache" / "lm-eval").iterdir()
    for damaged in ("{", "[]", json.dumps({"version": "0.0.1", "benchmarks": {}})):
        cache.write_text(damaged)
        assert list_benchmarks(data_folder=data_folder) == {"second": "a.yaml"}


def test_nowhere_to_keep(harness: Path, tmp_path: Path) -> None:
    """Where nothing can be kept, names are found all the same."""
    (harness / "a.yaml").write_text("task: first\n")
    (tmp_path / "file").write_text("")
    assert list_benchmarks(data_folder=tmp_path / "file") == {"first": "a.yaml"}


def test_did_you_mean(data_folder: Path) -> None:
    """Each unknown name is a problem of its own, with the nearest name or the well-known ones."""
    names = ("openbookqa", "arc_chalenge", "mmlu", "????")
    near, far = check_benchmarks(names, data_folder=data_folder)
    assert near.field == far.field == "evaluation.benchmarks"
    assert near.message.endswith("has no benchmark 'arc_chalenge'; did you mean arc_challenge?")
    assert "has no benchmark '????'; well known are openbookqa," in far.message


def test_no_scan_for_well_known(data_folder: Path) -> None:
    """The well-known names pass without a look at any file."""
    assert check_benchmarks(tuple(WELL_KNOWN), data_folder=data_folder) == ()
    assert not list(data_folder.iterdir())


def test_without_harness(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lm-eval is not installed, every name is left to the worker."""
    monkeypatch.setattr(benchmark_names, "HARNESS", "no_such_package")
    assert harness_folder() is None
    assert check_benchmarks(("anything",), data_folder=data_folder) == ()
    assert list_benchmarks(data_folder=data_folder) == {}


def test_light() -> None:
    """Checking names loads neither lm-eval nor torch."""
    code = (
        "import sys, pathlib, tempfile, engine.evaluation.benchmark_names as names\n"
        "folder = pathlib.Path(tempfile.mkdtemp())\n"
        "names.check_benchmarks(('mmlu',), data_folder=folder)\n"
        "print({'torch', 'lm_eval', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
