"""Switching widths, and training two at once: `python -m tests.benchmarks.switch --json`.

SmolLM2-135M, all 210 linear layers at {8, 4} bits. Two questions. What does it cost to apply a
layer map to a model that has several widths: seconds, and memory before and after; and with the
weights of that map ready to multiply with, the first time and when they are kept? And what does an
optimizer step cost that trains both widths, the lower one following the higher, relative to two
steps that train one each, the lower one with a pass of its own for its teacher? The parts of both
run in turn in one process with the same threads, batches and learner; the order alternates.
Start with `main`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import torch

from engine.layers.bit_maps import uniform_map
from engine.layers.head import SplitModel
from engine.layers.layer_map import LayerSetting, apply_map, keeping
from engine.layers.swap import LayerPlan, Layers, install
from engine.models.loading import load_model
from engine.specs import (
    IntegerQuantizer,
    LoraAdapter,
    LoraBankAdapter,
    ModelSpec,
    QatTraining,
    SwitchableBits,
)
from engine.training.batches import TrainingData
from engine.training.bit_policy import build_bit_policy
from engine.training.cascade import find_rule
from engine.training.configuration import Configuration
from engine.training.learner import LanguageLearner
from engine.training.parameter_groups import build_optimizer, build_scheduler
from engine.training.step import StepRunner, rounded_once
from tests.benchmarks.report import CannotMeasure, Report, describe_environment
from tests.benchmarks.setting import Setting, draw_windows

HIGH, LOW = 8, 4
MIB = 2**20
TARGETS = {
    "switch_milliseconds": "<=10",
    "switch_memory_mib": "<=1",
    "step_ratio": "<=1.0",
    "frozen_step_ratio": "<=1.0",
}
POLICY = SwitchableBits(widths=(HIGH, LOW))
QUANTIZER = IntegerQuantizer(bits=LOW, symmetry="narrow", group_size=64)


@dataclass
class Times:
    """Seconds of each round.

    Attributes:
        joint: One step that trains both widths.
        apart: Two steps that train one each.
        alone: The same two steps without anybody following.
    """

    joint: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description="Switching widths, and training two at once.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=3, help="of each comparison (3)")
    parser.add_argument("--data-folder", type=Path, help="where the converted model is kept")
    asked = parser.parse_args(arguments)
    if asked.rounds < 1:
        parser.error("--rounds is a whole number from 1")
    try:
        # libraries that write on import must not spoil the output
        with redirect_stdout(sys.stderr), warnings.catch_warnings(), TemporaryDirectory() as spare:
            warnings.simplefilter("ignore")
            report = run(asked.data_folder or Path(spare), rounds=asked.rounds)
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((report.to_json() if asked.json else report.to_text()) + "\n")
    return 0


def run(data_folder: Path, *, rounds: int) -> Report:
    """Measure switching, then both ways of training: through the rounding and beside it."""
    split, layers = _build(data_folder, LoraBankAdapter(r=16, placement="parallel"))
    switched = {**measure_switching(layers), **measure_holding(layers)}
    frozen = measure_steps(split, layers, rounds=rounds, range_learning_rate=0.0)
    split, layers = _build(data_folder, LoraAdapter(r=16))
    absorbed = measure_steps(split, layers, rounds=rounds, range_learning_rate=1e-5)
    figures = {
        **switched,
        **_ratios(absorbed, ""),
        **_ratios(frozen, "frozen_"),
        "layers": float(len(layers)),
    }
    environment = describe_environment(
        ("torch", "transformers"),
        threads=torch.get_num_threads(),
        dtype="float32",
        device="cpu",
        rounds=rounds,
    )
    return Report("switch", figures, TARGETS, environment)


def measure_switching(layers: Layers, *, rounds: int = 50) -> dict[str, float]:
    """Apply uniform and drawn maps in turn; return the median time and the memory it took."""
    maps = _draw_maps(layers)
    addresses = [layer.weight.data_ptr() for layer in layers.values()]
    apply_map(layers, maps[0])
    process = psutil.Process()
    before = process.memory_info().rss
    seconds = [
        _time(lambda place=place: apply_map(layers, maps[place % 3])) for place in range(rounds * 3)
    ]
    grown = process.memory_info().rss - before
    if [layer.weight.data_ptr() for layer in layers.values()] != addresses:
        raise RuntimeError("a weight was copied")
    return {
        "switch_milliseconds": 1000 * statistics.median(seconds),
        "switch_milliseconds_most": 1000 * max(seconds),
        "switch_memory_mib": grown / MIB,
        "memory_before_mib": before / MIB,
        "memory_after_mib": (before + grown) / MIB,
    }


def measure_holding(layers: Layers, *, rounds: int = 20) -> dict[str, float]:
    """Apply the same maps and hold every weight, each width's kept once it was computed.

    Returns:
        The mean time of the two uniform maps at first, and the median of all when everything is
        there, as it is in an evaluation at many maps or at random precision.
    """
    maps = _draw_maps(layers)

    def switch(place: int) -> None:
        apply_map(layers, maps[place % 3])
        for layer in layers.values():
            layer.hold(layer.weight.dtype, trains=False)

    with keeping(layers):
        first = [_time(lambda place=place: switch(place)) for place in (0, 1)]
        again = [_time(lambda place=place: switch(place)) for place in range(rounds * 3)]
    for layer in layers.values():
        layer.release()
    return {
        "switch_and_hold_first_milliseconds": 1000 * statistics.mean(first),
        "switch_and_hold_milliseconds": 1000 * statistics.median(again),
    }


def _draw_maps(layers: Layers) -> list[Mapping[str, LayerSetting]]:
    """Return both uniform maps, and one that draws the width of each layer."""
    draws = random.Random(0)
    return [
        uniform_map(layers, HIGH, QUANTIZER),
        uniform_map(layers, LOW, QUANTIZER),
        {name: LayerSetting(draws.choice((HIGH, LOW))) for name in layers},
    ]


def measure_steps(
    split: SplitModel, layers: Layers, *, rounds: int, range_learning_rate: float
) -> Times:
    """Take steps of all kinds in turn."""
    training = QatTraining(
        objective="task",
        bit_policy=POLICY,
        range_learning_rate=range_learning_rate,
        lr_scheduler_type="constant",
        warmup_ratio=0.0,
        per_device_train_batch_size=2,
    )
    windows = draw_windows(Setting(Path()))
    learner = LanguageLearner(split, training, TrainingData(windows, None, 1, 0))
    microbatches = next(learner.iter_steps(0))
    optimizer = build_optimizer(layers, training)
    scheduler = build_scheduler(optimizer, training, 1)
    runner = StepRunner(
        learner,
        layers,
        optimizer,
        scheduler=scheduler,
        max_grad_norm=training.max_grad_norm,
        cascade=find_rule(POLICY),
    )
    policy = build_bit_policy(POLICY, layers, QUANTIZER, total_steps=1, seed=0)
    if policy is None:
        raise RuntimeError("the policy trains one width")
    high, low = policy.configurations(1)
    alone = Configuration(low.settings, low.width)

    def take(*steps: Sequence[Configuration]) -> float:
        return _time(lambda: [runner.run(microbatches, step) for step in steps])

    times = Times()
    with rounded_once(layers):
        take((high, low))  # warm: buffers, and what is rounded once
        for place in range(rounds):
            kinds: list[Callable[[], None]] = [
                lambda: times.joint.append(take((high, low))),
                lambda: times.apart.append(take((high,), (low,))),
                lambda: times.alone.append(take((high,), (alone,))),
            ]
            for kind in kinds if place % 2 else reversed(kinds):
                kind()
    return times


def _build(data_folder: Path, adapter: LoraAdapter | LoraBankAdapter) -> tuple[SplitModel, Layers]:
    loaded = load_model(
        ModelSpec(dtype="float32"),
        data_folder=data_folder,
        device=torch.device("cpu"),
        listener=_ignore,
    )
    layers = install(loaded.model, LayerPlan(QUANTIZER, adapter, 0, widths=(HIGH, LOW)))
    return SplitModel(loaded.model), layers


def _ratios(times: Times, prefix: str) -> dict[str, float]:
    """Return ratios of medians, and the seconds they come from."""
    joint, apart, alone = map(statistics.median, (times.joint, times.apart, times.alone))
    return {
        f"{prefix}step_ratio": joint / apart,
        f"{prefix}step_ratio_without_teacher": joint / alone,
        f"{prefix}joint_seconds": joint,
        f"{prefix}apart_seconds": apart,
        f"{prefix}alone_seconds": alone,
    }


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ignore(event: object) -> None:
    del event


if __name__ == "__main__":
    sys.exit(main())
