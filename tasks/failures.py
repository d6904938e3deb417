"""What an exception means for a run: its kind, a sentence for the user, the traceback.

Start with `describe`.
"""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass

from engine.errors import BitdialError, FailureKind

MAX_TRACEBACK = 20_000
OUT_OF_MEMORY_SIGNS = ("can't allocate memory", "not enough memory", "CUDA out of memory")


@dataclass(frozen=True)
class Failure:
    """Why a run failed; fields as in `RunRecord`."""

    kind: FailureKind
    message: str
    traceback: str


def describe(error: BaseException) -> Failure:
    """Say what an exception means."""
    kind, message = _judge(error)
    lines = "".join(traceback.format_exception(error))
    return Failure(kind, _clean(message), _clean(lines[-MAX_TRACEBACK:]))


def _judge(error: BaseException) -> tuple[FailureKind, str]:
    if isinstance(error, BitdialError):
        return error.kind, str(error)
    if _is_out_of_memory(error):
        return "out_of_memory", "the machine has too little memory for this run"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" while writing {error.filename}" if error.filename else ""
        return "data", f"the disk is full{place}; free some space and retry the run"
    reason = str(error).strip().split("\n")[0]
    name = type(error).__name__
    return "bug", f"something went wrong inside Bitdial: {name}{': ' if reason else ''}{reason}"


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(sign in text for sign in OUT_OF_MEMORY_SIGNS)


def _clean(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
