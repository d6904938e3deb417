"""How many tokens a benchmark goes through. Start with `count_benchmarks`.

Known for the benchmarks most asked for, measured with the tokenizer of SmolLM2 on whole splits with
each question computed once for all its answers (hellaswag's is not); guessed for any other of
lm-eval. What heads other than causal-lm are asked is as long as their training examples
(`task_lengths`). Where answers are written token by token the time is a guess, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from engine.estimates.row_counts import RowCounts
from engine.estimates.task_lengths import TASK_QUESTIONS, TASK_TOKENS
from engine.specs import EvaluationSpec


@dataclass(frozen=True)
class Questions:
    """A benchmark's questions, and the tokens computed for each.

    Attributes:
        count: Questions of the split that is asked.
        tokens: Mean tokens of a question with all its answers, or of what is read and written.
        shots: Solved examples before each question where the spec says nothing else.
    """

    count: int
    tokens: int
    shots: int


KNOWN: Mapping[str, Questions] = MappingProxyType(
    {
        "openbookqa": Questions(500, 21, 0),
        "arc_challenge": Questions(1_172, 51, 0),
        "arc_easy": Questions(2_376, 41, 0),
        "winogrande": Questions(1_267, 45, 0),
        "hellaswag": Questions(10_042, 160, 0),
        "gsm8k": Questions(1_319, 194, 5),
        **{name: Questions(count, TASK_TOKENS[name], 0) for name, count in TASK_QUESTIONS.items()},
    }
)
WRITTEN = frozenset({"gsm8k", "cnn_dailymail", "xsum"})
GUESSED = Questions(1_000, 200, 0)
GUESSED_SHOT = 100


def find_questions(name: str, rows: RowCounts) -> Questions:
    """Return a benchmark's questions, as many as were counted; a guess where it is not known."""
    known = KNOWN.get(name, GUESSED)
    return replace(known, count=rows.asked.get(name, known.count))


def count_benchmarks(spec: EvaluationSpec, *, rows: RowCounts | None = None) -> tuple[int, bool]:
    """Return the tokens of one pass over a spec's benchmarks, and whether that is a guess."""
    total, is_guess = 0, False
    for name in spec.benchmarks:
        questions = find_questions(name, rows or RowCounts())
        is_guess = is_guess or name not in KNOWN or name in WRITTEN
        count = min(questions.count, spec.benchmark_limit or questions.count)
        shots = questions.shots if spec.num_fewshot is None else spec.num_fewshot
        total += count * (questions.tokens + shots * TASK_TOKENS.get(name, GUESSED_SHOT))
    return total, is_guess
