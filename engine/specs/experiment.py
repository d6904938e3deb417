"""One whole request, and the rules between its fields.

Start with `ExperimentSpec`. What a single field may hold stands with that field; the rules between
fields, each a sentence that says what would be accepted, stand here for training, in `start_rules`
for the initialization, in `head_rules` for what the model puts out and in `bit_rules` for widths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from engine.errors import Problem
from engine.specs.adapter import NoAdapter
from engine.specs.base import option
from engine.specs.bit_rules import iter_bit_conflicts
from engine.specs.head_rules import iter_head_conflicts
from engine.specs.quantizer import CodebookQuantizer, FloatQuantizer
from engine.specs.start_rules import fills_adapters, iter_start_conflicts
from engine.specs.subject import Subject
from engine.specs.training import QatTraining


class ExperimentSpec(Subject):
    """Model × quantizer × adapter × initialization × training, and what to measure."""

    kind: Literal["experiment"] = option("experiment", "Kind", "Kind of run.", advanced=True)


def iter_conflicts(spec: Subject) -> Iterator[Problem]:
    """Yield what is senseless in the combination of fields, each with what would be accepted."""
    is_started = fills_adapters(spec)
    is_trained = isinstance(spec.training, QatTraining)
    if not isinstance(spec.adapter, NoAdapter) and not is_trained and not is_started:
        yield Problem(
            "training.method",
            "a LoRA starts at zero and changes nothing untrained; choose qat, adapter.kind none, "
            "or initialization.method loftq, which needs no training",
        )
    yield from iter_start_conflicts(spec)
    yield from iter_head_conflicts(spec)
    yield from iter_bit_conflicts(spec)
    if isinstance(spec.training, QatTraining):
        yield from _iter_training_conflicts(spec, spec.training)


def _iter_training_conflicts(spec: Subject, training: QatTraining) -> Iterator[Problem]:
    """Yield what a training would have nothing to do with."""
    is_float = isinstance(spec.quantizer, FloatQuantizer)
    if is_float and not isinstance(spec.adapter, NoAdapter):
        if training.objective != "task":
            yield Problem(
                "training.objective",
                "a 16-bit model is its own teacher; use task, or quantizer.grid integer",
            )
    elif is_float:
        yield Problem(
            "training.method",
            "a 16-bit model without an adapter has nothing to train; choose quantizer.grid "
            "integer, adapter.kind lora or elastic-lora, or training.method none",
        )
    elif isinstance(spec.adapter, NoAdapter):
        if isinstance(spec.quantizer, CodebookQuantizer):
            yield Problem(
                "training.method",
                "the scales of a codebook do not train, and without an adapter nothing "
                "else does; choose adapter.kind lora, quantizer.grid integer, or training.method "
                "none",
            )
        elif not training.range_learning_rate:
            yield Problem(
                "training.range_learning_rate",
                "without an adapter and with ranges held still there is nothing to train; give "
                "ranges a rate above 0, or choose adapter.kind lora",
            )
