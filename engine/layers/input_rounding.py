"""Rounding what goes into a layer, afresh for each token. Start with `round_inputs`."""

from __future__ import annotations

from torch import Tensor

from engine.quant.dynamic import round_min_max
from engine.specs.states import InputGranularity


def round_inputs(inputs: Tensor, bits: int, granularity: InputGranularity) -> Tensor:
    """Round (..., I) inputs; the gradient is the identity.

    Args:
        inputs: Of any float dtype; the result has the same.
        bits: Width of the codes; 16 returns the inputs themselves.
        granularity: "token" gives each (I,) vector a scale, "tensor" all of them one.
    """
    dims = (-1,) if granularity == "token" else tuple(range(inputs.ndim))
    return round_min_max(inputs, bits, dims)
