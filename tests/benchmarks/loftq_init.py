"""LoftQ beside PEFT's `loftq_init`: `python -m tests.benchmarks.loftq_init --json`.

All linear layers of SmolLM2-135M but the head, 4-bit NormalFloat, block 64, rank 16, 5 iterations,
float32. Both sides get the same tensors in this process, layer by layer in turn with the same
threads, every other layer PEFT first. The error of a side is ‖W − Q − B·A‖ / ‖W‖ of what it
returns, measured here and not by the side; the ratio that counts is that of the means over layers.
Alpha is the rank: PEFT leaves the factor out. Start with `main`.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from engine.initialize.loftq import start_loftq
from engine.layers.swap import LayerPlan, install
from engine.models.loading import load_model
from engine.specs import LoftQ, LoraAdapter, ModelSpec, NormalFloatQuantizer
from engine.specs.quantizer import DEFAULT_EXCLUDE
from tests.benchmarks.peft_reference import LoftqInit, load_peft
from tests.benchmarks.report import CannotMeasure, Report, describe_environment

MODEL = "bundled:smollm2-135m-instruct"
BITS, BLOCK, RANK, ITERATIONS = 4, 64, 16, 5
TARGETS = {"speed_ratio": ">=8", "error_ratio": "<=1.001"}


@dataclass
class Side:
    """What one side took and left.

    Attributes:
        seconds: Of each layer.
        errors: Relative, of each layer.
    """

    seconds: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    @property
    def error(self) -> float:
        """Mean relative error."""
        return sum(self.errors) / len(self.errors)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description="LoftQ beside PEFT's.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--layers", type=int, help="only so many layers, spread evenly (all)")
    parser.add_argument("--data-folder", type=Path, help="where the converted model is kept")
    asked = parser.parse_args(arguments)
    if asked.layers is not None and asked.layers < 1:
        parser.error("--layers is a whole number from 1")
    try:
        # libraries that write on import must not spoil the output
        with redirect_stdout(sys.stderr), warnings.catch_warnings(), TemporaryDirectory() as spare:
            warnings.simplefilter("ignore")
            report = run(asked.data_folder or Path(spare), limit=asked.layers)
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((report.to_json() if asked.json else report.to_text()) + "\n")
    return 0


@torch.no_grad()
def run(data_folder: Path, *, limit: int | None) -> Report:
    """Measure both sides on every layer, or on some."""
    peft_init = load_peft()
    weights = _load_weights(data_folder, limit)
    own, peft = Side(), Side()
    _run_own(weights[0], Side())
    _run_peft(weights[0], Side(), peft_init)
    for index, weight in enumerate(weights):
        if index % 2:
            _run_peft(weight, peft, peft_init)
        _run_own(weight, own)
        if not index % 2:
            _run_peft(weight, peft, peft_init)
    figures = {
        "speed_ratio": sum(peft.seconds) / sum(own.seconds),
        "error_ratio": own.error / peft.error,
        "worst_error_ratio": max(a / b for a, b in zip(own.errors, peft.errors, strict=True)),
        "own_seconds": sum(own.seconds),
        "peft_seconds": sum(peft.seconds),
        "own_error": own.error,
        "peft_error": peft.error,
        "layers": float(len(weights)),
    }
    packages = ("torch", "transformers", "peft", "bitsandbytes")
    environment = describe_environment(
        packages, threads=torch.get_num_threads(), dtype="float32", device="cpu"
    )
    return Report("loftq_init", figures, TARGETS, environment)


def _load_weights(data_folder: Path, limit: int | None) -> list[Tensor]:
    """Return float32 copies of the weights, all or so many spread over the model."""
    loaded = load_model(
        ModelSpec(source=MODEL, dtype="float32"),
        data_folder=data_folder,
        device=torch.device("cpu"),
        listener=_ignore,
    )
    found = [
        module.weight.detach().clone()
        for name, module in loaded.model.named_modules()
        if isinstance(module, nn.Linear) and name not in DEFAULT_EXCLUDE
    ]
    count = min(limit or len(found), len(found))
    return [found[index * len(found) // count] for index in range(count)]


def _run_own(weight: Tensor, side: Side) -> None:
    """Start one layer as a run does; installing it is not timed, as loading PEFT's is not."""
    model = nn.Sequential(nn.Linear(weight.shape[1], weight.shape[0], bias=False))
    model.requires_grad_(requires_grad=False)
    model[0].weight.copy_(weight)
    adapter = LoraAdapter(r=RANK, lora_alpha=float(RANK), placement="parallel")
    quantizer = NormalFloatQuantizer(bits=BITS, group_size=BLOCK)
    layers = install(model, LayerPlan(quantizer, adapter, 0))
    began = time.perf_counter()
    start_loftq(
        layers, LoftQ(iterations=ITERATIONS), head=torch.empty(0), seed=0, progress=_no_progress
    )
    side.seconds.append(time.perf_counter() - began)
    (layer,) = layers.values()
    if layer.adapter is not None:
        side.errors.append(_error(weight, layer.effective(), layer.adapter.product(RANK)))


def _run_peft(weight: Tensor, side: Side, init: LoftqInit) -> None:
    began = time.perf_counter()
    rounded, a, b = init(weight, num_bits=BITS, reduced_rank=RANK, num_iter=ITERATIONS)
    side.seconds.append(time.perf_counter() - began)
    side.errors.append(_error(weight, rounded, b @ a))


def _error(weight: Tensor, rounded: Tensor, product: Tensor) -> float:
    left = torch.linalg.norm((weight - rounded - product).double())
    return float(left / torch.linalg.norm(weight.double()))


def _ignore(event: object) -> None:
    del event


def _no_progress(done: int, total: int) -> None:
    del done, total


if __name__ == "__main__":
    sys.exit(main())
