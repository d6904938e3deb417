"""How long a run will take, stage by stage, with an interval as wide as the basis is weak.

Measured speeds where there are any; else a rule of thumb: two floating-point operations per
multiplied weight and token forward, twice that backward, at a rate typical of a CPU core or a GPU.
Start with `estimate_duration`.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.estimates.map_duration import measure_maps
from engine.estimates.scoring import scoring_seconds
from engine.estimates.selection import list_adapted, list_observed, list_quantized
from engine.estimates.speed import SpeedBasis
from engine.estimates.widths import trains_through_rounding
from engine.estimates.workload import Workload, count_workload
from engine.initialize.moment_size import cut_layers
from engine.models.shapes import LayerShape, ModelShapes
from engine.specs import (
    DataAware,
    LoftQ,
    MapEvaluationSpec,
    NoAdapter,
    SensitivitySpec,
    Subject,
)

FLOPS_PER_CORE = 4e10
"""Float32 operations per second and core, matrix products of a small model (AVX2 server core)."""
FLOPS_PER_GPU = 3e13
START_SECONDS = 8.0
READ_BYTES_PER_SECOND = 3e8
STEP_SECONDS_PER_WEIGHT = {"cpu": 1e-8, "cuda": 5e-11}
"""Rounding every weight once per step and projecting its gradient, on one core or a GPU."""
COMPENSATION_SECONDS_PER_WEIGHT = {"cpu": 3e-7, "cuda": 1e-8}
"""One more round of a data-aware start, on one core or a GPU."""
SENSITIVITY_PASSES = 4
"""Forward passes that a token costs where layers are scored: back, and each weight's gradient."""
SENSITIVITY_WIDTHS = 7
"""How often every weight is rounded to score it."""
HISTOGRAM_ROUNDINGS = 3
"""What it takes to tell a layer's ranges and histogram, in roundings of its weights."""
CALIBRATION_PASSES = 6
"""Forward passes that a calibration token costs in a data-aware start, solving included."""
LOFTQ_PRODUCTS = 20
"""Products of a weight with a matrix of the adapter's rank in a round of LoftQ."""
FACTOR_RULE_OF_THUMB = 3.0
FACTOR_GUESSED_TEXT = 2.0
FACTOR_ONE_RUN = 1.6
FACTOR_MANY_RUNS = 1.25
MANY_RUNS = 3


@dataclass(frozen=True)
class DurationEstimate:
    """Seconds of a run.

    Attributes:
        parts: Seconds of "load", "teach", "initialize", "train", "evaluate" and, where asked,
            "benchmarks", "sensitivity" and "range-test"; of an evaluation of maps all that is
            measured is "maps", of a sensitivity run
            "sensitivity", after "facts" of the layers.
        factor: The true time is expected within total / factor and total × factor.
        basis: What the numbers rest on, as a sentence.
    """

    parts: dict[str, float]
    factor: float
    basis: str

    @property
    def seconds(self) -> float:
        """Seconds of the whole run."""
        return sum(self.parts.values())


def estimate_duration(spec: Subject, shapes: ModelShapes, *, speed: SpeedBasis) -> DurationEstimate:
    """Predict the seconds of every stage."""
    if isinstance(spec, SensitivitySpec):
        return _estimate_scoring(spec, shapes, speed)
    work = count_workload(spec, rows=speed.rows)
    flops = FLOPS_PER_GPU if speed.device == "cuda" else FLOPS_PER_CORE * speed.num_cores
    num_multiplied = sum(layer.num_weights for layer in shapes.layers if not layer.is_embedding)
    forward = speed.evaluate_tokens_per_second or flops / (2 * num_multiplied)
    calibration = speed.calibration_tokens_per_second or forward / CALIBRATION_PASSES
    parts = {
        "load": speed.load_seconds or _load_seconds(shapes),
        "teach": work.teach_tokens / forward,
        "initialize": _calibrating_seconds(spec, shapes, work, forward=forward, rate=calibration)
        + _rounding_seconds(list_quantized(spec, shapes), speed)
        + _decomposing_seconds(spec, shapes, speed),
        "train": _train_seconds(spec, shapes, work, speed),
        "evaluate": work.evaluate_tokens / forward,
    }
    if work.sensitivity_tokens:
        rounding = SENSITIVITY_WIDTHS * _rounding_seconds(list_quantized(spec, shapes), speed)
        parts["sensitivity"] = SENSITIVITY_PASSES * work.sensitivity_tokens / forward + rounding
    if work.benchmark_tokens:
        asked = speed.benchmark_tokens_per_second or forward
        parts["benchmarks"] = work.benchmark_tokens / asked
    if work.trial_tokens:
        parts["range-test"] = _trial_seconds(spec, shapes, work, speed)
    if isinstance(spec, MapEvaluationSpec):
        rounding = _rounding_seconds(list_quantized(spec, shapes), speed)
        read = forward if work.evaluate_tokens else speed.benchmark_tokens_per_second or forward
        parts = measure_maps(spec, shapes, parts, rounding=rounding, forward=read, speed=speed)
    factor, basis = _judge(work, speed)
    return DurationEstimate(parts, factor, basis)


def time_scoring(spec: SensitivitySpec, shapes: ModelShapes, speed: SpeedBasis) -> float:
    """Return the seconds of scoring units by the rule of thumb, whatever was measured."""
    work = count_workload(spec, rows=speed.rows)
    flops = FLOPS_PER_GPU if speed.device == "cuda" else FLOPS_PER_CORE * speed.num_cores
    num_multiplied = sum(layer.num_weights for layer in shapes.layers if not layer.is_embedding)
    forward = flops / (2 * num_multiplied)
    return scoring_seconds(
        spec,
        shapes,
        forward=forward,
        flops=flops,
        rounding=_rounding_seconds(list_quantized(spec, shapes), speed),
        asked_seconds=work.benchmark_tokens / forward,
    )


def _estimate_scoring(
    spec: SensitivitySpec, shapes: ModelShapes, speed: SpeedBasis
) -> DurationEstimate:
    """Predict the stages of a sensitivity run: the rule of thumb, corrected by its like."""
    work = count_workload(spec, rows=speed.rows)
    rounding = _rounding_seconds(list_quantized(spec, shapes), speed)
    flops = FLOPS_PER_GPU if speed.device == "cuda" else FLOPS_PER_CORE * speed.num_cores
    num_multiplied = sum(layer.num_weights for layer in shapes.layers if not layer.is_embedding)
    forward = speed.evaluate_tokens_per_second or flops / (2 * num_multiplied)
    parts = {
        "load": speed.load_seconds or _load_seconds(shapes),
        "teach": work.teach_tokens / forward,
        "initialize": (len(spec.widths) + 1) * rounding,
        "facts": (len(spec.widths) + HISTOGRAM_ROUNDINGS) * rounding,
        "sensitivity": time_scoring(spec, shapes, speed) * (speed.scoring_factor or 1.0),
    }
    factor, basis = FACTOR_RULE_OF_THUMB, "a rule of thumb; no run by this method here yet"
    if speed.scoring_factor is not None:
        many = speed.num_scored > 1
        factor = FACTOR_MANY_RUNS if speed.num_scored >= MANY_RUNS else FACTOR_ONE_RUN
        count = f"{speed.num_scored} sensitivity run{'s' if many else ''}"
        basis = f"{count} of this model by this method on this device"
    if work.is_guess:
        factor *= FACTOR_GUESSED_TEXT
        basis += "; the length of the text is a guess"
    return DurationEstimate(parts, factor, basis)


def _load_seconds(shapes: ModelShapes) -> float:
    return START_SECONDS + 2 * shapes.num_parameters / READ_BYTES_PER_SECOND


def _train_seconds(spec: Subject, shapes: ModelShapes, work: Workload, speed: SpeedBasis) -> float:
    """Return measured seconds, or those of the tokens' products and of rounding the weights."""
    if speed.train_tokens_per_second:
        return work.train_work / speed.train_tokens_per_second
    rounded = list_quantized(spec, shapes) or list_adapted(spec, shapes)
    rounding = work.roundings * _rounding_seconds(rounded, speed)
    return work.train_work * _token_seconds(spec, shapes, speed) + rounding


def _trial_seconds(spec: Subject, shapes: ModelShapes, work: Workload, speed: SpeedBasis) -> float:
    """Return the seconds of a range test, which trains like the training after it."""
    trained = _train_seconds(spec, shapes, work, speed)
    return trained * work.trial_tokens / work.train_work


def _token_seconds(spec: Subject, shapes: ModelShapes, speed: SpeedBasis) -> float:
    """Return a token's time forward, for gradients of inputs and for those of rounded weights."""
    rounded = list_quantized(spec, shapes) or list_adapted(spec, shapes)
    learning = rounded if trains_through_rounding(spec) else ()
    num_trained = sum(layer.num_weights for layer in learning)
    num_multiplied = sum(layer.num_weights for layer in shapes.layers if not layer.is_embedding)
    flops = FLOPS_PER_GPU if speed.device == "cuda" else FLOPS_PER_CORE * speed.num_cores
    return (4 * num_multiplied + 2 * num_trained) / flops


def _calibrating_seconds(
    spec: Subject, shapes: ModelShapes, work: Workload, *, forward: float, rate: float
) -> float:
    """Return the time over calibration text; each further part of the model is another pass."""
    if not work.calibration_tokens:
        return 0.0
    passes = len(cut_layers(list_observed(spec, shapes)))
    return work.calibration_tokens * (1 / rate + (passes - 1) / forward)


def _rounding_seconds(layers: tuple[LayerShape, ...], speed: SpeedBasis) -> float:
    """Return the time to round every weight of these layers once."""
    cores = speed.num_cores if speed.device == "cpu" else 1
    num_weights = sum(layer.num_weights for layer in layers)
    return num_weights * STEP_SECONDS_PER_WEIGHT[speed.device] / cores


def _decomposing_seconds(spec: Subject, shapes: ModelShapes, speed: SpeedBasis) -> float:
    """Return the time of rounding and fitting parallel adapters in turn."""
    if isinstance(spec.adapter, NoAdapter) or spec.adapter.placement == "absorbed":
        return 0.0
    layers = list_adapted(spec, shapes)
    if isinstance(spec.initialization, DataAware):
        cores = speed.num_cores if speed.device == "cpu" else 1
        weights = sum(layer.num_weights for layer in layers) * (spec.initialization.iterations - 1)
        return weights * COMPENSATION_SECONDS_PER_WEIGHT[speed.device] / cores
    if not isinstance(spec.initialization, LoftQ):
        return 0.0
    flops = FLOPS_PER_GPU if speed.device == "cuda" else FLOPS_PER_CORE * speed.num_cores
    num_weights = sum(layer.num_weights for layer in layers)
    products = 2 * LOFTQ_PRODUCTS * num_weights * spec.adapter.max_rank / flops
    return spec.initialization.iterations * (products + _rounding_seconds(layers, speed))


def _judge(work: Workload, speed: SpeedBasis) -> tuple[float, str]:
    """Return how far off the estimate may be, and what it rests on."""
    asked = speed.evaluate_tokens_per_second
    if not work.evaluate_tokens:  # another head than causal-lm is asked its task alone
        asked = speed.benchmark_tokens_per_second
    is_measured = asked is not None and (
        speed.train_tokens_per_second is not None or not work.train_tokens
    )
    if speed.num_runs == 0:
        factor, basis = FACTOR_RULE_OF_THUMB, "a rule of thumb; no run here yet"
    else:
        count = f"{speed.num_runs} run{'s' if speed.num_runs > 1 else ''}"
        factor = FACTOR_MANY_RUNS if speed.num_runs >= MANY_RUNS else FACTOR_ONE_RUN
        basis = f"{count} of this model on this device"
        if not is_measured:
            factor = FACTOR_RULE_OF_THUMB
            basis += "; training by a rule of thumb" if work.train_tokens else ""
    if work.is_guess:
        factor *= FACTOR_GUESSED_TEXT
        basis += "; the length of the text is a guess"
    return factor, basis
