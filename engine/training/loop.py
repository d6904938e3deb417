"""The training stage as a run sees it: targets first, then steps, curves and checkpoints.

What is computed per step stands in `step`; here stand the order of the data, the events, and
resuming. Start with `train`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.data.windows import iter_batches
from engine.events import FileWritten, Listener, Logged, MetricPoint, Progressed
from engine.layers.head import SplitModel
from engine.layers.swap import Layers
from engine.specs import QatTraining
from engine.teacher.targets import Targets
from engine.training.checkpoints import Checkpoint
from engine.training.objectives import IGNORED, Answers, build_mix
from engine.training.parameter_groups import (
    ADAPTERS,
    RANGES,
    build_optimizer,
    build_scheduler,
    learning_rates,
    named_trainables,
)
from engine.training.step import Microbatch, StepResult, StepRunner

STAGE = "train"
KEPT_CHECKPOINTS = 2


@dataclass(frozen=True)
class TrainingData:
    """What is trained on.

    Attributes:
        windows: (N, T) int64 on the CPU.
        targets: The teacher's, for the rows of `windows`; None without distillation.
        total_steps: Optimizer steps to take, from `count_steps`.
        seed: Seed of the order.
    """

    windows: Tensor
    targets: Targets | None
    total_steps: int
    seed: int


@dataclass(frozen=True)
class Place:
    """Where files of this training go and what they belong to.

    Attributes:
        folder: The run's folder.
        identity: Hash of spec and model; checkpoints of another are refused.
        resume_from: Checkpoint to go on from, or None.
    """

    folder: Path
    identity: str
    resume_from: Path | None


def count_steps(spec: QatTraining, num_windows: int) -> int:
    """Return the optimizer steps the spec asks for on that many windows."""
    if spec.max_steps is not None:
        return spec.max_steps
    return max(1, math.ceil(num_windows * spec.num_train_epochs / batch_size(spec)))


def batch_size(spec: QatTraining) -> int:
    """Return the windows per optimizer step."""
    return spec.per_device_train_batch_size * spec.gradient_accumulation_steps


def used_windows(spec: QatTraining, windows: Tensor, *, total_steps: int, seed: int) -> Tensor:
    """Return the windows that so many steps will see, in the order of the text."""
    total = total_steps * batch_size(spec)
    if total >= len(windows):
        return windows
    places = torch.arange(len(windows)).unsqueeze(1)
    seen = next(iter_batches(places, batch_size=total, seed=seed)).flatten()
    return windows[seen.sort().values]


def train(
    split: SplitModel,
    layers: Layers,
    spec: QatTraining,
    *,
    data: TrainingData,
    place: Place,
    listener: Listener,
) -> None:
    """Train adapters and ranges in place, going on from a checkpoint where one is given.

    Raises:
        Diverged: When the loss is no longer finite.
        CheckpointError: When the checkpoint is not of this training.
        StorageError: When a checkpoint cannot be written.
    """
    total = data.total_steps
    optimizer = build_optimizer(layers, spec)
    scheduler = build_scheduler(optimizer, spec, total)
    checkpoint = Checkpoint(named_trainables(layers), optimizer, scheduler, place.identity)
    start = 0
    if place.resume_from is not None:
        start = checkpoint.load(place.resume_from)
        listener(Logged("info", f"resumed from {place.resume_from.name} after step {start}"))
    runner = StepRunner(
        split,
        layers,
        optimizer,
        scheduler=scheduler,
        mix=build_mix(spec),
        max_grad_norm=spec.max_grad_norm,
    )
    batches = _iter_steps(spec, data, start, next(split.body.parameters()).device)
    for step in range(start + 1, total + 1):
        rates = learning_rates(optimizer)
        began = time.perf_counter()
        result = runner.run(next(batches))
        seconds = time.perf_counter() - began
        if step % spec.logging_steps == 0 or step == total:
            speed = batch_size(spec) * data.windows.shape[1] / seconds
            for key, value in _curve_values(result, rates, speed).items():
                listener(MetricPoint(key, step, value))
        if step % spec.save_steps == 0 and step < total:
            listener(FileWritten("checkpoint", _save(checkpoint, place.folder, step)))
        listener(Progressed(STAGE, step, total))


def _save(checkpoint: Checkpoint, folder: Path, step: int) -> str:
    """Save a checkpoint, delete all but the newest few of this folder, return the file's name."""
    path = folder / f"checkpoint-{step:08d}.safetensors"
    checkpoint.save(path, step=step)
    for old in sorted(folder.glob("checkpoint-*.safetensors"))[:-KEPT_CHECKPOINTS]:
        old.unlink(missing_ok=True)
    return path.name


def _curve_values(
    result: StepResult, rates: dict[str, float], tokens_per_second: float
) -> dict[str, float]:
    values = {
        "train/loss": result.loss,
        "train/grad_norm": result.grad_norm,
        "train/tokens_per_second": tokens_per_second,
    }
    keys = {ADAPTERS: "train/learning_rate", RANGES: "train/range_learning_rate"}
    return values | {keys[name]: rate for name, rate in rates.items()}


def _iter_steps(
    spec: QatTraining, data: TrainingData, start: int, device: torch.device
) -> Iterator[list[Microbatch]]:
    """Yield the microbatches of each step; a function of seed and step alone."""
    places = torch.arange(len(data.windows)).unsqueeze(1)
    for rows in iter_batches(places, batch_size=batch_size(spec), seed=data.seed, start=start):
        yield [
            _microbatch(data, part, device)
            for part in torch.split(rows.flatten(), spec.per_device_train_batch_size)
        ]


def _microbatch(data: TrainingData, rows: Tensor, device: torch.device) -> Microbatch:
    tokens = data.windows[rows].to(device)
    labels = torch.full_like(tokens, IGNORED)
    labels[:, :-1] = tokens[:, 1:]
    indices = log_probs = None
    if data.targets is not None:
        indices = data.targets.indices[rows].to(device, torch.int64).flatten(0, 1)
        log_probs = data.targets.log_probs[rows].to(device, torch.float32).flatten(0, 1)
    return Microbatch(tokens, Answers(labels.flatten(), indices, log_probs))
