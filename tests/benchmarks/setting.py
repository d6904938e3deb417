"""The work both sides of the train-step benchmark do. Start with `Setting`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

VOCABULARY = 49152


@dataclass(frozen=True)
class Setting:
    """One QAT + LoRA optimizer step.

    Attributes:
        data_folder: Where the converted model is kept.
        model: Its source, as in a spec; weights are bfloat16.
        bits: Width, asymmetric.
        group_size: Weights that share a range.
        rank: Of every adapter; embeddings and output head stay in 16 bits.
        tokens: Per microbatch of one window.
        microbatches: The most per step.
        learning_rate: Of the adapters.
        range_learning_rate: Of the ranges, a group of the optimizer of their own.
        seed: Of the windows and the adapters.
    """

    data_folder: Path
    model: str = "bundled:smollm2-135m-instruct"
    bits: int = 4
    group_size: int = 64
    rank: int = 16
    tokens: int = 256
    microbatches: int = 4
    learning_rate: float = 1e-4
    range_learning_rate: float = 1e-5
    seed: int = 0


def draw_windows(setting: Setting) -> Tensor:
    """Return (microbatches, tokens) token ids; what they say does not change what they cost."""
    generator = torch.Generator().manual_seed(setting.seed)
    shape = (setting.microbatches, setting.tokens)
    return torch.randint(0, VOCABULARY, shape, generator=generator)
