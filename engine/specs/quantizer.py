"""How weights are rounded: the grid, its bits, and which layers it applies to.

`QuantizerSpec` is a closed union by `grid`; later grids join it. Start with `IntegerQuantizer`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.specs.base import Spec, option

BITS_UNQUANTIZED = 16
Symmetry = Literal["asymmetric", "symmetric"]
Granularity = Literal["group", "channel"]
DEFAULT_EXCLUDE = ("lm_head", "*embed*", "*wte", "*wpe")


def _include() -> Any:
    return option(
        ("*",),
        "Included layers",
        "Layers to quantize, by name with shell wildcards (*.mlp.*), one per line.",
        advanced=True,
        min_length=1,
    )


def _exclude() -> Any:
    return option(
        DEFAULT_EXCLUDE,
        "Excluded layers",
        "Layers left in 16 bits even where included, by name with shell wildcards, one per line.",
        advanced=True,
    )


class FloatQuantizer(Spec):
    """No quantization: every weight keeps its 16 bits."""

    grid: Literal["float"] = option(
        "float", "Grid", "Keep every weight in 16 bits, as the baseline does."
    )


class IntegerQuantizer(Spec):
    """A uniform integer grid with trainable ranges."""

    grid: Literal["integer"] = option(
        "integer", "Grid", "Round weights to evenly spaced integers times a scale."
    )
    bits: int = option(4, "Bits", "Width of each quantized weight.", unit="bits", ge=2, le=8)
    symmetry: Symmetry = option(
        "asymmetric",
        "Symmetry",
        "asymmetric stores a zero point beside each scale and uses all levels; symmetric stores "
        "the scale alone.",
    )
    granularity: Granularity = option(
        "group",
        "Granularity",
        "How many weights share a scale: a group of neighbors in a row, or a whole output channel.",
    )
    group_size: int = option(
        64,
        "Group size",
        "Neighboring weights of a row that share a scale; must divide every layer's input size.",
        unit="weights",
        shown_when={"granularity": ["group"]},
        ge=8,
        le=8192,
    )
    include: tuple[str, ...] = _include()
    exclude: tuple[str, ...] = _exclude()

    @property
    def shared_weights(self) -> int | None:
        """Weights of a row that share a scale; None for a whole row."""
        return self.group_size if self.granularity == "group" else None

    @property
    def has_zero_points(self) -> bool:
        """Whether a zero point is stored beside each scale."""
        return self.symmetry == "asymmetric"


class NormalFloatQuantizer(Spec):
    """A codebook with its levels where normally distributed weights are; scales do not train."""

    grid: Literal["normal-float"] = option(
        "normal-float",
        "Grid",
        "Round weights to a table of levels that suits normally distributed weights, times a "
        "scale (NF4 at 4 bits).",
    )
    bits: int = option(4, "Bits", "Width of each quantized weight.", unit="bits", ge=2, le=8)
    group_size: int = option(
        64,
        "Block size",
        "Neighboring weights of a row that share a scale; must divide every layer's input size.",
        unit="weights",
        ge=8,
        le=8192,
    )
    include: tuple[str, ...] = _include()
    exclude: tuple[str, ...] = _exclude()

    @property
    def shared_weights(self) -> int | None:
        """Weights of a row that share a scale."""
        return self.group_size

    @property
    def has_zero_points(self) -> bool:
        """Zero is a level of the table; there is no zero point."""
        return False


WeightQuantizer = IntegerQuantizer | NormalFloatQuantizer
QuantizerSpec = Annotated[
    FloatQuantizer | IntegerQuantizer | NormalFloatQuantizer, Field(discriminator="grid")
]
