"""The layer that stands in for `nn.Embedding`. Start with `QuantizedEmbedding`."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from engine.layers.rounded_weight import RoundedWeight


class QuantizedEmbedding(nn.Module):
    """Rows of FQ(W); its ranges train, adapters are for linear layers.

    Attributes:
        rounded: The (V, D) weight and how it is rounded.
        padding_idx: As in the replaced layer.
    """

    def __init__(self, rounded: RoundedWeight, padding_idx: int | None) -> None:
        super().__init__()
        self.rounded = rounded
        self.padding_idx = padding_idx
        self.num_embeddings, self.embedding_dim = rounded.weight.shape

    @property
    def weight(self) -> Tensor:
        """The frozen (V, D) weight, as the replaced layer had it."""
        return self.rounded.weight

    def forward(self, rows: Tensor) -> Tensor:
        """Look up integer (...) as (..., D) in the model's dtype."""
        rounded = self.rounded
        dtype = rounded.weight.dtype
        if rounded.held is not None:
            return rounded.held.look_up(rows).to(dtype)
        weight = rounded.weight if rounded.is_plain else rounded.effective().to(dtype)
        return functional.embedding(rows, weight)
