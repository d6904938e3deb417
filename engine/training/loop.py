"""The training stage as a run sees it: steps, curves and checkpoints.

What is computed per step stands in `step`, what is learned in `learner`; here stand the events and
resuming. Start with `train`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.events import FileWritten, Listener, Logged, MetricPoint, Progressed
from engine.layers.swap import Layers
from engine.search.rank_history import HISTORY_FILE, save_history
from engine.specs import QatTraining
from engine.teacher.cache import Tensors
from engine.training.bit_policy import BitPolicy
from engine.training.cascade import find_rule
from engine.training.checkpoints import Checkpoint
from engine.training.curves import changed_bits, curve_values, width_values
from engine.training.learner import Learner, Part
from engine.training.parameter_groups import (
    build_optimizer,
    build_scheduler,
    learning_rates,
    named_trainables,
)
from engine.training.rank_policy import RankPolicy
from engine.training.sampled_ranks import SampledRanks, find_own_loss
from engine.training.step import StepRunner, rounded_once
from engine.training.widths_and_ranks import choose_configurations

STAGE = "train"
KEPT_CHECKPOINTS = 2


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


def train(
    learner: Learner[Part],
    layers: Layers,
    spec: QatTraining,
    *,
    place: Place,
    listener: Listener,
    policy: RankPolicy | None = None,
    bit_policy: BitPolicy | None = None,
) -> None:
    """Train adapters, ranges and a head in place, going on from a checkpoint where one is given.

    The model stays in evaluation mode, without dropout: a step then follows from the seed and its
    number alone, and not from how its batch is cut into microbatches, unless inputs share a scale
    over all tokens of a pass.

    `policy` says which ranks of elastic adapters a step trains, `bit_policy` which widths; the last
    step's stay applied.

    Raises:
        Diverged: When the loss is no longer finite.
        CheckpointError: When the checkpoint is not of this training.
        StorageError: When a checkpoint cannot be written.
    """
    total = learner.total_steps
    optimizer = build_optimizer(layers, spec, learner.head)
    scheduler = build_scheduler(optimizer, spec, total)
    named = named_trainables(layers, learner.head)
    checkpoint = Checkpoint(named, optimizer, scheduler, place.identity)
    sampled = SampledRanks(policy)
    start = _resume(checkpoint, sampled, place, listener)
    runner = StepRunner(
        learner,
        layers,
        optimizer,
        scheduler=scheduler,
        max_grad_norm=spec.max_grad_norm,
        cascade=find_rule(spec.bit_policy),
    )
    with rounded_once(layers):
        batches = learner.iter_steps(start)
        for step in range(start + 1, total + 1):
            rates = learning_rates(optimizer)
            microbatches = next(batches)
            trained = choose_configurations(layers, step, ranks=policy, bits=bit_policy)
            began = time.perf_counter()
            result = runner.run(microbatches, trained)
            seconds = time.perf_counter() - began
            sampled.note(step, find_own_loss(layers, trained, result.losses))
            is_logged = step % spec.logging_steps == 0 or step == total
            values = changed_bits(bit_policy, step)
            if is_logged:
                speed = learner.count_tokens(microbatches) * len(trained) / seconds
                values |= curve_values(result, rates, speed)
                values |= width_values(bit_policy, step, trained=trained, losses=result.losses)
            for key, value in values.items():
                listener(MetricPoint(key, step, value))
            if policy is not None and is_logged:
                listener(sampled.event(policy))
            if step % spec.save_steps == 0 and step < total:
                extra = {"losses": torch.tensor(sampled.losses, dtype=torch.float64)}
                listener(FileWritten("checkpoint", _save(checkpoint, place.folder, step, extra)))
            listener(Progressed(STAGE, step, total))
    if policy is not None:
        save_history(place.folder / HISTORY_FILE, sampled.history(policy))
        listener(FileWritten("ranks", HISTORY_FILE))


def _resume(checkpoint: Checkpoint, sampled: SampledRanks, place: Place, listener: Listener) -> int:
    """Put everything back from the checkpoint to go on from; return its step, 0 without one."""
    if place.resume_from is None:
        return 0
    loaded = checkpoint.load(place.resume_from)
    sampled.restore(loaded.extra.get("losses"), loaded.step)
    listener(Logged("info", f"resumed from {place.resume_from.name} after step {loaded.step}"))
    return loaded.step


def _save(checkpoint: Checkpoint, folder: Path, step: int, extra: Tensors) -> str:
    """Save a checkpoint, delete all but the newest few of this folder, return the file's name."""
    path = folder / f"checkpoint-{step:08d}.safetensors"
    checkpoint.save(path, step=step, extra=extra)
    for old in sorted(folder.glob("checkpoint-*.safetensors"))[:-KEPT_CHECKPOINTS]:
        old.unlink(missing_ok=True)
    return path.name
