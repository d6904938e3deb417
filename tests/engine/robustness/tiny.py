"""Classifiers small enough to attack in a test: one that adds up words, and kinds with weights.

Start with `make_adder`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, PreTrainedModel

from engine.data.supervised_rows import Labelled
from engine.models.heads import set_padding
from engine.robustness.classifier import Classifier
from engine.specs import EvaluationSpec
from engine.specs.attack import GradientAttack
from tests.engine.supervised.tiny import make_encoder_tokenizer
from tests.tiny_heads import make_kind, make_pair_tokenizer

GOOD, BAD, PLAIN = ("good", "fine", "great"), ("bad", "dull", "poor"), ("film", "the", "plot", "is")
TEXTS = ("the film is good", "the plot is bad", "the film is fine", "the plot is dull film")


class Words(nn.Module):
    """A body that looks words up."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(size, 4)

    def forward(self, input_ids: Tensor, **_: Any) -> Any:
        return SimpleNamespace(last_hidden_state=self.table(input_ids))


class Adder(PreTrainedModel):
    """Class 1 where the first feature of a text's words sums to more than 0."""

    config_class = BertConfig
    base_model_prefix = "body"
    main_input_name = "input_ids"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.body = Words(config.vocab_size)

    def get_input_embeddings(self) -> nn.Module:
        return self.body.table

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Any:
        words = self.body(input_ids).last_hidden_state * attention_mask[..., None]
        total = words[..., 0].sum(dim=1)
        return SimpleNamespace(logits=torch.stack([-total, total], dim=1))


def make_adder() -> Classifier:
    """Build a classifier of good and bad words; every other feature tells words apart."""
    tokenizer = make_encoder_tokenizer([*GOOD, *BAD, *PLAIN])
    torch.manual_seed(3)
    model = Adder(BertConfig(vocab_size=len(tokenizer), pad_token_id=0)).eval()
    model.requires_grad_(requires_grad=False)
    values = model.body.table.weight
    values[:, 0] = 0.0
    for sign, words in ((1.0, GOOD), (-1.0, BAD)):
        values[tokenizer.convert_tokens_to_ids(list(words)), 0] = sign
    return Classifier(model, tokenizer, EvaluationSpec())


def make_victim(kind: str, **values: Any) -> Classifier:
    """Build a tiny model of that kind with a head of three classes."""
    tokenizer = make_pair_tokenizer()
    model = make_kind(kind, "classification", num_labels=3, **values)
    model.requires_grad_(requires_grad=False)
    set_padding(model, tokenizer)
    return Classifier(model, tokenizer, EvaluationSpec())


def as_read(victim: Classifier, *texts: tuple[str, ...]) -> list[Labelled]:
    """Return texts with the classes the model reads them as."""
    return [
        Labelled(text, float(label)) for text, label in zip(texts, victim.read(texts), strict=True)
    ]


def gbda(**values: Any) -> GradientAttack:
    """Return a short attack."""
    short = {"num_steps": 6, "num_gradient_samples": 3, "num_tries": 8}
    return GradientAttack(attack="gbda", **(short | values))
