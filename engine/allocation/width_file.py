"""The widths a run chose for its layers, as a file anyone can read. Start with `WidthFile`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from engine.text_file import write_text

WIDTHS_FILE = "layer-widths.json"
FORMAT: Final = "bitdial-layer-widths-1"
_LEAST, _MOST = 2, 8
Width = Annotated[int, Field(ge=_LEAST, le=_MOST)]
Scores = dict[str, dict[Width, FiniteFloat]]


class WidthFile(BaseModel):
    """Which layer got how many bits, and why.

    Attributes:
        rule: How they were chosen.
        key: Fingerprint of what they were chosen for; others have no use for them.
        average: The mean width over weights.
        layers: Width by layer, in the model's order.
        scores: What each layer scores at each width, and `errors` one standard error of it; by
            sensitivity alone.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal["bitdial-layer-widths-1"] = FORMAT
    rule: Literal["first-layers", "sensitivity"]
    key: str
    average: Annotated[FiniteFloat, Field(ge=_LEAST, le=_MOST)]
    layers: Annotated[dict[str, Width], Field(min_length=1)]
    scores: Scores | None = None
    errors: Scores | None = None


def write_widths(path: Path, widths: WidthFile) -> None:
    """Write the widths as JSON; the file appears complete or not at all.

    Raises:
        StorageError: When it cannot be written.
    """
    values: Mapping[str, object] = widths.model_dump(mode="json", exclude_none=True)
    write_text(path, json.dumps(values))


def find_widths(path: Path, *, key: str) -> WidthFile | None:
    """Return the widths of a file; None where it is missing, damaged, or of something else."""
    found = read_width_file(path)
    return None if found is None or found.key != key else found


def read_width_file(path: Path) -> WidthFile | None:
    """Return what a file says, whatever it was chosen for; None where missing or damaged."""
    try:
        return WidthFile.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
