"""Promises that files and functions stay small enough to read in one go."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, iter_functions, list_files, name_of

MAX_FILE_LINES = 330
MAX_TEST_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
EXCEPTIONS = tomllib.loads((Path(__file__).parent / "exceptions.toml").read_text())
FILES = list_files(*PACKAGES)
TEST_FILES = list_files("tests")


@pytest.mark.parametrize("path", [*FILES, *TEST_FILES], ids=name_of)
def test_file_is_no_longer_than_its_ceiling(path: Path) -> None:
    """A file keeps to its ceiling, or to the size it is listed with."""
    ceiling = MAX_TEST_FILE_LINES if path in TEST_FILES else MAX_FILE_LINES
    num_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert num_lines <= EXCEPTIONS["files"].get(name_of(path), ceiling)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_functions_are_no_longer_than_their_ceiling(path: Path) -> None:
    """A function, its docstring not counted, keeps to sixty lines or to its listed size."""
    allowed = EXCEPTIONS["functions"]
    too_long = {
        function.place: function.num_lines
        for function in iter_functions(path)
        if function.num_lines > allowed.get(function.place, MAX_FUNCTION_LINES)
    }
    assert too_long == {}


def test_exceptions_are_still_needed() -> None:
    """Every listed exception exists and has exactly the size it is listed with."""
    files = {name_of(path): len(path.read_text().splitlines()) for path in [*FILES, *TEST_FILES]}
    functions = {
        function.place: function.num_lines for path in FILES for function in iter_functions(path)
    }
    for measured, listed in ((files, "files"), (functions, "functions")):
        for place, size in EXCEPTIONS[listed].items():
            assert measured.get(place) == size, f"update or drop {place} in exceptions.toml"
