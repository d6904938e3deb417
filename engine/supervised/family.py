"""What a head learns and is asked, whichever task it is: the interface of this room.

Only the protocols are here; `catalogue` builds what fulfils them. Shapes: N rows, B of them per
batch, T tokens of the longest in it. Start with `Family`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from engine.events import Phase, ScoreMeasured
from engine.specs import EvaluationSpec

Batch = dict[str, Tensor]
"""Keyword arguments of the model's forward, labels included, padded to the longest of the batch."""
Progress = Callable[[int, int], None]
"""Told of examples done and in all."""


class Rows(Protocol):
    """Examples to train on, tokenized."""

    @property
    def lengths(self) -> Tensor:
        """(N,) int64, tokens of each row before padding; a summary counts with its text."""
        ...

    def batch(self, places: Tensor) -> Batch:
        """Return the rows at `places`, (B,) int64, as what the model's forward takes, on the CPU.

        Tokens are (B, T) int64, T the longest of these rows, filled up on the right with
        `token_rows.padding_id`; classes and places are (B,) int64, a number to regress on (B,)
        float32. Places of a summary's labels that do not count are −100.
        """
        ...


class Family(Protocol):
    """What a spec's head learns and is measured on; its data is read, no model is needed yet."""

    @property
    def num_labels(self) -> int | None:
        """Classes of a classification head, 1 for a regression; None for other heads."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by the numbers they are learned by; empty where there are none."""
        ...

    @property
    def num_questions(self) -> int:
        """Examples `evaluate` goes through."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the run's log: where the data differs from the published."""
        ...

    def training_rows(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Rows:
        """Return the task's training examples, without those held out, cut to `max_length` tokens.

        Raises:
            DataError: When nothing can be learned at that length, or the tokenizer cannot be used.
        """
        ...

    def evaluate(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        spec: EvaluationSpec,
        phase: Phase,
        progress: Progress,
    ) -> tuple[ScoreMeasured, ...]:
        """Ask the model every task that is measured; it is left in the mode it was in.

        Args:
            model: A Transformers model with this head.
            tokenizer: Its tokenizer.
            spec: Batch size, row length, and how answers are written.
            phase: "before" training or "final".
            progress: Told of examples done and in all.
        """
        ...
