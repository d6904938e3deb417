"""A model with a head other than causal-lm, as far as an initialization looks into it.

The counterpart of `head` for encoders and encoder-decoders: tokens run through the body alone.
Start with `HeadedModel`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.layers.head import SplitModel


class HeadedModel:
    """A model's body, without what its head makes of it.

    Attributes:
        body: The transformer under the head.
    """

    def __init__(self, model: Any) -> None:
        self.body: nn.Module = model.base_model
        self._model = model

    @property
    def head_weight(self) -> Tensor:
        """The weight that says what the model computes in: its output layer's, else its table's."""
        layer = self._model.get_output_embeddings() or self._model.get_input_embeddings()
        weight = layer.weight
        if not isinstance(weight, Tensor):
            raise ModelError("the model has no token embedding", field="model.source")
        return weight

    def hidden(self, tokens: Tensor) -> Tensor:
        """Map (B, T) token ids to the last hidden states (B, T, D) of the body.

        An encoder-decoder reads the same tokens on both sides.
        """
        if not self._model.config.is_encoder_decoder:
            states: Tensor = self.body(input_ids=tokens).last_hidden_state
            return states
        mask = torch.ones_like(tokens)
        read = self._model.get_encoder()(input_ids=tokens, attention_mask=mask).last_hidden_state
        written: Tensor = self._model.get_decoder()(
            input_ids=tokens,
            encoder_hidden_states=read,
            encoder_attention_mask=mask,
            use_cache=False,
        ).last_hidden_state
        return written


AnyModel = SplitModel | HeadedModel
"""A model with whichever head: its `body`, its `hidden` states and a `head_weight`."""
