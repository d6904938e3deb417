"""Promises of the errors a person reads."""

from __future__ import annotations

import pytest

from engine.errors import (
    BitdialError,
    Cancelled,
    CheckpointError,
    DataError,
    Diverged,
    ModelError,
    OutOfMemory,
    Problem,
    SpecError,
    StorageError,
)

ERRORS = (
    BitdialError,
    Cancelled,
    CheckpointError,
    DataError,
    Diverged,
    ModelError,
    OutOfMemory,
    StorageError,
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_docstring_is_the_default_message(error: type[BitdialError]) -> None:
    """Raised without words, an error says what its docstring says."""
    assert str(error()) == (error.__doc__ or "").split("\n")[0]


def test_message_names_the_field() -> None:
    """An error about a field begins with the field."""
    assert str(ModelError("no such model", field="model.source")) == "model.source: no such model"
    assert str(ModelError("no such model")) == "no such model"


def test_spec_error_lists_its_problems() -> None:
    """Every problem is in the message, each with its field."""
    error = SpecError(Problem("seed", "too small"), Problem("", "no fields"))
    assert str(error) == "seed: too small; no fields"
    assert SpecError.at("seed", "too small").problems == (Problem("seed", "too small"),)
