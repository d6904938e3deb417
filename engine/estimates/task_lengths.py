"""How many examples the tasks have to train and be scored on, and how long they are.

Numbers of examples are those of the data sets as published; a machine may have fewer
(`row_counts`). Tokens are those of SmolLM2's
tokenizer: of causal-lm's tasks measured on the training splits, but for hellaswag's; of sst2
measured on nine tenths of the training split, of squad (question and context) on 525 questions of
four articles. The other tasks' are about 1.3 tokens for each word their authors count, or guessed
where they count none; so are all the longest but sst2's. A summary counts with its text.
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
        "cola": 8_551,
        "sst2": 67_349,
        "mrpc": 3_668,
        "qqp": 363_846,
        "stsb": 5_749,
        "mnli": 392_702,
        "qnli": 104_743,
        "rte": 2_490,
        "wnli": 635,
        "squad": 87_599,
        "cnn_dailymail": 287_113,
        "xsum": 204_045,
    }
)
"""Training examples of each task's own data set."""
TASK_QUESTIONS: Mapping[str, int] = MappingProxyType(
    {
        "cola": 1_043,
        "sst2": 872,
        "mrpc": 408,
        "qqp": 40_430,
        "stsb": 1_500,
        "mnli": 9_815 + 9_832,
        "qnli": 5_463,
        "rte": 277,
        "wnli": 71,
        "squad": 10_570,
        "cnn_dailymail": 11_490,
        "xsum": 11_334,
    }
)
"""Examples a head other than causal-lm is scored on: both validation splits of mnli."""
TASK_TOKENS: Mapping[str, int] = MappingProxyType(
    {
        "openbookqa": 16,
        "arc_challenge": 37,
        "arc_easy": 32,
        "winogrande": 24,
        "hellaswag": 90,
        "gsm8k": 190,
        "cola": 11,
        "sst2": 12,
        "mrpc": 53,
        "qqp": 30,
        "stsb": 31,
        "mnli": 40,
        "qnli": 50,
        "rte": 70,
        "wnli": 37,
        "squad": 154,
        "cnn_dailymail": 1_090,
        "xsum": 590,
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
        "cola": 50,
        "sst2": 68,
        "mrpc": 110,
        "qqp": 330,
        "stsb": 130,
        "mnli": 450,
        "qnli": 550,
        "rte": 290,
        "wnli": 110,
        "squad": 870,
        "cnn_dailymail": 5_000,
        "xsum": 30_000,
    }
)
"""Tokens of the longest training example."""
