"""Our side of the train-step benchmark: the engine's own `StepRunner` on real layers.

Nothing here is faster or leaner than a run: layers, targets, parameter groups and step are those of
`engine.training.loop`. Start with `OwnStep`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from engine.layers.head import SplitModel
from engine.layers.held_weight import HeldWeight
from engine.layers.rank_groups import group_adapters
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import LayerPlan, install
from engine.models.loading import load_model
from engine.specs import (
    ElasticLoraAdapter,
    IntegerQuantizer,
    LoraAdapter,
    LowRankAdapter,
    ModelSpec,
    QatTraining,
)
from engine.teacher.targets import teacher_targets
from engine.training import learner as learner_room
from engine.training.batches import Microbatch, TrainingData
from engine.training.learner import LanguageLearner
from engine.training.objectives import IGNORED, Answers
from engine.training.parameter_groups import build_optimizer, build_scheduler
from engine.training.rank_policy import RankPolicy
from engine.training.step import StepRunner
from engine.training.widths_and_ranks import choose_configurations
from tests.benchmarks.setting import Setting

PARTS = ("rounding", "forward", "loss", "backward", "projection", "optimizer")


class OwnStep:
    """A model with quantized layers, its teacher targets, and an optimizer."""

    name = "own"

    def __init__(
        self, setting: Setting, windows: Tensor, *, adapter: LowRankAdapter | None = None
    ) -> None:
        """Load the model, compute the teacher's targets of (N, T) windows, install the layers.

        Without an adapter given it is a LoRA of the setting's rank; an elastic one is trained at
        ranks drawn anew for each step.
        """
        spec = ModelSpec(source=setting.model, dtype="bfloat16")
        loaded = load_model(
            spec, data_folder=setting.data_folder, device=torch.device("cpu"), listener=_ignore
        )
        split = SplitModel(loaded.model)
        self._microbatches = _build_microbatches(split, windows)
        plan = LayerPlan(
            quantizer=IntegerQuantizer(bits=setting.bits, group_size=setting.group_size),
            adapter=adapter or LoraAdapter(r=setting.rank, lora_alpha=float(setting.rank)),
            seed=setting.seed,
        )
        layers = install(loaded.model, plan)
        training = QatTraining(
            learning_rate=setting.learning_rate,
            range_learning_rate=setting.range_learning_rate,
            lr_scheduler_type="constant",
            warmup_ratio=0.0,
        )
        optimizer = build_optimizer(layers, training)
        self._runner = StepRunner(
            LanguageLearner(split, training, TrainingData(windows, None, 1, setting.seed)),
            layers,
            optimizer,
            scheduler=build_scheduler(optimizer, training, 1),
            max_grad_norm=training.max_grad_norm,
        )
        self.num_layers = len(layers)
        self._layers = layers
        self._step = 0
        self._policy = None
        if isinstance(adapter, ElasticLoraAdapter):
            self._policy = RankPolicy(group_adapters(layers, adapter), adapter, setting.seed)

    def run(self, num_microbatches: int) -> float:
        """Take one optimizer step over that many microbatches; return the loss."""
        self._step += 1
        microbatches = self._microbatches[:num_microbatches]
        trained = choose_configurations(self._layers, self._step, ranks=self._policy, bits=None)
        return self._runner.run(microbatches, trained).loss

    def split_time(self, num_microbatches: int) -> dict[str, float]:
        """Return the share of a step's time that each of `PARTS` and the "rest" takes."""
        seconds = dict.fromkeys(PARTS, 0.0)
        with _timed(seconds, self._runner):
            began = time.perf_counter()
            self.run(num_microbatches)
            total = time.perf_counter() - began
        # layers hand their gradient on from within the backward pass
        seconds["backward"] -= seconds["projection"]
        seconds["rest"] = total - sum(seconds.values())
        return {part: value / total for part, value in seconds.items()}


def _ignore(event: object) -> None:
    del event


def _build_microbatches(split: SplitModel, windows: Tensor) -> list[Microbatch]:
    """Return one microbatch per window, with the teacher's targets."""
    with TemporaryDirectory() as folder:
        targets = teacher_targets(
            split,
            windows,
            temperature=1.0,
            model_key="benchmark",
            folder=Path(folder),
            progress=lambda _done, _total: None,
        )
    return [
        Microbatch(
            window.unsqueeze(0),
            Answers(torch.full_like(window, IGNORED), indices.long(), log_probs.float()),
        )
        for window, indices, log_probs in zip(
            windows, targets.indices, targets.log_probs, strict=True
        )
    ]


@contextmanager
def _timed(seconds: dict[str, float], runner: StepRunner[Microbatch]) -> Iterator[None]:
    """Add up, while open, what the parts of a step take."""
    places: tuple[tuple[str, Any, str], ...] = (
        ("rounding", RoundedWeight, "hold"),
        ("forward", SplitModel, "hidden"),
        ("loss", learner_room, "loss_of_hidden"),
        ("backward", torch.autograd, "backward"),
        ("projection", HeldWeight, "finish"),
        ("optimizer", runner.optimizer, "step"),
        ("optimizer", torch.nn.utils, "clip_grad_norm_"),
    )
    with ExitStack() as stack:
        for part, owner, attribute in places:
            original = getattr(owner, attribute)
            stack.enter_context(patch.object(owner, attribute, _stopwatch(original, seconds, part)))
        yield


def _stopwatch(
    original: Callable[..., Any], seconds: dict[str, float], part: str
) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            seconds[part] += time.perf_counter() - began

    return measured
