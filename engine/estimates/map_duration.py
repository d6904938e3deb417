"""How long one model takes to be measured at many layer maps, and attacked at them.

Every map is measured like a run of its own, with its weights rounded anew. An attack is counted as
products of its soft texts with the model, its 16-bit self and the vocabulary, and as the random
numbers it draws for every token, sample and word. Start with `measure_maps`.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.estimates.benchmarks import Questions, find_questions
from engine.estimates.row_counts import RowCounts
from engine.estimates.speed import SpeedBasis
from engine.estimates.widths import count_kept
from engine.models.shapes import ModelShapes
from engine.specs import GradientAttack, MapEvaluationSpec

MEASURING = ("evaluate", "benchmarks")
PROBABILITY_SECONDS = {"cpu": 5e-8, "cuda": 1e-10}
"""Drawing, normalizing and deriving a word's probability, which one CPU core does alone."""


def measure_maps(
    spec: MapEvaluationSpec,
    shapes: ModelShapes,
    parts: Mapping[str, float],
    *,
    rounding: float,
    forward: float,
    speed: SpeedBasis,
) -> dict[str, float]:
    """Return the seconds of a run's stages, where all that measures is the stage of the maps.

    Args:
        spec: What was asked.
        shapes: The layers of its model.
        parts: Seconds by stage of measuring it once.
        rounding: Seconds to round all weights once.
        forward: Tokens that the model reads in a second.
        speed: The kind of device, and how many texts there are.
    """
    once = sum(parts.get(stage, 0.0) for stage in MEASURING) + rounding * count_kept(spec)
    if isinstance(spec.attack, GradientAttack):
        once += _attack_seconds(spec, spec.attack, shapes, forward=forward, speed=speed)
    kept = {stage: seconds for stage, seconds in parts.items() if stage not in MEASURING}
    return {**kept, "maps": len(spec.maps) * once}


def attacked_tokens(spec: MapEvaluationSpec) -> int:
    """Return about how many tokens a text has that is attacked."""
    return min(spec.evaluation.max_length, _attacked(spec, RowCounts()).tokens)


def weighs_fluency(attack: GradientAttack, shapes: ModelShapes) -> bool:
    """Whether a language model judges the texts: only a decoder has one."""
    return bool(attack.fluency_weight) and shapes.build == "decoder"


def _attack_seconds(
    spec: MapEvaluationSpec,
    attack: GradientAttack,
    shapes: ModelShapes,
    *,
    forward: float,
    speed: SpeedBasis,
) -> float:
    """Return the seconds of attacking every text at one map."""
    tokens = attacked_tokens(spec)
    num_texts = min(attack.num_samples, _attacked(spec, speed.rows).count)
    num_texts = min(num_texts, spec.evaluation.benchmark_limit or num_texts)
    multiplied = sum(layer.num_weights for layer in shapes.layers if not layer.is_embedding)
    words = shapes.vocab_size * shapes.hidden_size / multiplied  # of a pass through the model
    is_fluent = weighs_fluency(attack, shapes)
    is_judged = bool(attack.similarity_weight) or is_fluent
    passes = 2 * (1 + is_judged + words * (1 + is_fluent))  # forward and back
    step = attack.num_gradient_samples * tokens
    drawn = step * shapes.vocab_size * PROBABILITY_SECONDS[speed.device]
    steps = attack.num_steps * (step * passes / forward + drawn)
    return num_texts * (steps + attack.num_tries * tokens / forward)


def _attacked(spec: MapEvaluationSpec, rows: RowCounts) -> Questions:
    """Return the questions of the benchmark whose texts are attacked, the first."""
    return find_questions(next(iter(spec.measured_tasks), ""), rows)
