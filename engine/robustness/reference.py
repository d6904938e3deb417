"""The 16-bit model that judges how similar and how fluent a changed text is.

It is the attacked model itself with every rounding and adapter bypassed: no second copy of its
weights. Start with `build_reference`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from engine.layers.head import SplitModel
from engine.layers.layer_map import bypassed
from engine.layers.swap import Layers
from engine.models.families import find_build
from engine.models.loading import LoadedModel
from engine.robustness.language_head import load_language_model
from engine.specs.attack import GradientAttack
from engine.supervised.family import Batch


@dataclass(frozen=True)
class Reference:
    """The attacked model at 16 bits.

    Attributes:
        layers: Its rounded layers, bypassed where the reference is asked.
        language: The same body as a causal language model; None where fluency is left out.
        note: A sentence for the run's log where something asked for is left out; "" otherwise.
    """

    layers: Layers
    language: SplitModel | None = None
    note: str = ""

    def hidden(self, model: PreTrainedModel, batch: Batch) -> Tensor:
        """Return the last hidden states of the body, (N, T, D).

        Only the body's own forward is run: where widths are drawn before every pass of the model
        or its body, none are for this one.
        """
        body: Any = model.base_model
        with bypassed(self.layers):
            states: Tensor = body.forward(**batch).last_hidden_state
        return states

    def logits(self, hidden: Tensor) -> Tensor:
        """Map (..., D) hidden states to the next token's logits, (..., V)."""
        if self.language is None:
            raise ValueError("there is no language model here")
        with bypassed(self.layers):
            return self.language.logits(hidden)


def build_reference(
    loaded: LoadedModel, layers: Layers, *, spec: GradientAttack, revision: str | None = None
) -> Reference:
    """Make an attacked model its own reference.

    Fluency is a causal language model's: a decoder's body with the output layer of its checkpoint.
    An encoder has none, and neither has a checkpoint that was saved with a classification head and
    an output layer of its own; the attack then goes without, and the note says so.

    Args:
        loaded: The model with its classification head, as it was loaded.
        layers: Its rounded layers by name; empty where nothing is rounded.
        spec: What is weighed.
        revision: Of a hub model, as it was loaded.
    """
    if not spec.fluency_weight:
        return Reference(layers)
    if find_build(loaded.model.config.to_dict()) != "decoder":
        why = "an encoder is no causal language model"
        return Reference(layers, note=_leave_out(why))
    language, why = load_language_model(loaded, revision=revision)
    return Reference(layers, language, "" if language is not None else _leave_out(why))


def _leave_out(why: str) -> str:
    return f"The attack does not weigh fluency (attack.fluency_weight): {why}."
