"""The file of widths: read back as written, and only by what it belongs to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.allocation.width_file import WIDTHS_FILE, WidthFile, find_widths, write_widths
from engine.errors import StorageError

KEY = "of this spec"
SCORES = {"model.layers.0.q_proj": {2: 0.25, 4: 1e-3}, "lm_head": {2: 3.5, 4: 0.125}}


def some_widths() -> WidthFile:
    return WidthFile(
        rule="sensitivity",
        key=KEY,
        average=2.4375,
        layers={"model.layers.0.q_proj": 2, "lm_head": 4},
        scores=SCORES,
        errors=SCORES,
    )


def test_read_back(tmp_path: Path) -> None:
    """Rule, mean, widths and scores come back as they were, layers in their order."""
    write_widths(tmp_path / "run" / WIDTHS_FILE, some_widths())
    found = find_widths(tmp_path / "run" / WIDTHS_FILE, key=KEY)
    assert found == some_widths()
    assert list(found.layers) == list(SCORES)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [WIDTHS_FILE]


def test_layout(tmp_path: Path) -> None:
    """The file names its format and rule; the published rule has no scores to write."""
    path = tmp_path / WIDTHS_FILE
    write_widths(path, WidthFile(rule="first-layers", key=KEY, average=2.5, layers={"a": 2}))
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "format": "bitdial-layer-widths-1",
        "rule": "first-layers",
        "key": KEY,
        "average": 2.5,
        "layers": {"a": 2},
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "bitdial-layer-widths-2"}'])
def test_damaged(text: str, tmp_path: Path) -> None:
    """A damaged file or one of another version is as good as none."""
    path = tmp_path / WIDTHS_FILE
    path.write_text(text, encoding="utf-8")
    assert find_widths(path, key=KEY) is None


@pytest.mark.parametrize(
    "change",
    [
        {"layers": {"a": -7}},
        {"layers": {"a": 9}},
        {"layers": {}},
        {"average": float("nan")},
        {"average": 1e300},
        {"scores": {"a": {"2": float("inf")}}},
        {"errors": {"a": {"2": float("nan")}}},
    ],
)
def test_widths_there_cannot_be(change: dict[str, object], tmp_path: Path) -> None:
    """Widths nobody can choose, no layers and numbers without end are damage."""
    path = tmp_path / WIDTHS_FILE
    write_widths(path, some_widths())
    whole = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(whole | change), encoding="utf-8")
    assert find_widths(path, key=KEY) is None


def test_of_something_else(tmp_path: Path) -> None:
    """Widths chosen for another spec are not taken, and a missing file is none."""
    assert find_widths(tmp_path / WIDTHS_FILE, key=KEY) is None
    write_widths(tmp_path / WIDTHS_FILE, some_widths())
    assert find_widths(tmp_path / WIDTHS_FILE, key="of another") is None


def test_not_writable(tmp_path: Path) -> None:
    """A place that cannot be written to is told with the file's name."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageError, match=WIDTHS_FILE):
        write_widths(tmp_path / "file" / WIDTHS_FILE, some_widths())
