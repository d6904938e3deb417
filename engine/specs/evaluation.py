"""What is measured, and on how much. Start with `EvaluationSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import field_validator

from engine.specs.base import Spec, option
from engine.specs.data import DataSpec


class EvaluationSpec(Spec):
    """Perplexity on held-out text, with divergence from and agreement with the 16-bit model."""

    data: DataSpec = option(
        DataSpec(split="test"),
        "Evaluation data",
        "Held-out text to measure on; a causal-lm head's alone.",
    )
    max_length: int = option(
        256, "Window length", "Tokens per window.", unit="tokens", ge=8, le=131072
    )
    limit: int | None = option(
        16,
        "Limit",
        "Measure a causal-lm head on this many windows, spread evenly over the text; empty for "
        "all. A score on a limit is marked as such.",
        unit="windows",
        ge=1,
    )
    per_device_eval_batch_size: int = option(
        4, "Batch size", "Windows computed at once.", unit="windows", ge=1, le=1024, advanced=True
    )
    divergence: bool = option(
        True,
        "Divergence",
        "Also measure a causal-lm head's mean KL divergence from the 16-bit model and how often "
        "the most likely token is the same; costs a second pass.",
    )
    benchmarks: tuple[str, ...] = option(
        (),
        "Benchmarks",
        "Tasks of lm-eval to answer besides, one per line: openbookqa, arc_challenge, arc_easy, "
        "winogrande, hellaswag, gsm8k, or any other it knows.",
        max_length=50,
    )
    num_fewshot: int | None = option(
        None,
        "Shots",
        "Solved examples before each question to a causal-lm head; empty for the benchmark's own "
        "number.",
        unit="examples",
        ge=0,
        le=100,
        advanced=True,
    )
    benchmark_limit: int | None = option(
        None,
        "Question limit",
        "Ask only the first so many questions of each benchmark; empty for all. A score on a "
        "limit is marked as such.",
        unit="questions",
        ge=1,
    )
    max_new_tokens: int = option(
        128,
        "Summary length",
        "The most tokens of a written summary; longer ones are cut in training, too.",
        unit="tokens",
        ge=1,
        le=4096,
        advanced=True,
    )
    num_beams: int = option(
        1,
        "Beams",
        "How many beginnings of a summary are followed at once; 1 takes the most likely token "
        "each time.",
        ge=1,
        le=64,
        advanced=True,
    )
    before_training: bool = option(
        False,
        "Before training",
        "Also measure the benchmarks on the quantized model before it is trained.",
        advanced=True,
    )

    @field_validator("data", mode="before")
    @classmethod
    def _name_split(cls, value: Any) -> Any:
        """Naming another text must not turn the held-out split into the one trained on."""
        if isinstance(value, Mapping) and "split" not in value:
            return {"split": "test", **value}
        return value
