"""How much the width of each layer matters, measured. Start with `SensitivitySpec`.

The model stands at a start map; one unit after another (a layer, a block or a kind) is taken to
each candidate width, and what is lost against the start is its score. From a high start that is one
low among high, from a low start one high among low. The cheap methods score the same question
without measuring it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from engine.specs.base import Spec, option
from engine.specs.bit_policy import Widths, widths_option
from engine.specs.data import DataSpec
from engine.specs.layer_bits import UNROUNDED, WIDTHS, read_lines
from engine.specs.quantizer import IntegerQuantizer, QuantizerSpec
from engine.specs.subject import Subject

Unit = Literal["layer", "block", "kind"]
MeasuredOn = Literal["text", "tasks"]


class Ablation(Spec):
    """Every unit at every width, measured one by one; exact."""

    method: Literal["ablation"] = option(
        "ablation",
        "Method",
        "Switch one unit at a time and measure: exact, and as many evaluations as there are units "
        "and widths.",
    )
    measured_on: MeasuredOn = option(
        "text",
        "Measured on",
        "text measures divergence from the 16-bit model and perplexity on the calibration text; "
        "tasks the benchmarks of the evaluation, or the task a head was trained on.",
    )
    reuse_activations: bool = option(
        True,
        "Reuse activations",
        "Keep what the blocks before the switched one compute instead of computing it again; the "
        "scores are the same. On text alone.",
        shown_when={"measured_on": ["text"]},
        advanced=True,
    )


class GradientMethod(Spec):
    """Every layer at every width from one backward pass over the calibration text."""

    method: Literal["gradient"] = option(
        "gradient",
        "Method",
        "Estimate the divergence of every layer at every width from squared gradients (Fisher "
        "information): one backward pass over the calibration text.",
    )


class WeightErrorMethod(Spec):
    """The squared rounding error of the weights alone."""

    method: Literal["weight-error"] = option(
        "weight-error",
        "Method",
        "The squared rounding error of the weights: no text, no pass, and little agreement.",
    )


class OutputErrorMethod(Spec):
    """The squared error of each layer's outputs on calibration text."""

    method: Literal["output-error"] = option(
        "output-error",
        "Method",
        "The squared error of each layer's outputs: one forward pass over the calibration text.",
    )


MethodSpec = Annotated[
    GradientMethod | Ablation | OutputErrorMethod | WeightErrorMethod,
    Field(discriminator="method"),
]


class CalibrationSpec(Spec):
    """The text that sensitivity is measured on."""

    data: DataSpec = option(
        DataSpec(split="train"), "Calibration data", "Text the units are scored on."
    )
    num_samples: int = option(
        32,
        "Windows",
        "How many windows of text to use, spread over it.",
        unit="windows",
        ge=1,
        le=1_000_000,
    )
    max_length: int = option(
        256, "Window length", "Tokens per window.", unit="tokens", ge=8, le=131072
    )


class SensitivitySpec(Subject):
    """The sensitivity of a model's layers to their widths; nothing is trained."""

    kind: Literal["sensitivity"] = option("sensitivity", "Kind", "Kind of run.", advanced=True)
    parent: int | None = option(
        None,
        "Training run",
        "Number of the training run whose layers are measured; empty for the model as it is.",
        ge=1,
    )
    quantizer: QuantizerSpec = option(IntegerQuantizer(), "Quantizer", "How weights are rounded.")
    method: MethodSpec = option(GradientMethod(), "Method", "How units are scored.")
    unit: Unit = option(
        "layer",
        "Unit",
        "What changes its width at once: a layer, a block, or all layers of a kind.",
    )
    widths: Widths = widths_option((8, 6, 4, 3, 2), "Widths each unit is scored at, one per line.")
    start_bits: int = option(
        UNROUNDED,
        "Start width",
        "Width of all layers before one changes: 16 scores one low among high, 2 one high among "
        "low.",
        unit="bits",
    )
    start_map: tuple[str, ...] = option(
        (),
        "Start map",
        "Layers that start at other widths, one LAYER=WIDTH per line; names may hold wildcards.",
        advanced=True,
        max_length=10_000,
    )
    calibration: CalibrationSpec = option(
        CalibrationSpec(), "Calibration", "The text units are scored on."
    )

    @field_validator("start_bits")
    @classmethod
    def _check_start(cls, bits: int) -> int:
        if bits not in WIDTHS:
            raise PydanticCustomError(
                "width", "{bits} is no width; choose 2 to 8, or 16", {"bits": bits}
            )
        return bits

    @field_validator("start_map", mode="before")
    @classmethod
    def _read_start_map(cls, value: Any) -> Any:
        """Lines or a mapping, written in one way."""
        return read_lines(value)

    @property
    def starts_unrounded(self) -> bool:
        """Whether every layer starts at 16 bits."""
        return self.start_bits == UNROUNDED and not self.start_map
