"""Numbers that others have published, of other models: reference rows, never mixed with own runs.

They stand apart in tables and figures, and no mean, mark, front or order of own runs counts them.
Start with `PUBLISHED`; `list_published` finds those of a score.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

SOURCE = (
    "Li, Yu, Liang, He, Karampatziakis, Chen and Zhao, LoftQ: LoRA-Fine-Tuning-Aware Quantization "
    "for Large Language Models, 2023, arXiv:2310.08659; as printed in the README of the authors' "
    "repository (commit ae33fd4, 2024)"
)
WIKITEXT = "wikitext-2"


@dataclass(frozen=True)
class PublishedScore:
    """One printed number.

    Attributes:
        model: The model it was measured on.
        method: How it was compressed and adapted.
        bits: Nominal bits, on the mean; scales are not counted.
        rank: Of the adapters; None where the table does not say.
        benchmark: "wikitext-2", or a task by the name we give it.
        metric: As our own scores call it.
        value: In the metric's own unit; a share is between 0 and 1.
        error: As printed behind ±, in the same unit; None where nothing is.
        direction: Which way is better.
        table: The table's heading.
    """

    model: str
    method: str
    bits: float
    rank: int | None
    benchmark: str
    metric: str
    value: float
    error: float | None
    direction: Literal["lower", "higher"]
    table: str

    @property
    def name(self) -> str:
        """Model and method, as a row is called."""
        return f"{self.model}, {self.method}" + ("" if self.rank is None else f", rank {self.rank}")


def list_published(
    benchmark: str, metric: str, *, config: str | None = None
) -> tuple[PublishedScore, ...]:
    """Return the published numbers of the same benchmark and metric as one of our scores.

    The authors took answers of GSM8K from the text in a way of their own, which is neither of
    lm-eval's; so that no number stands twice, none stands under "flexible-extract".

    Args:
        benchmark: As recorded: "text/" and a corpus, or a task.
        metric: As recorded, its filter in parentheses or not.
        config: The corpus' configuration.
    """
    wanted = benchmark
    if "/" in benchmark:
        wanted = WIKITEXT if WIKITEXT in f"{benchmark} {config or ''}".casefold() else ""
    plain, _, rest = metric.partition(" (")
    if rest.startswith("flexible-extract"):
        return ()
    return tuple(each for each in PUBLISHED if each.benchmark == wanted and each.metric == plain)


_LOFTQ = "LoftQ"
_FULL = "full fine-tuning"
_IN_16_BITS = "16 bits"  # where the table names no method
_LLAMA_2 = "LLAMA-2 on WikiText-2 and GSM8K"
_BART = "BART-large on CNN/DailyMail and XSum"
_DEBERTA = "DeBERTa-V3-base on GLUE using {grid}"
# bits; WikiText-2 perplexity of 7b and 13b; GSM8K accuracy of 7b and 13b, in percent
_LLAMA_2_ROWS = (
    (16, 5.08, 5.12, 36.9, 43.1),
    (4, 5.24, 5.16, 35.0, 45.0),
    (3, 5.63, 5.13, 32.9, 44.4),
    (2.5, 5.78, 5.22, 31.1, 41.1),
    (2.25, 6.13, 5.45, 26.5, 38.1),
    (2, 7.85, 7.69, 20.9, 25.4),
)
# model, bits, rank, method, GSM8K accuracy and its spread in percent
_GSM8K_ROWS = (
    ("Phi-2", 16, None, _FULL, 66.8, 1.2),
    ("Phi-2", 16, 64, "LoRA", 64.8, 0.5),
    ("Phi-2", 4, 64, "QLoRA", 60.2, 0.6),
    ("Phi-2", 4, 64, _LOFTQ, 64.1, 0.7),
    ("LLAMA-3-8B", 16, None, _FULL, 70.4, 0.7),
    ("LLAMA-3-8B", 16, 64, "LoRA", 69.3, 1.5),
    ("LLAMA-3-8B", 4, 64, "QLoRA", 67.4, 1.0),
    ("LLAMA-3-8B", 4, 64, _LOFTQ, 68.0, 0.6),
)
# bits at rank 16; ROUGE-1, -2 and -L in percent of XSum, then of CNN/DailyMail
_BART_ROWS = (
    (16, (43.95, 20.72, 35.68), (45.03, 21.84, 42.15)),
    (4, (44.51, 21.14, 36.18), (43.96, 21.06, 40.96)),
    (2, (40.81, 17.85, 32.80), (42.52, 19.81, 39.51)),
)
_GLUE_SCORES = (
    ("mnli", "accuracy"),
    ("qnli", "accuracy"),
    ("rte", "accuracy"),
    ("sst2", "accuracy"),
    ("mrpc", "accuracy"),
    ("mrpc", "f1"),
    ("cola", "matthews_correlation"),
    ("qqp", "accuracy"),
    ("qqp", "f1"),
    ("stsb", "pearson"),
    ("stsb", "spearman"),
    ("squad", "exact_match"),
    ("squad", "f1"),
)
# grid, bits, rank, and the scores above in percent
_DEBERTA_ROWS = (
    ("", 16, 16, (90.5, 94.0, 82.0, 95.3, 89.5, 93.3, 69.2, 92.4, 89.8, 91.6, 91.1, 88.5, 92.8)),
    (
        "Normal Float",
        2,
        16,
        (84.7, 86.6, 61.4, 90.2, 83.8, 88.6, 37.4, 90.3, 86.9, 87.1, 86.9, 81.5, 88.6),
    ),
    (
        "Normal Float",
        2,
        32,
        (86.0, 89.9, 61.7, 92.0, 83.6, 87.2, 47.5, 91.0, 87.9, 87.5, 87.0, 82.9, 89.8),
    ),
    (
        "Uniform Quantization",
        2,
        16,
        (87.3, 90.6, 61.1, 94.0, 87.0, 90.6, 59.1, 90.9, 88.0, 87.9, 87.6, 84.4, 91.2),
    ),
    (
        "Uniform Quantization",
        2,
        32,
        (88.0, 92.2, 63.2, 94.7, 87.5, 91.2, 60.5, 91.3, 88.3, 89.5, 89.2, 85.2, 91.6),
    ),
)


class _Setup(NamedTuple):
    model: str
    method: str
    bits: float
    rank: int | None


def _iter_llama_2() -> Iterator[PublishedScore]:
    for bits, *values in _LLAMA_2_ROWS:
        for place, size in enumerate(("7b", "13b")):
            setup = _Setup(f"LLAMA-2-{size}", _LOFTQ if bits < 16 else _IN_16_BITS, bits, None)
            score = (WIKITEXT, "perplexity", values[place], None)
            yield PublishedScore(*setup, *score, direction="lower", table=_LLAMA_2)
            percent = values[2 + place]
            yield _share(setup, ("gsm8k", "exact_match"), percent=percent, table=_LLAMA_2)


def _iter_gsm8k() -> Iterator[PublishedScore]:
    for model, bits, rank, method, percent, spread in _GSM8K_ROWS:
        setup = _Setup(model, method, bits, rank)
        table = f"{model.removesuffix('-8B')} on GSM8K"
        found = _share(setup, ("gsm8k", "exact_match"), percent=percent, table=table)
        yield replace(found, error=spread / 100)


def _iter_bart() -> Iterator[PublishedScore]:
    for bits, *tasks in _BART_ROWS:
        setup = _Setup("BART-large", _LOFTQ if bits < 16 else _IN_16_BITS, bits, 16)
        for task, percents in zip(("xsum", "cnn_dailymail"), tasks, strict=True):
            for metric, percent in zip(("rouge1", "rouge2", "rougeL"), percents, strict=True):
                yield _share(setup, (task, metric), percent=percent, table=_BART)


def _iter_deberta() -> Iterator[PublishedScore]:
    for grid, bits, rank, percents in _DEBERTA_ROWS:
        method = f"{_LOFTQ} on {grid.lower()}" if grid else _IN_16_BITS
        setup = _Setup("DeBERTa-V3-base", method, bits, rank)
        table = _DEBERTA.format(grid=f"{grid or 'Normal Float'} Datatype")
        for score, percent in zip(_GLUE_SCORES, percents, strict=True):
            yield _share(setup, score, percent=percent, table=table)


def _share(setup: _Setup, score: tuple[str, str], *, percent: float, table: str) -> PublishedScore:
    """Make a score of a number in percent."""
    return PublishedScore(*setup, *score, percent / 100, None, direction="higher", table=table)


def _collect(*parts: Iterable[PublishedScore]) -> tuple[PublishedScore, ...]:
    return tuple(each for part in parts for each in part)


PUBLISHED: tuple[PublishedScore, ...] = _collect(
    _iter_llama_2(), _iter_gsm8k(), _iter_bart(), _iter_deberta()
)
