"""How weights are rounded: the grid, its bits, their mix, and which layers it applies to.

`QuantizerSpec` is a closed union by `grid`; later grids join it. Start with `IntegerQuantizer`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer, field_validator

from engine.specs.base import FRACTION, Spec, option
from engine.specs.data import DataSpec
from engine.specs.layer_bits import read_lines
from engine.specs.states import CacheSpec, FloatCache, FloatInputs, InputsSpec

BITS_UNQUANTIZED = 16
Symmetry = Literal["asymmetric", "symmetric", "narrow"]
Granularity = Literal["group", "channel"]
UniformGranularity = Literal["block", "tensor"]
DEFAULT_EXCLUDE = (
    "lm_head",
    "*embed*",
    "*wte",
    "*wpe",
    "*shared",
    "*relative_attention_bias",
    "*pooler*",
    "*classifi*",
    "score",
    "qa_outputs",
    "head.*",
)
"""Heads and tables of every family: tokens in, tokens, classes or spans out."""


class FirstLayers(Spec):
    """The published rule: the first blocks get the higher of two widths, the others the lower."""

    rule: Literal["first-layers"] = option(
        "first-layers",
        "Mixing",
        "The first blocks get the higher width (4 of 2 and 4 bits, 8 of 4 and 8), as many as the "
        "fraction asks for; the others the lower.",
    )


class BySensitivity(Spec):
    """Widths by how much each layer's rounding moves the model's loss on calibration text."""

    rule: Literal["sensitivity"] = option(
        "sensitivity",
        "Mixing",
        "Layers whose rounding would hurt most on calibration text get more bits, the others "
        "fewer, at the same size.",
    )
    data: DataSpec = option(
        DataSpec(split="train"), "Mixing data", "Text the layers' sensitivity is measured on."
    )
    num_samples: int = option(
        32, "Mixing windows", "How many windows of text to use.", unit="windows", ge=1
    )
    max_length: int = option(
        256, "Window length", "Tokens per window.", unit="tokens", ge=8, le=131072
    )


MixingSpec = Annotated[FirstLayers | BySensitivity, Field(discriminator="rule")]


def _block_size(shown_when: dict[str, list[str]] | None = None) -> Any:
    return option(
        64,
        "Block size",
        "Neighboring weights of a row that share a scale; must divide every layer's input size.",
        unit="weights",
        shown_when=shown_when,
        ge=8,
        le=8192,
    )


class _Grid(Spec):
    """What every grid has: how wide it is, in all layers or on the mean."""

    grid: str
    bits: float = option(
        4,
        "Bits",
        "Width of each quantized weight; a fraction such as 2.5 is the mean over layers of "
        "different whole widths.",
        unit="bits",
        ge=2,
        le=8,
    )
    mixing: MixingSpec = option(
        FirstLayers(),
        "Mixing",
        "Which layers get which width where the bits are a fraction.",
        shown_when={"bits": [FRACTION]},
    )
    layer_bits: tuple[str, ...] = option(
        (),
        "Layer map",
        "Layers with widths of their own, one LAYER=WIDTH per line; names may hold wildcards, and "
        "the last line that matches counts. W4A8KV4 gives weights, inputs and cache a width each, "
        "16 leaves a part unrounded, and 16 for the weights the layer's inputs too: W16A8 rounds "
        "these alone.",
        advanced=True,
        max_length=10_000,
    )
    inputs: InputsSpec = option(FloatInputs(), "Inputs", "How the layers' inputs are rounded.")
    cache: CacheSpec = option(FloatCache(), "KV cache", "How keys and values are rounded.")

    @field_validator("layer_bits", mode="before")
    @classmethod
    def _read_layer_bits(cls, value: Any) -> Any:
        """Lines or a mapping, written in one way."""
        return read_lines(value)

    @field_serializer("bits")
    def _write_whole(self, bits: float) -> Any:
        """A whole number of bits is written as one."""
        return int(bits) if bits == int(bits) else bits

    @property
    def is_mixed(self) -> bool:
        """Whether the bits are a fraction, so that layers differ in width."""
        return self.bits != int(self.bits)


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


class IntegerQuantizer(_Grid):
    """A uniform integer grid with trainable ranges."""

    grid: Literal["integer"] = option(
        "integer", "Grid", "Round weights to evenly spaced integers times a scale."
    )
    symmetry: Symmetry = option(
        "asymmetric",
        "Symmetry",
        "asymmetric stores a zero point beside each scale and uses all levels; symmetric stores "
        "the scale alone; narrow leaves one level unused, so that there are as many above zero as "
        "below, as in LLM-QAT and QaLoF.",
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


class NormalFloatQuantizer(_Grid):
    """A codebook with its levels where normally distributed weights are; scales do not train."""

    grid: Literal["normal-float"] = option(
        "normal-float",
        "Grid",
        "Round weights to a table of levels that suits normally distributed weights, times a "
        "scale (NF4 at 4 bits).",
    )
    group_size: int = _block_size()
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


class LoftQUniformQuantizer(_Grid):
    """The evenly spaced codebooks of LoftQ's code, which clip what lies far out."""

    grid: Literal["loftq-uniform"] = option(
        "loftq-uniform",
        "Grid",
        "Round weights to evenly spaced levels that end at a few standard deviations, as LoftQ's "
        "uniform variants do; what lies beyond is clipped.",
    )
    granularity: UniformGranularity = option(
        "block",
        "Granularity",
        "block ends the levels at the mean plus 2.5 standard deviations of each block, tensor at "
        "two deviations of the whole layer.",
    )
    group_size: int = _block_size({"granularity": ["block"]})
    include: tuple[str, ...] = _include()
    exclude: tuple[str, ...] = _exclude()

    @property
    def shared_weights(self) -> int | None:
        """Weights of a row that share a scale; None for a whole row."""
        return self.group_size if self.granularity == "block" else None

    @property
    def has_zero_points(self) -> bool:
        """Levels stand in a table; there is no zero point."""
        return False


WeightQuantizer = IntegerQuantizer | NormalFloatQuantizer | LoftQUniformQuantizer
CodebookQuantizer = NormalFloatQuantizer | LoftQUniformQuantizer
QuantizerSpec = Annotated[
    FloatQuantizer | IntegerQuantizer | NormalFloatQuantizer | LoftQUniformQuantizer,
    Field(discriminator="grid"),
]


def find_measured_mixing(quantizer: QuantizerSpec) -> BySensitivity | None:
    """Return how widths are to be measured; None where they follow from the spec alone."""
    if isinstance(quantizer, FloatQuantizer) or not quantizer.is_mixed:
        return None
    return quantizer.mixing if isinstance(quantizer.mixing, BySensitivity) else None
