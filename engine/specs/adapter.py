"""Low-rank adapters that win back what rounding lost. Start with `LoraAdapter`.

`AdapterSpec` is a closed union by `kind`; elastic and per-bit adapters join it later.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.specs.base import Spec, option


class NoAdapter(Spec):
    """No adapter."""

    kind: Literal["none"] = option("none", "Adapter", "Train no adapter.")


class LoraAdapter(Spec):
    """One pair of matrices of fixed rank per layer, inside the quantizer: FQ(W + s·B·A)."""

    kind: Literal["lora"] = option(
        "lora", "Adapter", "A low-rank pair per layer, absorbed into the rounded weights."
    )
    r: int = option(
        16, "Rank", "Rank of every pair; at most the smaller side of the layer.", ge=1, le=4096
    )
    lora_alpha: float = option(
        16.0, "Alpha", "The pair is scaled by alpha / rank.", gt=0, le=65536, advanced=True
    )
    target_modules: tuple[str, ...] = option(
        ("*",),
        "Adapted layers",
        "Which of the quantized layers get a pair, by name with shell wildcards, one per line.",
        advanced=True,
        min_length=1,
    )


AdapterSpec = Annotated[NoAdapter | LoraAdapter, Field(discriminator="kind")]
