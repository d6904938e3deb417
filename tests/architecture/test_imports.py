"""Promises about who may import what, and what an import weighs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, list_files, name_of, parse

HEAVY = ("torch", "transformers", "datasets", "accelerate", "lm_eval", "optuna")
LIGHT_ROOMS = (
    "app.cli",
    "app.server",
    "app.commands.demo",
    "tasks.submit",
    "tasks.bit_map.viewing",
    "tasks.store",
    "tasks.store.runs",
    "engine.specs",
    "engine.allocation.mean_budget",
    "engine.layer_maps.reading",
    "engine.estimates",
    "engine.search.strategies",
    "engine.models.shapes",
    "engine.sensitivity.checks",
    "engine.sensitivity.layer_facts",
)
READERS_OF_THE_ENVIRONMENT = {"tasks/settings.py"}
SILENT_FILES = [
    path
    for path in list_files("engine", "tasks", "app")
    if name_of(path) not in READERS_OF_THE_ENVIRONMENT
]


def test_import_contracts_hold() -> None:
    """Every import contract of pyproject.toml is kept, indirect imports included."""
    lint = Path(sys.executable).with_name("lint-imports")
    kept = subprocess.run(
        [str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert kept.returncode == 0, kept.stdout + kept.stderr


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_light_rooms_load_nothing_heavy(room: str) -> None:
    """A fresh interpreter that imports the room has loaded neither torch nor its company."""
    program = f"import sys, {room}; print([name for name in {HEAVY!r} if name in sys.modules])"
    seen = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SILENT_FILES, ids=name_of)
def test_settings_alone_reads_the_environment(path: Path) -> None:
    """No other file looks at environment variables; what is decided outside comes as a value."""
    assert [node.lineno for node in ast.walk(parse(path)) if _reads_environment(node)] == []


@pytest.mark.parametrize("path", list_files("app"), ids=name_of)
def test_pages_keep_no_state_in_gradio(path: Path) -> None:
    """`gr.State` is never used: one such component makes the sixth tab hang all tabs."""
    found = [
        node.lineno
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("gr", "gradio")
        and node.attr == "State"
    ]
    assert found == []


@pytest.mark.parametrize("path", list_files("engine", "tasks", "app"), ids=name_of)
def test_nothing_is_unpickled(path: Path) -> None:
    """No file imports pickle or calls `torch.load`: files may come from strangers."""
    found = [node.lineno for node in ast.walk(parse(path)) if _unpickles(node)]
    assert found == []


def _reads_environment(node: ast.AST) -> bool:
    """Whether the node is os.getenv, or os.environ used other than to set a variable."""
    if isinstance(node, ast.Attribute | ast.Name):
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        if name == "getenv":
            return True
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return _is_environ(node.value)
    if isinstance(node, ast.Attribute) and _is_environ(node.value):
        return node.attr in ("get", "items", "keys", "values", "copy")
    return False


def _is_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def _unpickles(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name in ("pickle", "dill", "joblib") for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module in ("pickle", "dill", "joblib")
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "load"
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
    )
