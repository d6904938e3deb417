"""Where the quantized model starts from, before any training. Start with `RoundToNearest`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.specs.base import Spec, option
from engine.specs.data import DataSpec

LoftQVariant = Literal["alternating", "svd-first"]
RangeChoice = Literal["extremes", "minimal-error"]


def _iterations(default: int) -> Any:
    return option(
        default,
        "Iterations",
        "The most rounds of rounding and fitting a parallel adapter; a layer stops where its error "
        "no longer falls and keeps its best.",
        unit="iterations",
        ge=1,
        le=50,
    )


class RoundToNearest(Spec):
    """Ranges from the smallest and largest weight of each group; no data needed."""

    method: Literal["round-to-nearest"] = option(
        "round-to-nearest",
        "Initialization",
        "Take each range from the smallest and largest weight; needs no data.",
    )


class MinimalError(Spec):
    """Ranges that clip extremes where that makes the weights' own error smallest; no data."""

    method: Literal["minimal-error"] = option(
        "minimal-error",
        "Initialization",
        "Search each range for the least squared error of its weights; needs no data.",
    )


class DataAware(Spec):
    """Ranges and start weights chosen so that the layers' outputs on real text change least."""

    method: Literal["data-aware"] = option(
        "data-aware",
        "Initialization",
        "Choose ranges and compensate rounding errors so that each layer's output on calibration "
        "text changes least.",
    )
    data: DataSpec = option(
        DataSpec(split="train"), "Calibration data", "Text the layers are calibrated on."
    )
    num_samples: int = option(
        16, "Calibration windows", "How many windows of text to use.", unit="windows", ge=1
    )
    max_length: int = option(
        256, "Window length", "Tokens per calibration window.", unit="tokens", ge=8, le=131072
    )
    compensation: bool = option(
        True,
        "Compensation",
        "Let the weights not yet rounded make up for the error of those that are.",
        advanced=True,
    )
    iterations: int = _iterations(3)


class LoftQ(Spec):
    """Rounded weights and parallel adapters found in turn, so that each makes up for the other."""

    method: Literal["loftq"] = option(
        "loftq",
        "Initialization",
        "Round, fit the adapters to what rounding lost, round again what they leave; needs no data "
        "and a parallel adapter.",
    )
    variant: LoftQVariant = option(
        "alternating",
        "Variant",
        "alternating rounds the weight first, as published; svd-first takes the strongest "
        "directions off before it rounds.",
    )
    ranges: RangeChoice = option(
        "extremes",
        "Ranges",
        "extremes spans each group's smallest and largest value, as published; minimal-error "
        "searches for the least squared error.",
        advanced=True,
    )
    iterations: int = _iterations(5)


class AdapterFolder(Spec):
    """A LoRA adapter that PEFT has saved, as the start of the adapters."""

    method: Literal["adapter-folder"] = option(
        "adapter-folder",
        "Initialization",
        "Start the adapters from a LoRA that PEFT has saved; weights are rounded to nearest.",
    )
    path: str = option(
        "",
        "Adapter folder",
        "A folder with adapter_config.json and adapter_model.safetensors.",
        max_length=500,
    )


InitializationSpec = Annotated[
    RoundToNearest | MinimalError | DataAware | LoftQ | AdapterFolder,
    Field(discriminator="method"),
]


def replaces_weights(spec: InitializationSpec) -> bool:
    """Whether a start makes frozen weights of its own, for one width, from the model's."""
    return isinstance(spec, LoftQ | DataAware)
