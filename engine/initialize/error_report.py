"""What an initialization in iterations left of each layer, as a file and in a few numbers.

Start with `mean_errors`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from engine.text_file import write_text

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
    values = {
        "format": FORMAT,
        "measure": measure,
        "mean": mean_errors(errors),
        "layers": errors,
    }
    write_text(path, json.dumps(values))
