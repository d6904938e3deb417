"""What an exception means to the person whose run it ended."""

from __future__ import annotations

import errno

import pytest

from engine.errors import DataError, Diverged, OutOfMemory, SpecError
from tasks.failures import describe


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (SpecError.at("quantizer.bits", "is odd"), "spec", "quantizer.bits: is odd"),
        (DataError("the file is empty"), "data", "the file is empty"),
        (Diverged(), "diverged", "The training loss is no longer a finite number."),
        (OutOfMemory("too little"), "out_of_memory", "too little"),
        (MemoryError(), "out_of_memory", "the machine has too little memory for this run"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "out_of_memory",
            "the machine has too little memory for this run",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.bin"),
            "data",
            "the disk is full while writing a.bin; free some space and retry the run",
        ),
        (
            ValueError("wrong\nmore"),
            "bug",
            "something went wrong inside Bitdial: ValueError: wrong",
        ),
        (KeyError(), "bug", "something went wrong inside Bitdial: KeyError"),
    ],
)
def test_each_failure_has_a_kind_and_a_sentence(
    error: BaseException, kind: str, sentence: str
) -> None:
    """Kinds follow the error; the sentence is one line."""
    failure = describe(error)
    assert (failure.kind, failure.message) == (kind, sentence)
    assert type(error).__name__ in failure.traceback


def test_text_a_database_cannot_hold_is_cleaned() -> None:
    """Zero bytes and half characters in a message do not keep it from being stored."""
    failure = describe(ValueError("a\0b\ud800"))
    assert "\0" not in failure.message
    failure.message.encode()
