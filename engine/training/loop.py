"""The training stage as a run sees it: steps, curves and checkpoints.

What is computed per step stands in `step`, what is learned in `learner`; here stand the events and
resuming. Start with `train`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from engine.events import FileWritten, Listener, Logged, MetricPoint, Progressed, RanksSampled
from engine.layers.swap import Layers
from engine.search.rank_history import HISTORY_FILE, RankHistory, save_history
from engine.search.spaces import Ranks
from engine.specs import QatTraining
from engine.teacher.cache import Tensors
from engine.training.checkpoints import Checkpoint
from engine.training.learner import Learner, Part
from engine.training.parameter_groups import (
    ADAPTERS,
    RANGES,
    build_optimizer,
    build_scheduler,
    learning_rates,
    named_trainables,
)
from engine.training.rank_policy import RankPolicy
from engine.training.step import UNCHANGED, StepResult, StepRunner

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


@dataclass
class _Sampled:
    """What an elastic adapter was trained at so far.

    Attributes:
        policy: How ranks are chosen; None for adapters of one rank.
        losses: Loss of each step's last configuration.
    """

    policy: RankPolicy | None
    losses: list[float] = field(default_factory=list)
    counts: list[list[int]] = field(default_factory=list)

    def note(self, step: int, loss: float) -> None:
        """Take note of a step."""
        self.losses.append(loss)
        if self.policy is not None:
            self._count(self.policy, step)

    def restore(self, losses: Tensor | None, step: int) -> None:
        """Start from what a checkpoint held; the ranks follow from the steps."""
        self.losses = [] if losses is None else losses.tolist()
        if self.policy is not None:
            for earlier in range(1, step + 1):
                self._count(self.policy, earlier)

    def event(self, policy: RankPolicy) -> RanksSampled:
        """Return the counts as an event."""
        counts = tuple(map(tuple, self.counts))
        return RanksSampled(policy.groups.space.groups, policy.groups.space.ranks, counts)

    def history(self, policy: RankPolicy) -> RankHistory:
        """Return everything, for a later search."""
        steps = range(1, len(self.losses) + 1)
        ranks: tuple[Ranks, ...] = tuple(policy.configurations(step)[-1] for step in steps)
        names, space = policy.groups.space.groups, policy.groups.space.ranks
        return RankHistory(names, space, ranks, tuple(self.losses))

    def _count(self, policy: RankPolicy, step: int) -> None:
        space = policy.groups.space.ranks
        if not self.counts:
            self.counts = [[0] * len(space) for _ in policy.groups.space.groups]
        trained = zip(*policy.configurations(step), strict=True)
        for row, ranks in zip(self.counts, trained, strict=True):
            for rank in set(ranks):  # a sandwich may draw its largest rank again
                row[space.index(rank)] += 1


def train(
    learner: Learner[Part],
    layers: Layers,
    spec: QatTraining,
    *,
    place: Place,
    listener: Listener,
    policy: RankPolicy | None = None,
) -> None:
    """Train adapters, ranges and a head in place, going on from a checkpoint where one is given.

    The model stays in evaluation mode, without dropout: a step then follows from the seed and its
    number alone, and not from how its batch is cut into microbatches.

    `policy` says which ranks of elastic adapters a step trains; the last step's stay applied.

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
    sampled = _Sampled(policy)
    start = 0
    if place.resume_from is not None:
        loaded = checkpoint.load(place.resume_from)
        start = loaded.step
        sampled.restore(loaded.extra.get("losses"), start)
        listener(Logged("info", f"resumed from {place.resume_from.name} after step {start}"))
    runner = StepRunner(
        learner,
        layers,
        optimizer,
        scheduler=scheduler,
        max_grad_norm=spec.max_grad_norm,
    )
    batches = learner.iter_steps(start)
    for step in range(start + 1, total + 1):
        rates = learning_rates(optimizer)
        microbatches = next(batches)
        began = time.perf_counter()
        result = runner.run(
            microbatches, UNCHANGED if policy is None else policy.layer_maps(layers, step)
        )
        speed = (
            learner.count_tokens(microbatches) * len(result.losses) / (time.perf_counter() - began)
        )
        sampled.note(step, result.losses[-1])
        if step % spec.logging_steps == 0 or step == total:
            for key, value in _curve_values(result, rates, speed).items():
                listener(MetricPoint(key, step, value))
            if policy is not None:
                listener(sampled.event(policy))
        if step % spec.save_steps == 0 and step < total:
            extra = {"losses": torch.tensor(sampled.losses, dtype=torch.float64)}
            listener(FileWritten("checkpoint", _save(checkpoint, place.folder, step, extra)))
        listener(Progressed(STAGE, step, total))
    if policy is not None:
        save_history(place.folder / HISTORY_FILE, sampled.history(policy))
        listener(FileWritten("ranks", HISTORY_FILE))


def _save(checkpoint: Checkpoint, folder: Path, step: int, extra: Tensors) -> str:
    """Save a checkpoint, delete all but the newest few of this folder, return the file's name."""
    path = folder / f"checkpoint-{step:08d}.safetensors"
    checkpoint.save(path, step=step, extra=extra)
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
