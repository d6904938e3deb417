"""What a training step keeps of higher widths for lower ones to follow.

Start with `followed_bytes`.

Kept are, for every microbatch of a step and every configuration somebody still follows, the last
hidden states (logits where the output layer is rounded itself, or where a model writes), logits of
other heads, and the hidden states of all blocks where those are followed.
"""

from __future__ import annotations

from engine.estimates.selection import list_quantized
from engine.estimates.widths import count_passes, find_training
from engine.estimates.workload import longest_row
from engine.models.shapes import ModelShapes
from engine.specs import QatTraining, Subject
from engine.specs.bit_policy import SwitchableBits

FLOAT32_BYTES = 4
SPAN_ENDS = 2


def followed_bytes(spec: Subject, shapes: ModelShapes, stored: int) -> int:
    """Return the most bytes of outputs that are kept at once; 0 where nobody follows.

    Args:
        spec: A complete spec.
        shapes: The layers of its model.
        stored: Bytes of a hidden value.
    """
    training = find_training(spec)
    policy = training.bit_policy if training is not None else None
    if training is None or not isinstance(policy, SwitchableBits):
        return 0
    rows = training.per_device_train_batch_size * training.gradient_accumulation_steps
    row = 0
    if policy.cascade_on != "hidden-states":
        row += _prediction_row(spec, training, shapes, stored)
    if policy.cascade_on != "logits":
        row += longest_row(training) * shapes.num_blocks * shapes.hidden_size * stored
    return count_passes(spec, training).followed * rows * row


def _prediction_row(spec: Subject, training: QatTraining, shapes: ModelShapes, stored: int) -> int:
    """Return the bytes of what is kept of a row's predictions."""
    tokens, head = longest_row(training), spec.model.head
    if head == "classification":
        return 0
    if head == "span-qa":
        return SPAN_ENDS * tokens * FLOAT32_BYTES
    if head == "seq2seq":
        return spec.evaluation.max_new_tokens * shapes.vocab_size * stored
    if _rounds_head(spec, shapes):
        return tokens * shapes.vocab_size * FLOAT32_BYTES
    return tokens * shapes.hidden_size * stored


def _rounds_head(spec: Subject, shapes: ModelShapes) -> bool:
    """Whether the output layer, or the table it shares its weights with, is rounded."""
    heads = {layer.name for layer in shapes.layers[-1:] if not layer.is_embedding}
    names = {shapes.table_name} if shapes.tied else heads
    return any(
        layer.name in names and layer.out_features == shapes.vocab_size
        for layer in list_quantized(spec, shapes)
    )
