"""Measuring one trained model at many layer maps, and attacking it. Start with `MapEvaluationSpec`.

Nothing is trained. Every map is measured on the same text, benchmarks and attack, so that its
scores stand beside each other's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from engine.specs.attack import AttackSpec, NoAttack
from engine.specs.base import Spec, option
from engine.specs.bit_policy import (
    Scope,
    Weights,
    Widths,
    scope_option,
    sort_weights,
    weights_option,
    widths_option,
)
from engine.specs.layer_bits import WIDTHS, read_lines
from engine.specs.subject import Subject

MAX_MAPS = 64


class UniformMap(Spec):
    """The same width everywhere."""

    map: Literal["uniform"] = option("uniform", "Map", "One width for all quantized layers.")
    bits: int = option(
        ..., "Width", "Width of all quantized layers; 16 for none rounded.", unit="bits"
    )

    @field_validator("bits")
    @classmethod
    def _check_bits(cls, bits: int) -> int:
        if bits not in WIDTHS:
            raise PydanticCustomError(
                "width", "{bits} is no width; choose 2 to 8, or 16", {"bits": bits}
            )
        return bits

    @property
    def label(self) -> str:
        """How it is called: "4 bits"."""
        return f"{self.bits} bits"


class LayerBitsMap(Spec):
    """Widths by layer, under a name."""

    map: Literal["layers"] = option("layers", "Map", "Widths of single layers.")
    name: str = option(..., "Name", "How the map is called.", min_length=1, max_length=80)
    layer_bits: tuple[str, ...] = option(
        ...,
        "Layer map",
        "One LAYER=WIDTH per line; layers that no line names keep the training run's width.",
        min_length=1,
        max_length=10_000,
    )

    @field_validator("name", mode="before")
    @classmethod
    def _strip_name(cls, value: Any) -> Any:
        """Blanks around a name tell no maps apart."""
        return value.strip() if isinstance(value, str) else value

    @field_validator("layer_bits", mode="before")
    @classmethod
    def _read_layer_bits(cls, value: Any) -> Any:
        """Lines or a mapping, written in one way."""
        return read_lines(value)

    @property
    def label(self) -> str:
        """Its name."""
        return self.name


class RandomMap(Spec):
    """Widths drawn anew for every forward pass."""

    map: Literal["random"] = option("random", "Map", "Draw widths anew for every forward pass.")
    widths: Widths = widths_option((8, 6, 4), "Widths to draw from, one per line.")
    weights: Weights = weights_option()
    scope: Scope = scope_option()

    _sort_weights = model_validator(mode="before")(sort_weights)

    @property
    def label(self) -> str:
        """How it is called: "random 8, 6, 4 by layer"."""
        shared = "" if self.scope == "model" else f" by {self.scope}"
        odds = f" ({', '.join(f'{each:g}' for each in self.weights)})" if self.weights else ""
        return f"random {', '.join(map(str, self.widths))}{odds}{shared}"


MapSpec = Annotated[UniformMap | LayerBitsMap | RandomMap, Field(discriminator="map")]


class MapEvaluationSpec(Subject):
    """The evaluation of one trained model at many layer maps; nothing is trained."""

    kind: Literal["map-evaluation"] = option(
        "map-evaluation", "Kind", "Kind of run.", advanced=True
    )
    parent: int = option(..., "Training run", "Number of the run whose layers are used.", ge=1)
    maps: tuple[MapSpec, ...] = option(
        ..., "Maps", "Which layer maps to measure.", min_length=1, max_length=MAX_MAPS
    )
    attack: AttackSpec = option(
        NoAttack(), "Attack", "Whether a classifier is attacked at every map as well."
    )
