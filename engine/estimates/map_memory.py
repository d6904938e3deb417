"""What an attack holds beside the model it attacks. Start with `attack_bytes`."""

from __future__ import annotations

from engine.estimates.map_duration import weighs_fluency
from engine.estimates.task_lengths import TASK_LONGEST
from engine.models.shapes import ModelShapes
from engine.robustness.attackable import SAMPLE_BYTES
from engine.specs import GradientAttack, MapEvaluationSpec, Subject

FLOAT32_BYTES = 4
SAMPLE_COPIES = 4
"""Probabilities, their noise and both gradients; as many again of a language model's."""


def attack_bytes(spec: Subject, shapes: ModelShapes) -> int:
    """Return the bytes of soft texts with what is derived of them; 0 without an attack."""
    if not isinstance(spec, MapEvaluationSpec) or not isinstance(spec.attack, GradientAttack):
        return 0
    copies = SAMPLE_COPIES * (2 if weighs_fluency(spec.attack, shapes) else 1)
    return copies * FLOAT32_BYTES * shapes.vocab_size * _count_soft(spec, spec.attack, shapes)


def count_attacked(spec: Subject, shapes: ModelShapes) -> int:
    """Return the tokens an attack sends through the model and its 16-bit self and back at once."""
    if not isinstance(spec, MapEvaluationSpec) or not isinstance(spec.attack, GradientAttack):
        return 0
    return 2 * _count_soft(spec, spec.attack, shapes)


def _count_soft(spec: MapEvaluationSpec, attack: GradientAttack, shapes: ModelShapes) -> int:
    """Return the soft tokens of a group, all samples counted; those of one text at least."""
    longest = TASK_LONGEST.get(next(iter(spec.measured_tasks), ""), spec.evaluation.max_length)
    text = attack.num_gradient_samples * min(spec.evaluation.max_length, longest)
    fitting = SAMPLE_BYTES // (FLOAT32_BYTES * shapes.vocab_size)
    return max(text, min(fitting, spec.evaluation.per_device_eval_batch_size * text))
