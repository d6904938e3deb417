"""What an initialization in iterations left of each layer, as a file and in a few numbers.

Start with `mean_errors`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from engine.errors import StorageError

ERROR_FILE = "loftq-error.json"
FORMAT = "bitdial-initialization-error-1"
Errors = dict[str, tuple[float, ...]]
"""Relative error of every iteration made, by layer; of what, a `Measure` says."""
Measure = Literal["weights", "outputs"]
"""‖W − Q − s·B·A‖ / ‖W‖ of the weights, or ‖(W − Q − s·B·A)·X‖ / ‖W·X‖ of the outputs on text X."""


def mean_errors(errors: Errors) -> tuple[float, ...]:
    """Return the mean over layers of the best error up to each iteration.

    A layer that stopped early counts with its best from there on.
    """
    longest = max(map(len, errors.values()), default=0)
    return tuple(
        sum(min(each[: index + 1]) for each in errors.values()) / len(errors)
        for index in range(longest)
    )


def write_errors(path: Path, errors: Errors, *, measure: Measure = "weights") -> None:
    """Write the errors as JSON; the file appears complete or not at all.

    Args:
        path: The file.
        errors: By layer and iteration.
        measure: What they are errors of.

    Raises:
        StorageError: When it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    values = {
        "format": FORMAT,
        "measure": measure,
        "mean": mean_errors(errors),
        "layers": errors,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(values), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise StorageError(f"{path.name} could not be written: {error}") from error
