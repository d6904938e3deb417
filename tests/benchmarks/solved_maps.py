"""Solved layer maps beside others of their size: `python -m tests.benchmarks.solved_maps --json`.

SmolLM2-135M, 210 linear layers, integer groups of 64, untrained, at 3.0 and 2.5 effective bits:
scales and zero points count. A map solved from gradient scores stands beside the published rule
(the first layers get the higher of two widths; here one layer after another, so that no room is
left that a whole block would not fit into) and beside random maps that leave as little room.
Scored on a training part and measured on a test part: of WikiText-2 where BITDIAL_DATA_MIRROR names
a folder that has it, else of the bundled text. Start with `main`.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.allocation.choices import LayerChoices, Table, build_table
from engine.allocation.frontier import build_frontier
from engine.allocation.stored import stored_bits
from engine.data.corpora import load_documents
from engine.data.windows import build_windows, spread
from engine.errors import BitdialError
from engine.evaluation.language_modeling import LanguageScores, evaluate_language_model
from engine.layers.bit_maps import setting_at
from engine.layers.layer_map import apply_map, bypassed, held
from engine.models.loading import load_model
from engine.models.shapes import LayerShape
from engine.sensitivity.scored_model import ScoredModel
from engine.specs import DataSpec, IntegerQuantizer, ModelSpec
from engine.specs.layer_bits import LayerBits
from tests.benchmarks.report import CannotMeasure, Report, describe_environment
from tests.benchmarks.sensitivity import Scores, install_all, measure_gradient

BUDGETS = (3.0, 2.5)
"""Effective bits per weight of the quantized layers."""
LOW, HIGH = 2, 4
"""The two widths of the published rule."""
RANDOM_WIDTHS = (2, 3, 4)
NUM_RANDOM = 5
LENGTH, BATCH_SIZE, SEED = 256, 8, 0
WIKITEXT = {"source": "Salesforce/wikitext", "config": "wikitext-2-raw-v1"}
TARGETS = {f"excess_ratio.{budget:g}": ">=1" for budget in BUDGETS}
Widths = Mapping[str, int]


class Texts(NamedTuple):
    """(N, T) windows to score on, (M, T) to measure on, and what they are called."""

    scored: Tensor
    measured: Tensor
    name: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description="Solved layer maps beside others of their size.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--windows", type=int, default=32, help="to score and to measure on (32)")
    parser.add_argument("--random", type=int, default=NUM_RANDOM, help="random maps per budget (5)")
    parser.add_argument("--data-folder", type=Path, help="where the converted model is kept")
    asked = parser.parse_args(arguments)
    if asked.windows < 2 or asked.random < 1:
        parser.error("--windows is a whole number from 2, --random from 1")
    try:
        # libraries that write on import must not spoil the output
        with redirect_stdout(sys.stderr), warnings.catch_warnings(), TemporaryDirectory() as spare:
            warnings.simplefilter("ignore")
            quantizer = IntegerQuantizer(bits=4, group_size=64)
            model, texts = build(asked.data_folder or Path(spare), quantizer, asked.windows)
            report = run(model, texts, quantizer, num_random=asked.random, folder=Path(spare))
    except (CannotMeasure, BitdialError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((report.to_json() if asked.json else report.to_text()) + "\n")
    return 0


def build(
    data_folder: Path, quantizer: IntegerQuantizer, num_windows: int
) -> tuple[ScoredModel, Texts]:
    """Return the model with its layers at 16 bits, and its texts."""
    loaded = load_model(
        ModelSpec(dtype="float32"),
        data_folder=data_folder,
        device=torch.device("cpu"),
        listener=_ignore,
    )
    mirror = os.environ.get("BITDIAL_DATA_MIRROR")

    def load(part: str) -> Tensor:
        data = DataSpec(split=part, **WIKITEXT) if mirror else DataSpec(split=part)
        documents = load_documents(
            data, field="data", data_folder=data_folder, mirror=Path(mirror) if mirror else None
        )
        windows = build_windows(documents, loaded.tokenizer, max_length=LENGTH)
        return spread(windows, num_windows)

    texts = Texts(load("train"), load("test"), "WikiText-2" if mirror else "bundled text")
    return install_all(loaded.model, quantizer), texts


def run(
    model: ScoredModel, texts: Texts, quantizer: IntegerQuantizer, *, num_random: int, folder: Path
) -> Report:
    """Measure every map at every budget.

    Of the figures, `excess_ratio` is how many times as much log perplexity above the 16-bit model's
    the best of the other maps has as the solved one; it counts for the targets.
    """
    scores = measure_gradient(model, texts.scored, folder).scores
    table = build_table(list_choices(model, quantizer, scores))
    meter = _Meter(model, texts.measured, quantizer)
    figures = {"perplexity.original": meter.original}
    for budget in BUDGETS:
        limit = int(budget * table.num_weights)
        maps = {"solved": build_frontier(table).solve(limit).widths}
        maps["first-layers"] = promote_first(table, limit)
        maps |= {f"random-{seed}": draw_map(table, limit, seed) for seed in range(num_random)}
        excess = {}
        for name, widths in maps.items():
            found = meter.measure(widths)
            figures |= _name_figures(f"{budget:g}.{name}", found, count_bits(table, widths))
            excess[name] = log(found.perplexity.value / meter.original)
        solved = excess.pop("solved")
        figures[f"excess_ratio.{budget:g}"] = min(excess.values()) / solved
    environment = describe_environment(
        ("torch", "transformers"),
        threads=torch.get_num_threads(),
        dtype="float32",
        device="cpu",
        text=texts.name,
        windows=f"{len(texts.measured)} of {texts.measured.shape[1]} tokens",
    )
    return Report("solved_maps", figures, TARGETS, environment)


def list_choices(
    model: ScoredModel, quantizer: IntegerQuantizer, scores: Scores
) -> list[LayerChoices]:
    """Return what every layer can choose from, by its scores."""
    found = []
    for name in model.names:
        shape = LayerShape(name, *model.start.layers[name].weight.shape)
        widths = tuple(sorted(scores[name]))
        losses = tuple(scores[name][width] for width in widths)
        stored = tuple(stored_bits(shape, quantizer, width) for width in widths)
        found.append(LayerChoices(name, shape.num_weights, widths, losses, stored))
    return found


def promote_first(table: Table, limit: int) -> dict[str, int]:
    """Return the map of the published rule: the first layers that fit have the higher width."""
    return _fill(table, limit, (LOW, HIGH), table.layers)


def draw_map(table: Table, limit: int, seed: int) -> dict[str, int]:
    """Return a map whose layers have grown, each by a step, in an order drawn at random."""
    steps = len(RANDOM_WIDTHS) - 1
    order = np.random.default_rng(seed).permutation(np.repeat(table.layers, steps))
    return _fill(table, limit, RANDOM_WIDTHS, map(str, order))


def _fill(table: Table, limit: int, widths: Sequence[int], order: Iterable[str]) -> dict[str, int]:
    """Widen layers in an order, from the first width to the next, where that fits."""
    sizes, found = _read_sizes(table), dict.fromkeys(table.layers, widths[0])
    left = limit - sum(sizes[name][width] for name, width in found.items())
    for name in order:
        wider = widths[widths.index(found[name]) + 1]
        more = sizes[name][wider] - sizes[name][found[name]]
        if more <= left:
            found[name], left = wider, left - more
    return found


def count_bits(table: Table, widths: Widths) -> float:
    """Return the effective bits per weight of a map, scales and zero points included."""
    sizes = _read_sizes(table)
    return sum(sizes[name][width] for name, width in widths.items()) / table.num_weights


def _read_sizes(table: Table) -> dict[str, dict[int, int]]:
    """Return what each layer takes at each width."""
    rows = zip(table.layers, table.widths.tolist(), table.stored_bits.tolist(), strict=True)
    return {name: dict(zip(widths, sizes, strict=True)) for name, widths, sizes in rows}


def _name_figures(name: str, found: LanguageScores, bits: float) -> dict[str, float]:
    if found.divergence is None:
        raise CannotMeasure("the divergence was not measured")
    return {
        f"kl.{name}": found.divergence.value,
        f"perplexity.{name}": found.perplexity.value,
        f"effective_bits.{name}": bits,
    }


class _Meter:
    """Measures maps of a model on the same windows, as an experiment does.

    Attributes:
        original: Perplexity of the 16-bit model.
    """

    @torch.no_grad()
    def __init__(self, model: ScoredModel, windows: Tensor, quantizer: IntegerQuantizer) -> None:
        self._model, self._windows, self._quantizer = model, windows, quantizer
        model.start.apply()
        parts = torch.split(windows, BATCH_SIZE)
        self._teacher = torch.cat([model.split.hidden(part) for part in parts])
        self.original = self._evaluate().perplexity.value

    def measure(self, widths: Widths) -> LanguageScores:
        """Set the layers to a map, measure it, and set them back to the start."""
        layers, start = self._model.start.layers, self._model.start
        settings = {
            name: setting_at(LayerBits(width), self._quantizer) for name, width in widths.items()
        }
        apply_map(layers, settings)
        try:
            return self._evaluate()
        finally:
            start.apply()

    @torch.no_grad()
    def _evaluate(self) -> LanguageScores:
        layers = self._model.start.layers
        with held(layers, torch.float32):
            return evaluate_language_model(
                self._model.split,
                self._windows,
                batch_size=BATCH_SIZE,
                teacher=self._teacher,
                teacher_logits=self._teacher_logits,
                progress=_ignore_both,
            )

    def _teacher_logits(self, hidden: Tensor) -> Tensor:
        with bypassed(self._model.start.layers):
            return self._model.split.logits(hidden)


def _ignore(event: object) -> None:
    del event


def _ignore_both(done: int, total: int) -> None:
    del done, total


if __name__ == "__main__":
    sys.exit(main())
