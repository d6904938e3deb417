"""An attempt process like the real one, whose runner counts instead of training.

Started as `python -m tests.tasks.fake_attempt RUN_ID ATTEMPT PARENT`; what it does is decided by
the run's name: "steps=N" counts so far at 20 steps a second, with a checkpoint every 5 steps.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import time
from types import MappingProxyType

from engine.errors import Diverged
from engine.events import (
    EnvironmentSeen,
    FileWritten,
    MetricPoint,
    Progressed,
    ResourcesMeasured,
    ScoreMeasured,
    SizeMeasured,
    StageStarted,
)
from tasks.attempt import Runners, main
from tasks.runners.context import RunContext

STEP_SECONDS = 0.05


def count(context: RunContext) -> None:
    """Count steps, with everything a real run announces."""
    name, listener = context.spec.name, context.listener
    if "unfit" in name and context.spec.evaluation.per_device_eval_batch_size > 1:
        raise MemoryError
    if "diverge" in name:
        raise Diverged
    if "full disk" in name:
        raise OSError(errno.ENOSPC, "No space left on device", "weights.safetensors")
    if "suicide" in name:
        os.kill(os.getpid(), signal.SIGKILL)
    steps = int((re.search(r"steps=(\d+)", name) or ["", "3"])[1])
    listener(StageStarted("load"))
    listener(EnvironmentSeen({"device": "cpu", "python": "3"}))
    listener(SizeMeasured(100, 400, 4.25, {"weights": 100}))
    listener(StageStarted("train", steps))
    first = int((context.resume_from / "step").read_text()) if context.resume_from else 0
    for step in range(first + 1, steps + 1):
        time.sleep(STEP_SECONDS)
        if "deaf" not in name:
            listener(MetricPoint("train/loss", step, 1 / step))
            listener(Progressed("train", step, steps))
        if step % 5 == 0 and "deaf" not in name:
            _save(context, step)
    listener(StageStarted("evaluate"))
    listener(ScoreMeasured("text/x", "perplexity", 12.5, 0.5, 100, "lower"))
    listener(ResourcesMeasured(1000, {"train": steps * STEP_SECONDS}))


def load_runners() -> Runners:
    """Hand the counting runner over."""
    return MappingProxyType({"experiment": count})


def _save(context: RunContext, step: int) -> None:
    folder = context.folder / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "step").write_text(str(step))
    context.listener(FileWritten("checkpoint", folder.name))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(sys.argv[1:], load_runners))
