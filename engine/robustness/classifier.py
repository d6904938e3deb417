"""What is attacked: a model with a classification head, as evaluation asks it.

Start with `Classifier`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from engine.errors import SpecError
from engine.robustness.attackable import FIELD
from engine.specs import EvaluationSpec
from engine.supervised.classification import ask
from engine.supervised.family import Batch
from engine.supervised.scoring import fill_of
from engine.supervised.token_rows import MEASURED_LENGTH, row_limit

Texts = tuple[str, ...]
"""A text, or a pair of texts."""


@dataclass(frozen=True)
class Classifier:
    """A classifier under attack.

    Attributes:
        model: With a classification head.
        tokenizer: Its own, which knows where tokens come from ("fast").
        evaluation: Row length, and how many texts are asked at once.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    evaluation: EvaluationSpec

    def __post_init__(self) -> None:
        if self.model.config.is_encoder_decoder:
            raise SpecError.at(
                FIELD,
                "gbda cannot attack an encoder-decoder, which reads a text twice; choose none, or "
                "a run of an encoder or a decoder",
            )
        if not self.tokenizer.is_fast:
            raise SpecError.at(
                FIELD,
                "gbda needs a tokenizer that knows which text a token is of; choose none, or a "
                "model with a tokenizer.json",
            )

    @property
    def max_length(self) -> int:
        """Rows are cut to so many tokens."""
        return row_limit(self.tokenizer, self.evaluation.max_length, field=MEASURED_LENGTH)

    @property
    def fill(self) -> int:
        """The token rows are filled up with."""
        return fill_of(self.model, self.tokenizer)

    def read(self, texts: Sequence[Texts]) -> list[int]:
        """Return the class of each text, by way of its words: one forward pass per batch."""
        outputs = ask(
            self.model, self.tokenizer, list(texts), spec=self.evaluation, told=lambda _: None
        )
        classes: list[int] = outputs.argmax(dim=1).tolist()
        return classes

    def logits(self, batch: Batch) -> Tensor:
        """Return (N, C) float32 logits of a batch on the model's device, with gradients."""
        found: Tensor = self.model(**batch).logits
        return found.float()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.model.parameters()).device
        return device
