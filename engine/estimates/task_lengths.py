"""How many examples the tasks have to train on, and how long they are.

Tokens are those of SmolLM2's tokenizer; measured on the training splits, but for hellaswag's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TASK_EXAMPLES: Mapping[str, int] = MappingProxyType(
    {
        "openbookqa": 4_957,
        "arc_challenge": 1_119,
        "arc_easy": 2_251,
        "winogrande": 9_248,
        "hellaswag": 39_905,
        "gsm8k": 7_473,
    }
)
"""Training examples of each task's own data set."""
TASK_TOKENS: Mapping[str, int] = MappingProxyType(
    {
        "openbookqa": 16,
        "arc_challenge": 37,
        "arc_easy": 32,
        "winogrande": 24,
        "hellaswag": 90,
        "gsm8k": 190,
    }
)
"""Mean tokens of a training example."""
TASK_LONGEST: Mapping[str, int] = MappingProxyType(
    {
        "openbookqa": 80,
        "arc_challenge": 144,
        "arc_easy": 124,
        "winogrande": 48,
        "hellaswag": 240,
        "gsm8k": 543,
    }
)
"""Tokens of the longest training example."""
