"""An encoder trained to classify at few bits: `python -m tests.benchmarks.classifier --json`.

MiniLM-L6 with a fresh head learns SST-2 through `engine.experiment`, as the preset loftq-classify
has it, and is measured on the validation split: with its 16 bits and adapters from zero, with
LoftQ's start at 4 and at 2 bits, and at 2 bits with adapters from zero and with a start that was
calibrated on 48 windows of WikiText-2. Figures are the accuracy with its standard error, the gap
to 16 bits in points and the seconds; there is no target. Needs SST-2 and WikiText-2 in the folder
that BITDIAL_DATA_MIRROR names. Start with `main`; the cases stand in `CASES`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.errors import BitdialError
from engine.events import EnvironmentSeen, Event, ScoreMeasured
from engine.experiment import Workspace, run_experiment
from engine.specs import ExperimentSpec, resolve
from tests.benchmarks.report import CannotMeasure, Report, describe_environment

PRESET, TASK, METRIC = "loftq-classify", "sst2", "accuracy"
RATE, BATCH, STEPS = 5e-4, 32, 600
BASELINE = "16/lora"
ZERO: dict[str, Any] = {"method": "round-to-nearest"}
TEXT: dict[str, Any] = {
    "method": "data-aware",
    "num_samples": 48,
    "data": {"source": "Salesforce/wikitext", "config": "wikitext-2-raw-v1", "split": "train"},
}
CASES: Mapping[str, dict[str, Any]] = {
    BASELINE: {"quantizer": {"grid": "float"}, "initialization": ZERO},
    "4/loftq": {"quantizer": {"bits": 4}},
    "2/loftq": {"quantizer": {"bits": 2}},
    "2/lora": {"quantizer": {"bits": 2}, "initialization": ZERO},
    "2/data-aware": {"quantizer": {"bits": 2}, "initialization": TEXT},
}
"""What differs from the preset, by bits and start."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description="A classifier trained at few bits.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"training steps ({STEPS})")
    parser.add_argument("--only", default="", help="only the cases whose name starts with this")
    parser.add_argument("--limit", type=int, help="measure this many sentences (all)")
    asked = parser.parse_args(arguments)
    try:
        with redirect_stdout(sys.stderr):
            cases = [name for name in CASES if name.startswith(asked.only)]
            if not cases:
                raise CannotMeasure(
                    f"no case starts with {asked.only!r}; there are {', '.join(CASES)}"
                )
            report = run(cases, steps=asked.steps, limit=asked.limit)
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((report.to_json() if asked.json else report.to_text()) + "\n")
    return 0


def run(cases: Sequence[str], *, steps: int, limit: int | None) -> Report:
    """Train and measure the cases one after another.

    Raises:
        CannotMeasure: When data, model or a package are missing.
    """
    mirror = _find_mirror()
    figures: dict[str, float] = {}
    seen: dict[str, str] = {}
    for name in cases:
        figures |= _measure(name, build_spec(name, steps=steps, limit=limit), mirror, seen)
    environment = describe_environment(
        ("torch", "transformers"), steps=steps, batch=BATCH, rate=RATE, limit=limit, **seen
    )
    return Report("classifier", _with_gaps(figures, cases), {}, environment)


def _find_mirror() -> Path:
    mirror = os.environ.get("BITDIAL_DATA_MIRROR")
    if not mirror:
        raise CannotMeasure(
            "needs SST-2 and WikiText-2; set BITDIAL_DATA_MIRROR to a mirror that has them"
        )
    return Path(mirror)


def build_spec(name: str, *, steps: int, limit: int | None) -> ExperimentSpec:
    """Return the whole request of a case.

    Raises:
        CannotMeasure: When it cannot be made: no steps, or no sentences.
    """
    training = {
        "learning_rate": RATE,
        "per_device_train_batch_size": BATCH,
        "max_steps": steps,
        "save_steps": steps + 1,
    }
    values = {"preset": PRESET, "training": training, "evaluation": {"benchmark_limit": limit}}
    try:
        return resolve(values | CASES[name]).spec
    except BitdialError as error:
        raise CannotMeasure(str(error)) from error


def _measure(
    name: str, spec: ExperimentSpec, mirror: Path, seen: dict[str, str]
) -> dict[str, float]:
    """Run one case in a folder of its own; return its figures, and add to what was seen."""
    events: list[Event] = []
    began = time.perf_counter()
    try:
        with TemporaryDirectory() as spare:
            workspace = Workspace(Path(spare) / "run", Path(spare) / "data", mirror)
            run_experiment(spec, workspace=workspace, listener=events.append)
    except BitdialError as error:
        raise CannotMeasure(str(error)) from error
    seconds = time.perf_counter() - began
    scores = [each for each in events if isinstance(each, ScoreMeasured) and each.metric == METRIC]
    if not scores:
        raise CannotMeasure(f"the accuracy on {TASK} was not measured")
    for event in events:
        if isinstance(event, EnvironmentSeen):
            seen |= {key: event.values[key] for key in ("device", "dtype") if key in event.values}
    score = scores[-1]
    sys.stderr.write(f"{name}: {score.value:.4f} in {seconds:.0f} s\n")
    return {
        f"accuracy.{name}": score.value,
        f"accuracy_error.{name}": score.standard_error or 0.0,
        f"seconds.{name}": seconds,
    }


def _with_gaps(figures: dict[str, float], cases: Sequence[str]) -> dict[str, float]:
    """Add how far every case is below 16 bits, in points, where that was measured."""
    best = figures.get(f"accuracy.{BASELINE}")
    if best is None:
        return figures
    others = [name for name in cases if name != BASELINE]
    return figures | {f"gap.{name}": 100 * (best - figures[f"accuracy.{name}"]) for name in others}


if __name__ == "__main__":
    raise SystemExit(main())
