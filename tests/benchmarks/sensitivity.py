"""Ways to score layers, timed and compared: `python -m tests.benchmarks.sensitivity --json`.

SmolLM2-135M, 210 linear layers, integer groups of 64, from 16 bits; every method on the same
calibration tokens. The gradient scores all layers at {8, 6, 4, 3, 2} bits. The exact ablation
measures layers spread over the model at {2, 4} bits, each pair with and without what the blocks
before it put out kept, in turn, so that whatever else the machine does hits both; a few of them by
the obvious loop as well, which applies a map and evaluates it whole. How long all 210 layers would
take is told from the pairs that were measured; `--layers 210` measures them all. Start with `main`.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from engine.data.corpora import load_documents
from engine.data.windows import build_windows, spread
from engine.evaluation.language_modeling import evaluate_language_model
from engine.events import Event, SensitivityScored
from engine.layers.bit_maps import setting_at
from engine.layers.head import SplitModel
from engine.layers.layer_map import apply_map, bypassed, held
from engine.layers.swap import LayerPlan, install
from engine.layers.width_bank import add_widths
from engine.models.loading import load_model
from engine.sensitivity.ablation import PairMeter
from engine.sensitivity.agreement import compare
from engine.sensitivity.checks import Pair
from engine.sensitivity.gradient_run import GradientText, score_by_gradient
from engine.sensitivity.output_error import score_outputs
from engine.sensitivity.scored_model import ScoredModel
from engine.sensitivity.start_map import build_start
from engine.sensitivity.text_losses import CalibrationText
from engine.sensitivity.units import list_units
from engine.sensitivity.weight_error import score_weights
from engine.specs import (
    Ablation,
    CalibrationSpec,
    IntegerQuantizer,
    ModelSpec,
    NoAdapter,
    SensitivitySpec,
)
from engine.specs.layer_bits import LayerBits
from tests.benchmarks.report import CannotMeasure, Report, describe_environment

WIDTHS = (8, 6, 4, 3, 2)
MEASURED = (2, 4)
BATCH_SIZE = 4
SEED = 0
NUM_OBVIOUS = 6
"""Pairs of the obvious loop: what one takes does not depend on where it is."""
LEAST = 1e-6
"""Scores below count as this much when they are compared, in nats per token."""
TARGETS = {
    "gradient_speed": ">=50",
    "reuse_speed": ">=1.7",
    "largest_difference": "<=0.0001",
    "spearman_2bit": ">=0.8",
}
Scores = dict[str, dict[int, float]]


@dataclass
class Found:
    """What a way of scoring found, and how long it took.

    Attributes:
        seconds: Of everything that depends on the number of pairs, or of all there is.
        fixed: Of what is done once before.
    """

    scores: Scores = field(default_factory=dict)
    seconds: float = 0.0
    fixed: float = 0.0

    @property
    def num_scores(self) -> int:
        """How many pairs were measured."""
        return sum(map(len, self.scores.values()))

    def listen(self, event: Event) -> None:
        """Take note of a divergence or an error."""
        if isinstance(event, SensitivityScored) and event.metric != "log_perplexity":
            self.scores.setdefault(event.unit, {})[event.bits] = event.value


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description="Ways to score layers, timed and compared.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--windows", type=int, default=8, help="of calibration text (8)")
    parser.add_argument("--max-length", type=int, default=256, help="tokens per window (256)")
    parser.add_argument("--layers", type=int, default=42, help="layers to ablate (42)")
    parser.add_argument("--data-folder", type=Path, help="where the converted model is kept")
    asked = parser.parse_args(arguments)
    if min(asked.windows, asked.layers) < 1 or asked.max_length < 8:
        parser.error("--windows and --layers are whole numbers from 1, --max-length from 8")
    try:
        # libraries that write on import must not spoil the output
        with redirect_stdout(sys.stderr), warnings.catch_warnings(), TemporaryDirectory() as spare:
            warnings.simplefilter("ignore")
            model, windows = build(asked.data_folder or Path(spare), asked)
            report = run(model, windows, num_layers=asked.layers, folder=Path(spare))
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((report.to_json() if asked.json else report.to_text()) + "\n")
    return 0


def build(data_folder: Path, asked: argparse.Namespace) -> tuple[ScoredModel, torch.Tensor]:
    """Return the model with its layers at 16 bits, and (N, T) windows of calibration text."""
    loaded = load_model(
        ModelSpec(dtype="float32"),
        data_folder=data_folder,
        device=torch.device("cpu"),
        listener=_ignore,
    )
    data = CalibrationSpec().data
    documents = load_documents(data, field="data", data_folder=data_folder, mirror=None)
    windows = build_windows(documents, loaded.tokenizer, max_length=asked.max_length)
    return install_all(loaded.model, IntegerQuantizer(bits=4, group_size=64)), spread(
        windows, asked.windows
    )


def install_all(model: torch.nn.Module, quantizer: IntegerQuantizer) -> ScoredModel:
    """Put layers into a model that know all widths, and set them to 16 bits."""
    layers = install(model, LayerPlan(quantizer, NoAdapter(), SEED))
    spec = SensitivitySpec(quantizer=quantizer, method=Ablation(), widths=WIDTHS)
    add_widths(layers, WIDTHS, spec)
    model.requires_grad_(requires_grad=False)
    start = build_start(layers, spec, quantizer, dtype=torch.float32)
    return ScoredModel(model, SplitModel(model), start, list_units(list(layers), "layer"))


def run(model: ScoredModel, windows: torch.Tensor, *, num_layers: int, folder: Path) -> Report:
    """Score by all methods."""
    gradient = measure_gradient(model, windows, folder)
    cheap = {"output_error": measure_outputs(model, windows), "weight_error": Found()}
    cheap["weight_error"] = _timed(
        lambda found: score_weights(model, WIDTHS, listener=found.listen, progress=_ignore_both)
    )
    pairs = choose_pairs(model, num_layers)
    kept, whole, obvious = measure_ablations(model, windows, pairs)
    num_pairs = len(model.units) * len(MEASURED)
    share = len(pairs) / num_pairs
    seconds = {
        "gradient_seconds": gradient.seconds,
        "ablation_seconds": whole.fixed + whole.seconds / share,
        "ablation_with_reuse_seconds": kept.fixed + kept.seconds / share,
        "obvious_seconds": obvious.fixed + obvious.seconds * num_pairs / obvious.num_scores,
        "output_error_seconds": cheap["output_error"].seconds,
        "weight_error_seconds": cheap["weight_error"].seconds,
    }
    figures = {
        "gradient_speed": seconds["ablation_seconds"] / gradient.seconds,
        "reuse_speed": seconds["ablation_seconds"] / seconds["ablation_with_reuse_seconds"],
        "obvious_speed": seconds["obvious_seconds"] / seconds["ablation_with_reuse_seconds"],
        "largest_difference": find_difference(kept.scores, whole.scores),
        **correlate(gradient.scores, whole.scores, "spearman"),
        **correlate(cheap["output_error"].scores, whole.scores, "output_error_spearman"),
        **correlate(cheap["weight_error"].scores, whole.scores, "weight_error_spearman"),
        **seconds,
    }
    environment = describe_environment(
        ("torch", "transformers"),
        threads=torch.get_num_threads(),
        dtype="float32",
        device="cpu",
        windows=f"{windows.shape[0]} of {windows.shape[1]} tokens",
        ablation=f"{len(pairs)} pairs measured; seconds of all are told by their share {share:.3f}",
        obvious=f"{obvious.num_scores} of these pairs",
    )
    return Report("sensitivity", figures, TARGETS, environment)


def measure_gradient(model: ScoredModel, windows: torch.Tensor, folder: Path) -> Found:
    """Score all layers at all widths from gradients, as a run does, early scores included."""
    text = GradientText(windows, SEED, folder / "state.safetensors", "benchmark")
    return _timed(
        lambda found: score_by_gradient(
            model, text, WIDTHS, listener=found.listen, progress=_ignore_both
        )
    )


def measure_outputs(model: ScoredModel, windows: torch.Tensor) -> Found:
    """Score all layers at all widths by the error of their outputs."""
    batches = list(torch.split(windows, BATCH_SIZE))
    return _timed(
        lambda found: score_outputs(
            model, batches, WIDTHS, listener=found.listen, progress=_ignore_both
        )
    )


def choose_pairs(model: ScoredModel, num_layers: int) -> list[Pair]:
    """Return layers spread over the model, of all kinds, at the measured widths."""
    units = list(model.units)
    count = min(num_layers, len(units))
    chosen = [units[(2 * place + 1) * len(units) // (2 * count)] for place in range(count)]
    return [Pair(unit, bits) for bits in MEASURED for unit in chosen]


@torch.no_grad()
def measure_ablations(
    model: ScoredModel, windows: torch.Tensor, pairs: Sequence[Pair]
) -> tuple[Found, Found, Found]:
    """Measure pairs with what comes before them kept, without, and some by the obvious loop.

    In turn, so that whatever else the machine does hits all.
    """
    hidden = torch.cat([model.split.hidden(part) for part in torch.split(windows, BATCH_SIZE)])
    text = CalibrationText(windows, hidden, BATCH_SIZE)
    kept, whole, obvious = Found(), Found(), Found()
    loop = ObviousLoop(model, text)
    obvious.fixed = _time(loop.prepare)
    apart = -(-len(pairs) // NUM_OBVIOUS)
    with held(model.start.layers, torch.float32):
        meters = {}
        for found, reuse in ((kept, True), (whole, False)):
            meters[reuse] = PairMeter(model, text, _ignore, reuse=reuse)
            found.fixed = _time(meters[reuse].prepare)
        for place, pair in enumerate(meters[True].sort(pairs)):
            turns = [(kept, True), (whole, False)]
            for found, reuse in turns if place % 2 else reversed(turns):
                # moving along goes once through all blocks, however many pairs are measured
                found.fixed += _time(partial(meters[reuse].approach, pair))
                found.seconds += _time(partial(_measure, meters[reuse], pair, found))
            if place % apart == 0:
                obvious.seconds += _time(partial(loop.measure, pair, obvious))
    return kept, whole, obvious


class ObviousLoop:
    """What an ablation is without `engine.sensitivity`: a map applied and evaluated, each time.

    As evaluations of maps do it, the 16-bit model's logits computed from its hidden states.
    """

    def __init__(self, model: ScoredModel, text: CalibrationText) -> None:
        self._model = model
        self._text = text
        self._start = 0.0

    def prepare(self) -> None:
        """Evaluate the start."""
        self._start = self._evaluate()

    def measure(self, pair: Pair, found: Found) -> None:
        """Apply a map with one unit at another width, evaluate it, and go back."""
        start, names = self._model.start, self._model.units[pair.unit]
        setting = setting_at(LayerBits(pair.bits), start.quantizer)
        apply_map(start.layers, dict.fromkeys(names, setting))
        lost = self._evaluate() - self._start
        start.apply()
        found.scores.setdefault(pair.unit, {})[pair.bits] = lost

    def _evaluate(self) -> float:
        with held(self._model.start.layers, torch.float32):
            scores = evaluate_language_model(
                self._model.split,
                self._text.windows,
                batch_size=BATCH_SIZE,
                teacher=self._text.hidden,
                teacher_logits=self._ask_original,
                progress=_ignore_both,
            )
        if scores.divergence is None:
            raise CannotMeasure("an evaluation needs the hidden states of the 16-bit model")
        return scores.divergence.value

    def _ask_original(self, hidden: torch.Tensor) -> torch.Tensor:
        with bypassed(self._model.start.layers):
            return self._model.split.logits(hidden)


def _measure(meter: PairMeter, pair: Pair, found: Found) -> None:
    for score in meter.measure(pair):
        found.listen(score)


def find_difference(first: Scores, second: Scores) -> float:
    """Return the largest relative difference of two ways to find the same scores."""
    return max(
        abs(value - second[unit][bits]) / max(abs(second[unit][bits]), LEAST)
        for unit, scores in first.items()
        for bits, value in scores.items()
    )


def correlate(first: Scores, second: Scores, name: str) -> dict[str, float]:
    """Return the rank correlation of two ways to score at each measured width."""
    return {
        f"{name}_{each.bits}bit": each.correlation
        for each in compare(first, second)
        if each.bits is not None and each.correlation is not None
    }


def _timed(work: Callable[[Found], object]) -> Found:
    found = Found()
    found.seconds = _time(lambda: work(found))
    return found


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _ignore(event: object) -> None:
    del event


def _ignore_both(done: int, total: int) -> None:
    del done, total


if __name__ == "__main__":
    sys.exit(main())
