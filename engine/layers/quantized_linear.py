"""The layer that stands in for `nn.Linear`, with the same forward. Start with `QuantizedLinear`."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from engine.layers.input_rounding import round_inputs
from engine.layers.rounded_weight import RoundedWeight
from engine.specs.states import InputGranularity


class QuantizedLinear(nn.Module):
    """y = Q(x)·FQ(W + s·B·A)ᵀ + bias, or Q(x)·FQ(W)ᵀ + s·(x·Aᵀ)·Bᵀ + bias; state in `rounded`.

    Q rounds the inputs; a parallel adapter sees them as they come.

    A head tied to a quantized embedding shares the embedding's `rounded`.

    Attributes:
        rounded: The weight and how it is rounded.
        bias: (O,) or None; frozen.
        granularity: What of the inputs shares a scale.
    """

    def __init__(
        self,
        rounded: RoundedWeight,
        bias: nn.Parameter | None,
        *,
        granularity: InputGranularity = "token",
    ) -> None:
        super().__init__()
        self.granularity: InputGranularity = granularity
        self.rounded = rounded
        self.bias = bias
        self.out_features, self.in_features = rounded.weight.shape

    @property
    def weight(self) -> Tensor:
        """The frozen (O, I) weight, as the replaced layer had it."""
        return self.rounded.weight

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., I) to (..., O) in the inputs' dtype."""
        rounded = round_inputs(inputs, self.rounded.active_inputs, self.granularity)
        outputs = self._rounded_output(rounded)
        pair = self.rounded.parallel
        if pair is not None:
            outputs = outputs + pair.output(inputs, self.rounded.active_rank)
        return outputs

    def _rounded_output(self, inputs: Tensor) -> Tensor:
        rounded = self.rounded
        if rounded.held is not None:
            return rounded.held.linear(inputs, self.bias)
        if rounded.is_plain:
            return functional.linear(inputs, rounded.weight, self.bias)
        return functional.linear(inputs, rounded.effective().to(inputs.dtype), self.bias)
