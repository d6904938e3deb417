"""A task's examples answered by a model: loss of the right answer, and whether it is chosen.

What a search compares configurations on, without lm-eval and without the test split. Start with
`score_examples`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from engine.data.example_windows import encode_pairs
from engine.data.tasks import Example
from engine.evaluation.likelihood import Likelihood, Request, score_continuations
from engine.evaluation.statistics import Mean
from engine.layers.head import SplitModel


class ExampleScores(NamedTuple):
    """How a model answers each of N examples.

    Attributes:
        loss: (N,) float64, mean negative log-likelihood of the right answer per token, in nats.
        correct: (N,) float64, 1 where the right candidate is the most likely per character; where
            there is but one candidate, 1 where greedy writing would give it.
    """

    loss: Tensor
    correct: Tensor


def score_examples(
    split: SplitModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    batch_size: int,
    progress: Callable[[int, int], None],
) -> ExampleScores:
    """Score every candidate of every example.

    Args:
        split: The model as it stands, in evaluation mode.
        tokenizer: The model's tokenizer.
        examples: N examples.
        batch_size: About how many examples are computed at once.
        progress: Told of candidates done and in all.
    """
    pairs = [pair for example in examples for pair in example.candidates]
    requests: list[Request] = [
        (tokens[:start], tokens[start:]) for tokens, start in encode_pairs(pairs, tokenizer)
    ]
    longest = max((len(context) + len(answer) for context, answer in requests), default=1)
    found = iter(
        score_continuations(split, requests, batch_tokens=batch_size * longest, progress=progress)
    )
    rows = [_judge(example, [next(found) for _ in example.candidates]) for example in examples]
    loss, correct = zip(*rows, strict=True) if rows else ((), ())
    return ExampleScores(
        torch.tensor(loss, dtype=torch.float64), torch.tensor(correct, dtype=torch.float64)
    )


def mean_over_examples(values: Tensor) -> Mean:
    """Return the mean of (N,) values with its standard error; examples are independent."""
    count = len(values)
    error = float(values.double().std(correction=1)) / math.sqrt(count) if count > 1 else None
    return Mean(float(values.double().mean()), error, count)


def _judge(example: Example, found: Sequence[Likelihood]) -> tuple[float, float]:
    """Return loss of the right answer and whether it is chosen."""
    gold = found[example.gold]
    loss = -gold.log_prob / gold.num_tokens
    if len(found) == 1:
        return loss, float(gold.is_greedy)
    per_character = [
        likelihood.log_prob / max(1, len(answer.removeprefix(" ")))
        for likelihood, (_, answer) in zip(found, example.candidates, strict=True)
    ]
    return loss, float(per_character.index(max(per_character)) == example.gold)
