"""How much memory a run needs at its peak, with its parts. Start with `estimate_memory`.

On a CPU the resident memory of the process, libraries and mapped files included; on a GPU what its
allocator hands out. The parts are added up although not all peak at once, so the sum errs upwards.

Measured (SmolLM2-135M, CPU, float32): libraries 0.39 GB, after loading 1.17 GB (weights 0.54 GB and
the mapped float16 file 0.27 GB), evaluation of 4 × 256 tokens 1.36 GB (estimated
1.47), training with rank 16 on 4 × 256 tokens 3.46 GB (estimated 3.68).
"""

from __future__ import annotations

from engine.allocation.stored import count_groups
from engine.estimates.followed import followed_bytes
from engine.estimates.map_memory import attack_bytes, count_attacked
from engine.estimates.row_counts import RowCounts
from engine.estimates.scoring import asks_tasks, count_at_once, scoring_bytes
from engine.estimates.selection import list_adapted, list_observed, list_quantized
from engine.estimates.speed import SpeedBasis
from engine.estimates.widths import (
    count_adapters,
    count_kept,
    count_ranges,
    find_training,
    trains_through_rounding,
)
from engine.estimates.workload import count_workload, longest_row
from engine.initialize.moment_size import cut_layers, moment_bytes
from engine.models.naming import split_name
from engine.models.shapes import LayerShape, ModelShapes
from engine.specs import (
    DataAware,
    FloatQuantizer,
    IntegerQuantizer,
    NoAdapter,
    SensitivitySpec,
    Subject,
)
from engine.specs.quantizer import find_measured_mixing
from engine.specs.subject import HEADS_TRAINED_WHOLE

INTERPRETER_BYTES = 400_000_000
FLOAT32_BYTES = 4
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
LOGIT_ROWS = 256
"""Rows of logits computed at once, in evaluation; training takes fewer."""
LOGIT_COPIES = 4
TARGET_BYTES_PER_TOKEN = 384
"""64 teacher tokens of 4 bytes with log-probabilities of 2."""
TRAINED_COPIES = 5
"""Parameter, gradient, both moments of Adam, and the optimizer's scratch."""
BLOCK_EXTRAS = 6
"""Hidden-sized tensors a block keeps beside the inputs and outputs of its layers."""


def estimate_memory(spec: Subject, shapes: ModelShapes, *, speed: SpeedBasis) -> dict[str, int]:
    """Return bytes by part; their sum is the estimate of the peak."""
    is_cpu = speed.device == "cpu"
    stored = _DTYPE_BYTES.get(spec.model.dtype, 4 if is_cpu else 2)
    multiplied = FLOAT32_BYTES if is_cpu else stored
    mapped_file = 2 * shapes.num_parameters if is_cpu else 0
    rounded = _rounded(spec, shapes)
    return {
        "interpreter": INTERPRETER_BYTES if is_cpu else 0,
        "base_weights": stored * shapes.num_parameters + mapped_file,
        "rounded_weights": multiplied
        * count_kept(spec)
        * sum(layer.num_weights for layer in rounded),
        "weight_gradients": _gradient_bytes(spec, rounded),
        "trained": _trained_bytes(spec, shapes),
        "calibration": _calibration_bytes(spec, shapes),
        "sensitivity": _sensitivity_bytes(spec, shapes, stored),
        "activations": _activation_bytes(spec, shapes, stored),
        "predictions": _prediction_bytes(spec, shapes, stored, rows=speed.rows),
        "followed": followed_bytes(spec, shapes, stored),
        "attack": attack_bytes(spec, shapes),
    }


def _rounded(spec: Subject, shapes: ModelShapes) -> tuple[LayerShape, ...]:
    """Return the layers whose effective weight stands beside the frozen one."""
    return list_quantized(spec, shapes) or list_adapted(spec, shapes)


def _gradient_bytes(spec: Subject, rounded: tuple[LayerShape, ...]) -> int:
    """Return what dense gradients take: all at once over microbatches, else a layer's at a time."""
    training = find_training(spec)
    if training is None or not trains_through_rounding(spec) or not rounded:
        return 0
    sizes = [FLOAT32_BYTES * layer.num_weights for layer in rounded]
    return sum(sizes) if training.gradient_accumulation_steps > 1 else 3 * max(sizes)


def _trained_bytes(spec: Subject, shapes: ModelShapes) -> int:
    """Return adapters and ranges of all widths in float32, those that train with all copies."""
    training = find_training(spec)
    num_ranges = num_trained = 0
    if not isinstance(spec.quantizer, FloatQuantizer):
        count = sum(count_groups(layer, spec.quantizer) for layer in list_quantized(spec, shapes))
        is_integer = isinstance(spec.quantizer, IntegerQuantizer)
        each = 2 if is_integer and spec.quantizer.has_zero_points else 1
        num_ranges = each * count * count_ranges(spec)
        if is_integer and training is not None and training.range_learning_rate:
            num_trained, num_ranges = num_ranges, 0
    if not isinstance(spec.adapter, NoAdapter):
        sides = (each.out_features + each.in_features for each in list_adapted(spec, shapes))
        num_trained += count_adapters(spec) * spec.adapter.max_rank * sum(sides)
    num_trained += _count_head(spec, shapes)
    copies = TRAINED_COPIES if training is not None else 1
    return FLOAT32_BYTES * (num_trained * copies + num_ranges)


def _count_head(spec: Subject, shapes: ModelShapes) -> int:
    """Return the weights of a head that is trained whole: what follows the blocks unrounded."""
    if spec.model.head not in HEADS_TRAINED_WHOLE:
        return 0
    rounded = {layer.name for layer in list_quantized(spec, shapes)}
    return sum(
        layer.num_weights
        for layer in shapes.layers
        if not layer.is_embedding
        and split_name(layer.name).block is None
        and layer.name not in rounded
    )


def _calibration_bytes(spec: Subject, shapes: ModelShapes) -> int:
    """Return the moments of layers' inputs that a data-aware start holds at once."""
    if not isinstance(spec.initialization, DataAware):
        return 0
    sizes = list_observed(spec, shapes)
    parts = cut_layers(sizes)
    return max(sum(moment_bytes(name, sizes[name]) for name in part) for part in parts)


def _sensitivity_bytes(spec: Subject, shapes: ModelShapes, stored: int) -> int:
    """Return what scoring layers holds; the squared gradients of weights in an experiment."""
    if isinstance(spec, SensitivitySpec):
        return scoring_bytes(spec, shapes, stored=stored)
    if find_measured_mixing(spec.quantizer) is None:
        return 0
    return FLOAT32_BYTES * sum(layer.num_weights for layer in list_quantized(spec, shapes))


def _activation_bytes(spec: Subject, shapes: ModelShapes, stored: int) -> int:
    """Return what a microbatch keeps for its backward pass, or one block's if nothing trains."""
    inside = [layer for layer in shapes.layers if split_name(layer.name).block is not None]
    num_blocks = max(1, shapes.num_blocks)
    sides = sum(layer.out_features + layer.in_features for layer in inside)
    per_token = sides + BLOCK_EXTRAS * shapes.hidden_size * num_blocks
    evaluation = spec.evaluation
    eval_tokens = evaluation.per_device_eval_batch_size * evaluation.max_length
    if isinstance(spec, SensitivitySpec) and not asks_tasks(spec):
        eval_tokens = evaluation.per_device_eval_batch_size * spec.calibration.max_length
    needed = eval_tokens * per_token // num_blocks
    if isinstance(spec, SensitivitySpec):
        needed = max(needed, count_at_once(spec) * per_token)
    mixing = find_measured_mixing(spec.quantizer)
    if mixing is not None:  # one window at a time runs forward and back
        needed = max(needed, mixing.max_length * per_token)
    training = find_training(spec)
    if training is not None:
        tokens = training.per_device_train_batch_size * longest_row(training)
        needed = max(needed, tokens * per_token)
    needed = max(needed, count_attacked(spec, shapes) * per_token)
    return stored * needed


def _prediction_bytes(spec: Subject, shapes: ModelShapes, stored: int, *, rows: RowCounts) -> int:
    """Return a piece of logits with its copies, and what is kept of the teacher."""
    if spec.model.head != "causal-lm":
        return _head_bytes(spec, shapes)
    work = count_workload(spec, rows=rows)
    if isinstance(spec, SensitivitySpec) and not work.sensitivity_tokens:
        return 0
    logits = LOGIT_COPIES * LOGIT_ROWS * shapes.vocab_size * FLOAT32_BYTES
    hidden = work.evaluate_tokens * shapes.hidden_size * stored
    kept_hidden = hidden if spec.evaluation.divergence else 0
    target_tokens = work.teach_tokens - (work.evaluate_tokens if spec.evaluation.divergence else 0)
    return logits + kept_hidden + target_tokens * TARGET_BYTES_PER_TOKEN


def _head_bytes(spec: Subject, shapes: ModelShapes) -> int:
    """Return what a head puts out: next to nothing, but for texts logits of a whole microbatch.

    Transformers computes them at once; a text is counted as long as what it is written from.
    """
    training = find_training(spec)
    if spec.model.head != "seq2seq" or training is None:
        return 0
    tokens = training.per_device_train_batch_size * longest_row(training)
    return LOGIT_COPIES * tokens * shapes.vocab_size * FLOAT32_BYTES
