"""Texts as probabilities of tokens, and how a model reads them.

A soft token is the mean of all tokens' embeddings under its probabilities; it takes the place of
what the model's embedding looks up, so that positions, padding and the place a decoder reads its
class at are those of a text as usual, whatever the model's kind. Shapes: G texts, S samples of
each, T tokens, P tokens of all texts that may change, V words, D wide. Start with `draw_soft`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

TEMPERATURE = 1.0


@dataclass(frozen=True)
class Places:
    """Where the tokens that may change stand.

    Attributes:
        owners: (P,) int64, the text each is of; in order of the texts.
        columns: (P,) int64, its place in the row.
    """

    owners: Tensor
    columns: Tensor

    def rows(self, num_samples: int) -> Tensor:
        """Return (P, S), the row of each sample where every text has S rows, one after another."""
        samples = torch.arange(num_samples, device=self.owners.device)
        return self.owners[:, None] * num_samples + samples


@dataclass
class SoftTexts:
    """S samples of every text.

    Attributes:
        probabilities: (P, S, V) float32, π.
        places: Where they stand.
    """

    probabilities: Tensor
    places: Places
    _embedded: dict[int, Tensor] = field(default_factory=dict)

    def embed(self, table: Any) -> Tensor:
        """Return π · E, (P, S, D); multiplied once where the table is a plain one.

        Args:
            table: The model's embedding, E; one that rounds or scales is looked up as it is now.
        """
        if type(table).forward is not nn.Embedding.forward:
            words = torch.arange(self.probabilities.shape[-1], device=self.probabilities.device)
            return self._multiply(table.forward(words))
        if id(table) not in self._embedded:
            self._embedded[id(table)] = self._multiply(table.weight)
        return self._embedded[id(table)]

    def _multiply(self, table: Tensor) -> Tensor:
        return self.probabilities.to(table.dtype) @ table


def draw_soft(
    coefficients: Tensor,
    places: Places,
    *,
    num_samples: int,
    generators: Sequence[torch.Generator],
) -> SoftTexts:
    """Draw Gumbel-softmax samples, π = softmax((Θ + g) / τ) with τ = 1, with their gradient.

    Source: Jang et al., 2017, arXiv:1611.01144, equation 2; g = −log(−log u) of a
    uniform u. Where u is 0 the probability is 0; it is never 1.

    Args:
        coefficients: (P, V), Θ; −∞ for tokens that are never drawn.
        places: Where they stand.
        num_samples: S.
        generators: One per text, so that a text's samples do not depend on its neighbors.
    """
    shape = (len(coefficients), num_samples, coefficients.shape[1])
    noise = torch.empty(shape, device=coefficients.device)
    counts = torch.bincount(places.owners, minlength=len(generators)).tolist()
    for part, generator in zip(torch.split(noise, counts), generators, strict=True):
        part.uniform_(generator=generator)
    noise.log_().neg_().log_()  # −g; a third of the time that an exponential variable takes
    scores = (coefficients[:, None, :] - noise) / TEMPERATURE
    return SoftTexts(scores.softmax(dim=-1), places)


@contextmanager
def reading_softly(model: PreTrainedModel, texts: SoftTexts) -> Iterator[None]:
    """Let the model read soft tokens where they stand, in rows of S samples per text."""
    rows = texts.places.rows(texts.probabilities.shape[1])
    columns = texts.places.columns[:, None].expand_as(rows)

    def replace(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        del inputs
        return output.index_put((rows, columns), texts.embed(module).to(output.dtype))

    handle = model.get_input_embeddings().register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
