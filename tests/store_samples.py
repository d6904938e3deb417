"""A store filled with runs of every kind, written through the same doors as real ones.

Runs are submitted through `tasks.submit` and recorded by a real `Recorder`; only the events
are made up, with numbers like those of SmolLM2-135M. Start with `fill_store`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.events import (
    EnvironmentSeen,
    Event,
    FileWritten,
    Logged,
    MetricPoint,
    Progressed,
    ResourcesMeasured,
    ScoreMeasured,
    SizeMeasured,
    StageStarted,
)
from engine.specs import resolve
from tasks import submit
from tasks.lease import claim_run
from tasks.pace import Pace
from tasks.recorder import Recorder
from tasks.settings import Settings
from tasks.store import schema
from tasks.submit import Desk

MIB = 2**20
ORIGINAL_BYTES = 257 * MIB
BENCHMARK = "text/bundled:python-docs"
HOSTILE_NAME = "<img src=x onerror=alert(1)> ${1+1} {{7*7}} =cmd|'/c calc' 量子化 🎛 | *a*"
LONG_NAME = "a-name-that-goes-on-" * 5
ENVIRONMENT = {
    "python": "3.11.2",
    "torch": "2.13.0",
    "transformers": "5.23.0",
    "device": "cpu",
    "device_name": "2 cores",
    "dtype": "float32",
    "seed": "42",
    "commit": "a66c3c5",
}


@dataclass(frozen=True)
class Samples:
    """Where the interesting runs are.

    Attributes:
        baseline: The finished 16-bit run of the first setting.
        rtn: Finished, untuned, by bits.
        qat: Finished and trained, 3 bits.
        hostile: Finished, with a name that tries everything.
        failed: Failed with a traceback.
        cancelled: Cancelled in training.
        running: In the middle of training.
        queued: Waiting, oldest first.
    """

    baseline: int
    rtn: dict[int, int]
    qat: int
    hostile: int
    failed: int
    cancelled: int
    running: int
    queued: tuple[int, ...]


def open_sample_desk(data_folder: Path) -> Desk:
    """Open a desk on a new store in this folder; the caller disposes of its database."""
    settings = Settings(data_folder=data_folder, database_url="", broker_url=None)
    schema.upgrade(settings)
    return submit.open_desk(settings)


def fill_store(desk: Desk) -> Samples:
    """Submit and carry out a run of every kind."""
    baseline = _finish_baseline(desk)
    rtn = {bits: _finish_rtn(desk, bits) for bits in (2, 3, 4, 8)}
    qat = _finish_qat(desk, "", bits=3, perplexity=31.4)
    _finish_qat(desk, "", bits=2, perplexity=97.2)
    hostile = _finish_qat(desk, HOSTILE_NAME, bits=4, perplexity=23.1)
    other = _submit(desk, {"preset": "rtn", "evaluation": {"limit": None}}, with_baseline=False)
    carry_out(desk, other, _rtn_events(4, limited=False))
    failed = _fail(desk)
    cancelled = _cancel(desk)
    running = _submit(desk, _qat_values(LONG_NAME, 2), with_baseline=False)
    carry_out(desk, running, _half_done(), ending=None)
    queued = tuple(
        _submit(desk, {"preset": "rtn", "seed": seed, "name": f"waiting {seed}"})
        for seed in range(3)
    )
    return Samples(
        baseline=baseline,
        rtn=rtn,
        qat=qat,
        hostile=hostile,
        failed=failed,
        cancelled=cancelled,
        running=running,
        queued=queued,
    )


def _submit(desk: Desk, values: dict[str, Any], *, with_baseline: bool = True) -> int:
    return submit.submit(desk, resolve(values), with_baseline=with_baseline).id


def _finish_baseline(desk: Desk) -> int:
    run_id = _submit(desk, {"preset": "baseline"})
    carry_out(desk, run_id, _baseline_events())
    return run_id


def _finish_rtn(desk: Desk, bits: int) -> int:
    run_id = _submit(desk, {"preset": "rtn", "quantizer": {"bits": bits}})
    carry_out(desk, run_id, _rtn_events(bits, limited=True))
    return run_id


def _finish_qat(desk: Desk, name: str, *, bits: int, perplexity: float) -> int:
    run_id = _submit(desk, _qat_values(name, bits))
    carry_out(desk, run_id, _qat_events(desk, run_id, bits, perplexity))
    return run_id


def _fail(desk: Desk) -> int:
    run_id = _submit(desk, _qat_values("too greedy", 2))
    failure = {
        "failure_kind": "diverged",
        "failure_message": "the training loss is no longer a finite number after step 31; "
        "choose a smaller training.learning_rate",
        "failure_traceback": "Traceback (most recent call last):\n"
        '  File "engine/training/loop.py", line 131, in train\n'
        "    raise Diverged\nengine.errors.Diverged: <b>not bold</b>\n",
    }
    carry_out(desk, run_id, _half_done(diverges=True), ending="failed", columns=failure)
    return run_id


def _cancel(desk: Desk) -> int:
    run_id = _submit(desk, _qat_values("stopped by hand", 4))
    carry_out(desk, run_id, _half_done(), ending="cancelled")
    return run_id


def _qat_values(name: str, bits: int) -> dict[str, Any]:
    training = {"max_steps": 120, "learning_rate": 1e-3}
    return {
        "preset": "qat-lora",
        "name": name,
        "quantizer": {"bits": bits},
        "training": training,
    }


def carry_out(
    desk: Desk,
    run_id: int,
    events: Iterable[Event],
    *,
    ending: Any = "succeeded",
    columns: dict[str, Any] | None = None,
) -> None:
    """Claim the run, record the events and end it; leave it running where `ending` is None."""
    claim = claim_run(desk.database, desk.settings, "sample-worker:4711", run_id=run_id)
    assert claim is not None
    folder = desk.settings.attempt_folder(run_id, claim.attempt)
    folder.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(
        desk.database,
        claim,
        folder=folder,
        data_folder=desk.settings.data_folder,
        pace=Pace({}),
    )
    for event in events:
        recorder(event)
    if ending is None:
        recorder.flush()
    else:
        recorder.finish(ending, **(columns or {}))


def open_events() -> Iterator[Event]:
    """Yield how every run begins."""
    yield EnvironmentSeen(dict(ENVIRONMENT))
    yield StageStarted("load")
    yield Logged("info", "Loaded smollm2-135m-instruct, 134 515 008 weights, float32.")


def _baseline_events() -> Iterator[Event]:
    yield from open_events()
    yield SizeMeasured(ORIGINAL_BYTES, ORIGINAL_BYTES, 16.0, {"unquantized": ORIGINAL_BYTES})
    yield from _evaluation(18.42, 0.21, None, limited=True)
    yield ResourcesMeasured(900 * MIB, {"load": 1.2, "evaluate": 21.0})


def _rtn_events(bits: int, *, limited: bool) -> Iterator[Event]:
    perplexity = {2: 412_512.3, 3: 118.9, 4: 21.77, 8: 18.45}[bits]
    divergence = {2: 9.81, 3: 1.92, 4: 0.171, 8: 0.00041}[bits]
    yield from open_events()
    yield StageStarted("teach")
    yield StageStarted("initialize", 210)
    yield Progressed("initialize", 210, 210)
    yield size_of(bits)
    yield from _evaluation(perplexity, perplexity / 80, divergence, limited=limited)
    yield ResourcesMeasured(950 * MIB, {"load": 1.1, "initialize": 2.4, "evaluate": 42.0})


def _qat_events(desk: Desk, run_id: int, bits: int, perplexity: float) -> Iterator[Event]:
    yield from open_events()
    yield StageStarted("teach")
    yield StageStarted("initialize", 210)
    yield from train_events(120)
    yield size_of(bits)
    yield from _evaluation(perplexity, perplexity / 85, 0.05 * 2 ** (4 - bits) * 3, limited=True)
    folder = desk.settings.attempt_folder(run_id, 1)
    (folder / "adapter.safetensors").write_bytes(bytes(range(256)) * 64)
    yield FileWritten("adapter", "adapter.safetensors")
    stages = {"load": 1.2, "initialize": 2.2, "train": 131.0, "evaluate": 43.0}
    yield ResourcesMeasured(1430 * MIB, stages)


def _half_done(*, diverges: bool = False) -> Iterator[Event]:
    yield from open_events()
    yield StageStarted("teach")
    yield StageStarted("initialize", 210)
    yield from train_events(31, total=120)
    if diverges:
        yield MetricPoint("train/loss", 32, math.nan)
        yield Logged("error", "the training loss is no longer a finite number")


def train_events(steps: int, total: int | None = None) -> Iterator[Event]:
    """Yield so many steps of a training."""
    total = total or steps
    yield StageStarted("train", total)
    yield Logged("debug", "210 adapters of rank 16, 4.88 M trained numbers.")
    yield Logged("warning", "2 windows are shorter than 256 tokens and were left out.")
    for step in range(1, steps + 1):
        wobble = 0.12 * math.sin(step * 1.7) * math.exp(-step / 60)
        rate = 1e-3 * min(1, step / 6) * 0.5 * (1 + math.cos(math.pi * step / total))
        yield MetricPoint("train/loss", step, 0.35 + 2.8 * math.exp(-step / 18) + wobble)
        yield MetricPoint("train/learning_rate", step, rate)
        yield MetricPoint("train/range_learning_rate", step, rate / 10)
        yield MetricPoint("train/tokens_per_second", step, 940 + 60 * math.sin(step))
        yield Progressed("train", step, total)
        if step % 10 == 0:
            yield Logged("info", f"Step {step} of {total}.")


def size_of(bits: float, *, adapters: int = 0) -> SizeMeasured:
    """Return a size like that of the real model at these bits, with so many bytes of adapters."""
    effective = bits + (16 + bits) / 64
    weights = int(106e6 * effective / 8)
    kept = 57 * MIB
    parts = {"weights": weights, "unquantized": kept}
    if adapters:
        parts["adapters"] = adapters
    return SizeMeasured(sum(parts.values()), ORIGINAL_BYTES, effective, parts)


def _evaluation(
    perplexity: float, error: float, divergence: float | None, *, limited: bool
) -> Iterator[Event]:
    num_samples = 4080 if limited else 25_500
    yield StageStarted("evaluate", 16)
    yield Progressed("evaluate", 16, 16)
    yield ScoreMeasured(
        BENCHMARK, "perplexity", perplexity, error, num_samples, "lower", limited=limited
    )
    if divergence is None:
        return
    agreement = max(0.002, math.exp(-divergence))
    yield ScoreMeasured(
        BENCHMARK, "kl_divergence", divergence, divergence / 40, num_samples, "lower", limited
    )
    spread = math.sqrt(agreement * (1 - agreement) / num_samples)
    yield ScoreMeasured(
        BENCHMARK, "top1_agreement", agreement, spread, num_samples, "higher", limited
    )
