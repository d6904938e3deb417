"""From token ids to hidden states, and from hidden states to logits, as two steps.

Losses and divergences work through the vocabulary in pieces, so they need the last hidden state and
the head apart. Families that scale or cap their logits are known by the fields of their config; a
probe against the model's own forward refuses what is not. Start with `SplitModel`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import ModelError

PROBE_TOLERANCE = 2e-2  # of the largest logit; bfloat16 alone is off by a few thousandths
TINY = 1e-30


class SplitModel:
    """A causal language model as body and head.

    Attributes:
        body: The transformer under the head.
        head: The output layer, (D) to (V).
        soft_cap: Logits are capped by soft_cap · tanh(logits / soft_cap), or None.
        logit_factor: Logits are multiplied by this after the head.
    """

    def __init__(self, model: Any) -> None:
        self.body: nn.Module = model.base_model
        self.head: nn.Module = model.get_output_embeddings()
        config = model.config.get_text_config()
        self.soft_cap: float | None = getattr(config, "final_logit_softcapping", None)
        self.logit_factor = float(getattr(config, "logit_scale", None) or 1.0)
        self.logit_factor /= float(getattr(config, "logits_scaling", None) or 1.0)
        self._probe(model)

    @property
    def head_is_plain(self) -> bool:
        """Whether logits are a frozen matrix product alone, with nothing to train in it."""
        is_linear = isinstance(self.head, nn.Linear) and self.head.bias is None
        return is_linear and self.soft_cap is None and self.logit_factor == 1.0

    @property
    def head_weight(self) -> Tensor:
        """The (V, D) weight of the head."""
        weight = self.head.weight
        if not isinstance(weight, Tensor):
            raise ModelError("the output layer has no weight matrix", field="model.source")
        return weight

    def hidden(
        self,
        tokens: Tensor,
        *,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Map (B, T) token ids to the last hidden states (B, T, D), after the final norm.

        Args:
            tokens: (B, T) int64.
            position_ids: (B, T) int64, or None to count from 0.
            attention_mask: (B, 1, T, T) in the model's dtype, added to the attention scores, or
                None for plain causal attention. Not every family honors it.
        """
        given = {"position_ids": position_ids, "attention_mask": attention_mask}
        asked = {name: value for name, value in given.items() if value is not None}
        states: Tensor = self.body(input_ids=tokens, use_cache=False, **asked).last_hidden_state
        return states

    def logits(self, hidden: Tensor) -> Tensor:
        """Map (..., D) hidden states to (..., V) logits in the model's dtype."""
        logits: Tensor = self.head(hidden) * self.logit_factor
        if self.soft_cap is not None:
            logits = torch.tanh(logits / self.soft_cap) * self.soft_cap
        return logits

    @torch.no_grad()
    def _probe(self, model: Any) -> None:
        """Check once that body and head give what the model gives.

        Raises:
            ModelError: When they do not.
        """
        device = next(model.parameters()).device
        tokens = torch.arange(4, device=device).unsqueeze(0)
        whole = model(input_ids=tokens, use_cache=False).logits.float()
        parts = self.logits(self.hidden(tokens)).float()
        off = float((whole - parts).abs().max()) / max(float(whole.abs().max()), TINY)
        if not off <= PROBE_TOLERANCE:  # not a number is refused, too
            raise ModelError(
                "this family changes its logits after the head in a way Bitdial does not know; "
                "use a Llama, Qwen, Mistral, Phi, Gemma or GPT-2 kind of model",
                field="model.source",
            )
