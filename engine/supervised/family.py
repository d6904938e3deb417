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
    """Examples to train on, tokenized.

    Attributes:
        lengths: (N,) int64, tokens of each row before padding.
    """

    lengths: Tensor

    def batch(self, places: Tensor) -> Batch:
        """Return the rows at `places`, (B,) int64, as what the model's forward takes, on the CPU.

        Every tensor is (B, T) int64, T the longest of these rows; a class is (B,), int64, or
        float32 where it is a number to regress on.
        """
        ...


class Family(Protocol):
    """What a spec's head learns and is measured on; its data is read, no model is needed yet.

    Attributes:
        num_labels: Classes of a classification head, 1 for a regression; None for other heads.
        num_questions: Examples `evaluate` goes through.
    """

    num_labels: int | None
    num_questions: int

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
