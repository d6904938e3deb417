"""Promises of a new folder: refused at once where it could not be put in one step at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.export.new_folder import check_new, new_folder


def test_places_that_cannot_be_replaced_are_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link, a dangling one, the folder one stands in, a mounted one, a full one and a file."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path / "empty")
    for folder, sentence in (
        (tmp_path / "link", "is a link"),
        (tmp_path / "dangling", "is a link"),
        (tmp_path / "empty", "name a new folder inside it"),
        (Path(), "name a new folder inside it"),
        (Path("/proc"), "name a new folder inside it"),
        (tmp_path, "is not empty"),
        (tmp_path / "file", "is a file"),
    ):
        with pytest.raises(SpecError, match=sentence):
            check_new(folder)
    check_new(tmp_path / "new" / "deeper")


def write_half(folder: Path) -> None:
    with new_folder(folder) as written:
        (written / "half").write_text("half")
        raise ValueError("broken")


def test_a_failure_leaves_the_parent_as_it_was(tmp_path: Path) -> None:
    """Whatever breaks the block takes the unfinished folder with it."""
    with pytest.raises(ValueError, match="broken"):
        write_half(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
