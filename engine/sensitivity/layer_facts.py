"""What the layers of a model look like, as a file: ranges, histogram, rounding error. No torch.

A sensitivity run writes one before it measures; `weight_facts` makes it. Start with
`read_layer_facts`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from engine.text_file import write_text

FACTS_FILE = "layer-facts.json"
FORMAT: Final = "bitdial-layer-facts-1"
NUM_BINS: Final = 32


class Histogram(BaseModel):
    """How a layer's weights are spread between the smallest and the largest.

    Attributes:
        edges: Ends of the bins, evenly spaced.
        counts: Weights in each bin.
    """

    model_config = ConfigDict(frozen=True)

    edges: Annotated[tuple[FiniteFloat, ...], Field(min_length=NUM_BINS + 1)]
    counts: Annotated[tuple[int, ...], Field(min_length=NUM_BINS)]


class LayerFact(BaseModel):
    """One layer, as it is before it is rounded.

    Attributes:
        shape: (O, I).
        relative_error: ‖ΔW‖² / ‖W‖² at each width.
        rank: Rank of its adapter, the highest where widths have their own; None where it has none.
    """

    model_config = ConfigDict(frozen=True)

    shape: tuple[int, int]
    num_weights: int
    minimum: FiniteFloat
    maximum: FiniteFloat
    mean_absolute: FiniteFloat
    standard_deviation: FiniteFloat
    histogram: Histogram
    relative_error: dict[int, FiniteFloat]
    rank: int | None = None


class LayerFacts(BaseModel):
    """All layers by name, in the model's order."""

    model_config = ConfigDict(frozen=True)

    format: Literal["bitdial-layer-facts-1"] = FORMAT
    layers: dict[str, LayerFact]


def write_layer_facts(path: Path, facts: LayerFacts) -> None:
    """Write the facts as JSON; the file appears complete or not at all.

    Raises:
        StorageError: When it cannot be written.
    """
    write_text(path, json.dumps(facts.model_dump(mode="json")))


def read_layer_facts(path: Path) -> LayerFacts | None:
    """Return what a file says; None where it is missing or damaged."""
    try:
        return LayerFacts.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
