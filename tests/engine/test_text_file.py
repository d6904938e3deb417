"""Promises of text files: whole or not there, and a sentence where they cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.text_file import write_text


def test_a_file_is_written_over_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    """Folders are made, and the newest text is what is there."""
    path = tmp_path / "run" / "report.json"
    write_text(path, "first")
    write_text(path, "größer")
    assert path.read_text(encoding="utf-8") == "größer"
    assert [each.name for each in path.parent.iterdir()] == ["report.json"]


def test_a_file_in_the_place_of_its_folder_is_a_sentence(tmp_path: Path) -> None:
    """Where the unfinished file can neither be written nor removed, the file is named."""
    (tmp_path / "run").write_text("")
    with pytest.raises(StorageError, match=r"report\.json could not be written: "):
        write_text(tmp_path / "run" / "report.json", "text")


def test_what_cannot_take_its_place_is_removed(tmp_path: Path) -> None:
    """A folder of the file's name stays, and nothing lies beside it."""
    path = tmp_path / "report.json"
    path.mkdir()
    with pytest.raises(StorageError, match=r"report\.json could not be written: "):
        write_text(path, "text")
    assert list(tmp_path.iterdir()) == [path]
