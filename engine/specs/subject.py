"""What every kind of run is about: a point on the four axes, and what to measure of it.

Start with `Subject`; whole requests are `experiment` and `rank_search`.
"""

from __future__ import annotations

from typing import Literal

from engine.specs.adapter import AdapterSpec, NoAdapter
from engine.specs.base import Spec, option
from engine.specs.data import TaskData
from engine.specs.evaluation import EvaluationSpec
from engine.specs.initialization import InitializationSpec, RoundToNearest
from engine.specs.model import ModelSpec
from engine.specs.quantizer import BITS_UNQUANTIZED, FloatQuantizer, QuantizerSpec
from engine.specs.training import NoTraining, QatTraining, TrainingSpec

SCHEMA_VERSION = 1
HEADS_TRAINED_WHOLE = ("classification", "span-qa")
"""Heads that are trained as they are; others came with the model and stay."""


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
        """True for the 16-bit, untuned model; not where it starts from a saved adapter."""
        untuned = isinstance(self.training, NoTraining) and isinstance(self.adapter, NoAdapter)
        return isinstance(self.quantizer, FloatQuantizer) and untuned

    @property
    def bits(self) -> float:
        """Nominal bits of the quantized layers, on the mean; 16 where nothing is quantized."""
        return (
            BITS_UNQUANTIZED if isinstance(self.quantizer, FloatQuantizer) else self.quantizer.bits
        )

    @property
    def trained_widths(self) -> tuple[int, ...]:
        """The widths its bit policy trains, the highest first; empty where widths stay fixed."""
        training = self.training
        return training.bit_policy.list_widths() if isinstance(training, QatTraining) else ()

    @property
    def trains_unrounded(self) -> bool:
        """Whether anything trains at 16 bits: adapters, or a head that is trained whole."""
        return not isinstance(self.adapter, NoAdapter) or self.model.head in HEADS_TRAINED_WHOLE

    @property
    def training_task(self) -> TaskData | None:
        """The task it is trained on; None for running text and without training."""
        training = self.training
        if isinstance(training, QatTraining) and isinstance(training.data, TaskData):
            return training.data
        return None

    @property
    def measured_tasks(self) -> tuple[str, ...]:
        """The benchmarks asked for; with a head other than causal-lm at least the trained task."""
        task = self.training_task
        if self.evaluation.benchmarks or self.model.head == "causal-lm" or task is None:
            return self.evaluation.benchmarks
        return (task.task,)
