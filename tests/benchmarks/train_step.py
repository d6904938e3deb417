"""One QAT + LoRA optimizer step beside NNCF's: `python -m tests.benchmarks.train_step --json`.

SmolLM2-135M in bfloat16, 4-bit asymmetric, group 64, rank 16, windows of 256 tokens; once with one
microbatch per step and once with four. Both sides run in this process, in turn and with the same
threads, on the same windows; the ratio of neighbors counts, and of those the median. Each side
learns from a teacher that ran beforehand, in the form its product keeps it (NNCF: hidden states,
we: the most likely tokens and a tail). Left out of the timing: loading, building, and everything
that happens once in the first steps, above all NNCF's compilation. Memory is measured by
`step_memory`.
With `--nls` instead: a step of elastic adapters at drawn ranks beside one of a LoRA of the largest
rank, both ours, in turn; that needs no NNCF.
Start with `main`.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Protocol

import torch

from engine.specs import ElasticLoraAdapter, LoraAdapter
from tests.benchmarks.nncf_reference import NncfStep, require_nncf
from tests.benchmarks.own_step import OwnStep
from tests.benchmarks.report import CannotMeasure, Report, describe_environment
from tests.benchmarks.setting import Setting, draw_windows
from tests.benchmarks.step_memory import measure

TARGETS = {
    "speed_ratio": ">=1.5",
    "speed_ratio_accumulated": ">=2",
    "memory_ratio": "<=1",
}
NLS_TARGETS = {"nls_step_cost": "<=1.05", "nls_step_cost_accumulated": "<=1.05"}
RANK_SPACE = (16, 12, 8)
_WARM_UP = 2
_MEBI = 1 << 20


class Side(Protocol):
    """What is measured."""

    num_layers: int

    def run(self, num_microbatches: int) -> float:
        """Take one optimizer step; return the loss."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description="One QAT + LoRA step beside NNCF's.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repetitions", type=int, default=5, help="pairs of steps (5)")
    parser.add_argument("--data-folder", type=Path, help="where the converted model is kept")
    parser.add_argument("--nls", action="store_true", help="elastic adapters beside a LoRA")
    asked = parser.parse_args(arguments)
    try:
        # libraries that write on import or while they compile must not spoil the output
        with redirect_stdout(sys.stderr), warnings.catch_warnings(), TemporaryDirectory() as spare:
            warnings.simplefilter("ignore")
            setting = Setting(asked.data_folder or Path(spare))
            if asked.nls:
                report = run_nls(setting, asked.repetitions)
            else:
                require_nncf()
                report = run(setting, asked.repetitions)
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((report.to_json() if asked.json else report.to_text()) + "\n")
    return 0


def run(setting: Setting, repetitions: int) -> Report:
    """Measure speed here and memory in processes of their own."""
    figures = {**_measure_speed(setting, repetitions), **_measure_memory(setting)}
    packages = ("torch", "transformers", "nncf")
    environment = describe_environment(
        packages, threads=torch.get_num_threads(), dtype="bfloat16", device="cpu"
    )
    return Report("train_step", figures, TARGETS, environment)


def run_nls(setting: Setting, repetitions: int) -> Report:
    """Measure what drawing ranks costs a step, as the median ratio of neighboring steps."""
    windows = draw_windows(setting)
    elastic = ElasticLoraAdapter(rank_space=RANK_SPACE, lora_alpha=float(RANK_SPACE[0]))
    fixed = LoraAdapter(r=RANK_SPACE[0], lora_alpha=float(RANK_SPACE[0]))
    nls = OwnStep(setting, windows, adapter=elastic)
    lora = OwnStep(setting, windows, adapter=fixed)
    figures = {}
    for count, suffix in ((1, ""), (setting.microbatches, "_accumulated")):
        pairs = _alternate(nls, lora, count, repetitions)
        tokens = count * setting.tokens
        figures[f"nls_step_cost{suffix}"] = median(ours / theirs for ours, theirs in pairs)
        figures[f"nls_tokens_per_second{suffix}"] = tokens / median(pair[0] for pair in pairs)
        figures[f"lora_tokens_per_second{suffix}"] = tokens / median(pair[1] for pair in pairs)
    environment = describe_environment(
        ("torch", "transformers"),
        threads=torch.get_num_threads(),
        dtype="bfloat16",
        device="cpu",
    )
    return Report("train_step_nls", figures, NLS_TARGETS, environment)


def _measure_speed(setting: Setting, repetitions: int) -> dict[str, float]:
    windows = draw_windows(setting)
    own, nncf = OwnStep(setting, windows), NncfStep(setting, windows)
    if own.num_layers != nncf.num_layers:
        raise CannotMeasure(f"we train {own.num_layers} layers and NNCF {nncf.num_layers}")
    figures = {}
    for count, suffix in ((1, ""), (setting.microbatches, "_accumulated")):
        pairs = _alternate(own, nncf, count, repetitions)
        tokens = count * setting.tokens
        figures[f"speed_ratio{suffix}"] = median(theirs / ours for ours, theirs in pairs)
        figures[f"own_tokens_per_second{suffix}"] = tokens / median(pair[0] for pair in pairs)
        figures[f"nncf_tokens_per_second{suffix}"] = tokens / median(pair[1] for pair in pairs)
        for part, share in own.split_time(count).items():
            figures[f"own_share_of_{part}{suffix}"] = share
    return figures


def _alternate(own: Side, peer: Side, count: int, repetitions: int) -> list[tuple[float, float]]:
    """Return seconds of neighboring steps (ours, theirs); every other pair starts with theirs."""
    for side in (own, peer):
        for _ in range(_WARM_UP):
            side.run(count)
    pairs = []
    for index in range(repetitions):
        if index % 2:
            theirs, ours = _seconds(peer, count), _seconds(own, count)
        else:
            ours, theirs = _seconds(own, count), _seconds(peer, count)
        pairs.append((ours, theirs))
    return pairs


def _seconds(side: Side, count: int) -> float:
    began = time.perf_counter()
    side.run(count)
    return time.perf_counter() - began


def _measure_memory(setting: Setting) -> dict[str, float]:
    """Return peaks in MiB; the ratio is the worse of one and of several microbatches."""
    sides = {side: measure(side, setting.data_folder) for side in ("own", "nncf")}
    figures = {}
    counts = ((1, "single"), (setting.microbatches, "accumulated"))
    for count, word in counts:
        for side, values in sides.items():
            peak = values[str(count)]
            figures[f"{side}_peak_mebibytes_{word}"] = peak / _MEBI
            figures[f"{side}_peak_mebibytes_{word}_above_imports"] = (
                peak - values["imports"]
            ) / _MEBI
        figures[f"memory_ratio_{word}_process"] = _ratio(figures, f"peak_mebibytes_{word}")
        figures[f"memory_ratio_{word}"] = _ratio(figures, f"peak_mebibytes_{word}_above_imports")
    figures["memory_ratio"] = max(figures[f"memory_ratio_{word}"] for _, word in counts)
    return figures


def _ratio(figures: dict[str, float], name: str) -> float:
    return figures[f"own_{name}"] / figures[f"nncf_{name}"]


if __name__ == "__main__":
    sys.exit(main())
