"""What can go wrong, as a person should read it.

Every error of ours carries a `kind` (what a failed run stores), the `field` of the spec or the file
it concerns, and one sentence that names what would be accepted. The docstring is the default
message. Nothing here imports anything of ours; start with `BitdialError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

FailureKind = Literal["spec", "data", "out_of_memory", "diverged", "lost", "bug"]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a request.

    Attributes:
        field: Dotted path of the spec field ("quantizer.group_size"), or "" for the whole.
        message: One sentence that says what is wrong and what would be accepted.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class BitdialError(Exception):
    """Something in Bitdial failed."""

    kind: ClassVar[FailureKind] = "bug"

    def __init__(self, message: str | None = None, *, field: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n")[0])
        self.field = field

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.field}: {message}" if self.field else message


class SpecError(BitdialError):
    """The request cannot be carried out as written."""

    kind = "spec"

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))

    @classmethod
    def at(cls, field: str, message: str) -> SpecError:
        """Build the error for a single field."""
        return cls(Problem(field, message))


class ModelError(BitdialError):
    """The model cannot be loaded or is of a kind Bitdial does not know."""

    kind = "data"


class DataError(BitdialError):
    """The data set cannot be read or holds nothing to use."""

    kind = "data"


class StorageError(BitdialError):
    """A file could not be written, most often because the disk is full."""

    kind = "data"


class CheckpointError(BitdialError):
    """The checkpoint does not belong to this run or is damaged."""

    kind = "data"


class ExportError(BitdialError):
    """What was written does not give the run's own answers and was removed."""


class OutOfMemory(BitdialError):
    """The device has too little memory for this run."""

    kind = "out_of_memory"


class Diverged(BitdialError):
    """The training loss is no longer a finite number."""

    kind = "diverged"


class Cancelled(BitdialError):
    """The run was asked to stop."""
