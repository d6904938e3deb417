"""Promises that a newcomer finds the room: maps, docstrings, names, top-level folders."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT, list_files, name_of, parse

TOP_LEVEL = {
    "pyproject.toml", "app", "engine", "tasks", "migrations", "tests", "Dockerfile", "README.md",
    "Makefile", "compose.yaml", "LICENSE", "constraints.txt",
}  # fmt: skip
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "v2", "legacy", "base2"}
FILES = list_files(*PACKAGES)
MAPS = [path for path in FILES if path.name == "__init__.py" and path.parent.name != "versions"]


@pytest.mark.parametrize("room_map", MAPS, ids=name_of)
def test_every_file_is_in_its_room_map(room_map: Path) -> None:
    """A package's docstring names each of its files and folders in backticks."""
    text = ast.get_docstring(parse(room_map)) or ""
    named = {
        word.removesuffix(".py").rstrip("/").rsplit(".", 1)[-1]
        for word in re.findall(r"`([^`]+)`", text)
    }
    there = {
        path.stem
        for path in room_map.parent.iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__"))
        or (path.is_dir() and (path / "__init__.py").exists())
    }
    assert there - named == set()


@pytest.mark.parametrize("path", [*FILES, *list_files("tests")], ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    """A module opens with a docstring."""
    assert ast.get_docstring(parse(path))


@pytest.mark.parametrize("path", [*FILES, *list_files("tests")], ids=name_of)
def test_names_say_what_is_inside(path: Path) -> None:
    """No file or folder has a name that fits everything."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    assert not {word for part in parts for word in (part, *part.split("_"))} & BANNED_NAMES


@pytest.mark.parametrize("path", list_files("tests"), ids=name_of)
def test_every_test_says_its_promise(path: Path) -> None:
    """Each test function has a docstring: the promise it keeps."""
    silent = [
        node.name
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_top_level_holds_what_is_agreed() -> None:
    """No top-level file or folder beyond the agreed ones and dotfiles is under version control."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    found = {line.split("/", 1)[0] for line in listed.stdout.splitlines()}
    assert {name for name in found if not name.startswith(".")} - TOP_LEVEL == set()
