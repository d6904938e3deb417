"""One whole request: a point on the four axes, and the rules that hold between them.

Start with `ExperimentSpec`; runs of other kinds are about the same `Subject`. What a single field
may hold stands with that field; here stand only the rules between fields, each a sentence that says
what would be accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from engine.errors import Problem
from engine.specs.adapter import AdapterSpec, NoAdapter
from engine.specs.base import Spec, option
from engine.specs.evaluation import EvaluationSpec
from engine.specs.initialization import DataAware, InitializationSpec, LoftQ, RoundToNearest
from engine.specs.model import ModelSpec
from engine.specs.quantizer import (
    BITS_UNQUANTIZED,
    FloatQuantizer,
    IntegerQuantizer,
    NormalFloatQuantizer,
    QuantizerSpec,
)
from engine.specs.training import NoTraining, QatTraining, TrainingSpec

SCHEMA_VERSION = 1


class Subject(Spec):
    """What every kind of run is about: a point on the four axes, and what to measure."""

    version: Literal[1] = option(
        SCHEMA_VERSION, "Version", "Version of this format.", advanced=True
    )
    name: str = option(
        "", "Name", "A name to find the run by; made from the spec where empty.", max_length=120
    )
    seed: int = option(42, "Seed", "Seed of everything random.", ge=0, le=2**32 - 1, advanced=True)
    model: ModelSpec = option(ModelSpec(), "Model", "The model to compress.")
    quantizer: QuantizerSpec = option(FloatQuantizer(), "Quantizer", "How weights are rounded.")
    adapter: AdapterSpec = option(NoAdapter(), "Adapter", "What wins the lost quality back.")
    initialization: InitializationSpec = option(
        RoundToNearest(), "Initialization", "Where the quantized model starts from."
    )
    training: TrainingSpec = option(NoTraining(), "Training", "How it is trained.")
    evaluation: EvaluationSpec = option(EvaluationSpec(), "Evaluation", "What is measured.")

    @property
    def is_baseline(self) -> bool:
        """True for the 16-bit, untuned model."""
        return isinstance(self.quantizer, FloatQuantizer) and isinstance(self.training, NoTraining)

    @property
    def bits(self) -> int:
        """Nominal bits of the quantized layers; 16 where nothing is quantized."""
        return (
            BITS_UNQUANTIZED if isinstance(self.quantizer, FloatQuantizer) else self.quantizer.bits
        )


class ExperimentSpec(Subject):
    """Model × quantizer × adapter × initialization × training, and what to measure."""

    kind: Literal["experiment"] = option("experiment", "Kind", "Kind of run.", advanced=True)


def iter_conflicts(spec: Subject) -> Iterator[Problem]:
    """Yield what is senseless in the combination of fields, each with what would be accepted."""
    is_started = isinstance(spec.initialization, LoftQ)
    is_trained = isinstance(spec.training, QatTraining)
    if not isinstance(spec.adapter, NoAdapter) and not is_trained and not is_started:
        yield Problem(
            "training.method",
            "a LoRA starts at zero and changes nothing untrained; choose qat, adapter.kind none, "
            "or initialization.method loftq, which needs no training",
        )
    yield from _iter_start_conflicts(spec)
    if isinstance(spec.training, QatTraining):
        yield from _iter_training_conflicts(spec, spec.training)


def _iter_start_conflicts(spec: Subject) -> Iterator[Problem]:
    """Yield what is senseless in the initialization."""
    if isinstance(spec.initialization, LoftQ):
        yield from _iter_loftq_conflicts(spec)
    elif isinstance(spec.quantizer, FloatQuantizer):
        if not isinstance(spec.initialization, RoundToNearest):
            yield Problem(
                "initialization.method",
                "a 16-bit model has no ranges to choose; use round-to-nearest, or quantizer.grid "
                "integer",
            )
    elif isinstance(spec.initialization, DataAware) and not isinstance(
        spec.quantizer, IntegerQuantizer
    ):
        yield Problem(
            "initialization.method",
            "a NormalFloat grid has no ranges to choose; use round-to-nearest, or quantizer.grid "
            "integer",
        )


def _iter_loftq_conflicts(spec: Subject) -> Iterator[Problem]:
    """Yield what LoftQ cannot start from: it needs something lost and something to hold it."""
    if isinstance(spec.quantizer, FloatQuantizer):
        yield Problem(
            "initialization.method",
            "a 16-bit model loses nothing that LoftQ could make up for; use round-to-nearest, or "
            "quantizer.grid normal-float or integer",
        )
    elif isinstance(spec.adapter, NoAdapter):
        yield Problem(
            "initialization.method",
            "LoftQ puts into adapters what rounding lost, and there are none; choose adapter.kind "
            "lora or elastic-lora with adapter.placement parallel, or round-to-nearest",
        )
    elif spec.adapter.placement == "absorbed":
        yield Problem(
            "adapter.placement",
            "what LoftQ puts into an absorbed adapter would be rounded away again; choose "
            "parallel, or initialization.method data-aware",
        )


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
        if isinstance(spec.quantizer, NormalFloatQuantizer):
            yield Problem(
                "training.method",
                "the scales of a NormalFloat grid do not train, and without an adapter nothing "
                "else does; choose adapter.kind lora, quantizer.grid integer, or training.method "
                "none",
            )
        elif not training.range_learning_rate:
            yield Problem(
                "training.range_learning_rate",
                "without an adapter and with ranges held still there is nothing to train; give "
                "ranges a rate above 0, or choose adapter.kind lora",
            )
