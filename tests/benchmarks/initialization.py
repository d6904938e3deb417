"""Starts beside each other, without training: `python -m tests.benchmarks.initialization --json`.

SmolLM2-135M-Instruct, groups of 64, parallel adapters of rank 16, calibrated on 48 windows of 256
tokens of WikiText-2's training part and measured on its test part: mean KL divergence from the
16-bit model, and perplexity. Whole widths of 4, 3 and 2 bits on integers and on NormalFloat, 2.5
and 2.25 bits by both mixing rules, and for absorbed adapters, where a residual would be rounded
again, the start weights and ranges that stand in for it. Needs WikiText-2 in the folder that
BITDIAL_DATA_MIRROR names. Start with `main`; the cases stand in `CASES`.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from engine.data.corpora import load_documents
from engine.data.windows import build_windows, spread
from engine.evaluation.language_modeling import LanguageScores, evaluate_language_model
from engine.initialize.catalogue import Installed, initialize
from engine.initialize.data_aware import start_from_moments
from engine.initialize.moments import collect_moments
from engine.layers.head import SplitModel
from engine.layers.layer_map import bypassed, held
from engine.layers.swap import LayerPlan, install
from engine.models.loading import LoadedModel, load_model
from engine.specs import (
    AdapterSpec,
    DataAware,
    DataSpec,
    InitializationSpec,
    IntegerQuantizer,
    LoftQ,
    LoraAdapter,
    ModelSpec,
    NoAdapter,
    NormalFloatQuantizer,
    RoundToNearest,
)
from tests.benchmarks.layer_mixes import Mixes
from tests.benchmarks.report import CannotMeasure, Report, describe_environment

MODEL = "bundled:smollm2-135m-instruct"
TEXT: dict[str, Any] = {"source": "Salesforce/wikitext", "config": "wikitext-2-raw-v1"}
CALIBRATION_WINDOWS, LENGTH, RANK, GROUP, SEED = 48, 256, 16, 64, 42
BATCH = 8
GRIDS: dict[str, Any] = {"integer": IntegerQuantizer, "normal-float": NormalFloatQuantizer}
ADAPTER = LoraAdapter(r=RANK, lora_alpha=float(RANK), placement="parallel")
STARTS: dict[str, InitializationSpec] = {
    "round-to-nearest": RoundToNearest(),
    "loftq-1": LoftQ(iterations=1),
    "loftq-5": LoftQ(iterations=5),
    "data-aware-1": DataAware(iterations=1),
    "data-aware-3": DataAware(iterations=3),
}
TARGETS = {"best_kl.4": "<=0.075", "best_kl.3": "<=0.32", "best_kl.2": "<=1.7"}


@dataclass(frozen=True)
class Case:
    """One start of the whole model.

    Attributes:
        bits: Width, or the mean width.
        rule: How widths are mixed; None for a whole width.
        grid: Key of `GRIDS`.
        start: Key of `STARTS`.
        adapter: Beside the weights, or none where an absorbed one would start at zero.
    """

    bits: float
    rule: str | None
    grid: str
    start: str
    adapter: AdapterSpec

    @property
    def name(self) -> str:
        """How its figures are called."""
        kind = "absorbed" if isinstance(self.adapter, NoAdapter) else None
        parts = (f"{self.bits:g}", self.rule, self.grid, kind, self.start)
        return "/".join(part for part in parts if part)


def _cases() -> Iterator[Case]:
    for bits in (4, 3, 2):
        for grid in GRIDS:
            for start in STARTS:
                yield Case(bits, None, grid, start, ADAPTER)
        for start in ("round-to-nearest", "data-aware-1"):
            yield Case(bits, None, "integer", start, NoAdapter())
    for mean in (2.5, 2.25):
        for rule in ("first-layers", "sensitivity"):
            for start in ("loftq-5", "data-aware-3"):
                yield Case(mean, rule, "normal-float", start, ADAPTER)


CASES = tuple(_cases())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description="Starts of quantized models beside each other.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", default="", help="only the cases whose name starts with this")
    parser.add_argument("--windows", type=int, default=24, help="windows to measure on (24)")
    parser.add_argument("--data-folder", type=Path, help="where the converted model is kept")
    asked = parser.parse_args(arguments)
    try:
        with redirect_stdout(sys.stderr), TemporaryDirectory() as spare:
            cases = [case for case in CASES if case.name.startswith(asked.only)]
            if not cases or asked.windows < 2:
                raise CannotMeasure(f"no case starts with {asked.only!r}, or windows are below 2")
            report = run(cases, asked.data_folder or Path(spare), num_windows=asked.windows)
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((report.to_json() if asked.json else report.to_text()) + "\n")
    return 0


@torch.no_grad()
def run(cases: Sequence[Case], data_folder: Path, *, num_windows: int) -> Report:
    """Measure the cases one after another, each on a copy of the same model."""
    bench = _Bench(data_folder, num_windows)
    figures: dict[str, float] = {}
    for case in cases:
        scores = bench.measure(case)
        if scores.divergence is None:
            raise CannotMeasure("the divergence was not measured")
        figures[f"kl.{case.name}"] = scores.divergence.value
        figures[f"kl_error.{case.name}"] = scores.divergence.standard_error or 0.0
        figures[f"perplexity.{case.name}"] = scores.perplexity.value
        sys.stderr.write(f"{case.name}: KL {scores.divergence.value:.4f}\n")
    for bits in (4, 3, 2):
        found = [figures[f"kl.{case.name}"] for case in cases if _is_whole(case, bits)]
        if found:
            figures[f"best_kl.{bits}"] = min(found)
    targets = {name: bound for name, bound in TARGETS.items() if name in figures}
    environment = describe_environment(
        ("torch", "transformers"),
        threads=torch.get_num_threads(),
        dtype="float32",
        device="cpu",
        windows=num_windows,
    )
    return Report("initialization", figures, targets, environment)


def _is_whole(case: Case, bits: int) -> bool:
    return case.bits == bits and not isinstance(case.adapter, NoAdapter)


class _Bench:
    """One model, its text, and what the cases share."""

    def __init__(self, data_folder: Path, num_windows: int) -> None:
        self._loaded = load_model(
            ModelSpec(source=MODEL, dtype="float32"),
            data_folder=data_folder,
            device=torch.device("cpu"),
            listener=lambda _: None,
        )
        self._calibration = _windows(self._loaded, "train", CALIBRATION_WINDOWS)
        self._test = _windows(self._loaded, "test", num_windows)
        self._split = SplitModel(self._loaded.model)
        self._teacher = torch.cat([self._split.hidden(each[None]) for each in self._test])
        self._moments: dict[str, Tensor] = {}
        self._mixes = Mixes(self._split, self._loaded.model, self._calibration)

    def measure(self, case: Case) -> LanguageScores:
        """Start a copy of the model as the case says, and measure it."""
        model = copy.deepcopy(self._loaded.model)
        quantizer = GRIDS[case.grid](bits=case.bits, group_size=GROUP)
        widths = {} if case.rule is None else self._mixes.widths(quantizer, case.rule)
        layers = install(model, LayerPlan(quantizer, case.adapter, SEED, widths))
        split, start = SplitModel(model), STARTS[case.start]
        if isinstance(start, DataAware):
            moments = self._find_moments(layers)
            start_from_moments(layers, moments, start, seed=SEED, progress=_no_progress)
        else:
            initialize(
                Installed(model, split, layers),
                start,
                seed=SEED,
                load_windows=lambda _: self._calibration,
                progress=_no_progress,
            )

        def teacher_logits(hidden: Tensor) -> Tensor:
            with bypassed(layers):
                return split.logits(hidden)

        with held(layers, torch.float32):
            return evaluate_language_model(
                split,
                self._test,
                batch_size=BATCH,
                teacher=self._teacher,
                teacher_logits=teacher_logits,
                progress=_no_progress,
            )

    def _find_moments(self, names: Sequence[str] | dict[str, Any]) -> dict[str, Tensor]:
        """Return the moments of the layers' inputs in the 16-bit model, collected once."""
        if not self._moments:
            modules: dict[str, nn.Module] = {
                name: self._loaded.model.get_submodule(name) for name in names
            }
            self._moments = collect_moments(
                self._split, modules, self._calibration, progress=_no_progress
            )
        return dict(self._moments)


def _windows(loaded: LoadedModel, part: str, count: int) -> Tensor:
    mirror = os.environ.get("BITDIAL_DATA_MIRROR")
    if not mirror:
        raise CannotMeasure("needs WikiText-2; set BITDIAL_DATA_MIRROR to a mirror that has it")
    documents = load_documents(
        DataSpec(split=part, **TEXT), field="text", data_folder=Path(), mirror=Path(mirror)
    )
    windows = build_windows(documents, loaded.tokenizer, max_length=LENGTH, field="text")
    return spread(windows, count)


def _no_progress(done: int, total: int) -> None:
    """Tell nobody."""


if __name__ == "__main__":
    raise SystemExit(main())
