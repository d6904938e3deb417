"""What a sensitivity run works through and holds: units, passes, roundings, kept outputs.

A forward pass over the calibration text is the unit of work: an ablation makes one for every unit
and width, shorter ones where what the blocks before the switched one compute is kept; a gradient
makes about four in all. Start with `scoring_seconds` and `scoring_bytes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from engine.estimates.selection import list_quantized
from engine.estimates.text_lengths import cap_windows
from engine.models.naming import split_name
from engine.models.shapes import LayerShape, ModelShapes
from engine.sensitivity.checks import Pair, list_pairs
from engine.sensitivity.units import list_units
from engine.specs import Ablation, SensitivitySpec
from engine.specs.sensitivity import GradientMethod, OutputErrorMethod, WeightErrorMethod

FLOAT32_BYTES = 4
COUNT_BYTES = 8
"""Of a float64: what is summed for each window."""
BLOCK_NORMS = 2
"""Parts of a block beside its layers that put out a hidden state each."""
GRADIENT_PASSES = 4
"""Forward, back, and the gradient of every weight, squared."""


def list_scored(spec: SensitivitySpec, shapes: ModelShapes) -> tuple[Pair, ...]:
    """Return every unit with every width it is taken to."""
    names = tuple(layer.name for layer in list_quantized(spec, shapes))
    return list_pairs(spec, list_units(names, spec.unit))


def asks_tasks(spec: SensitivitySpec) -> bool:
    """Whether units are measured on tasks, and not on text."""
    return isinstance(spec.method, Ablation) and spec.method.measured_on == "tasks"


def count_calibration(spec: SensitivitySpec) -> int:
    """Return the tokens of the calibration text; 0 where a method reads none.

    A run takes the windows that are there, however many more are asked for.
    """
    if isinstance(spec.method, WeightErrorMethod) or asks_tasks(spec):
        return 0
    asked = spec.calibration
    return asked.max_length * cap_windows(asked.data, asked.max_length, asked.num_samples)


def count_passes(spec: SensitivitySpec, shapes: ModelShapes) -> float:
    """Return how many forward passes over its text a run makes, in whole passes of the model."""
    if isinstance(spec.method, GradientMethod):
        return GRADIENT_PASSES
    if isinstance(spec.method, OutputErrorMethod):
        return 1 + _moment_share(list_quantized(spec, shapes), shapes)
    if not isinstance(spec.method, Ablation):
        return 0
    return 1 + sum(_share(spec, shapes, unit) for unit, _ in list_scored(spec, shapes))


def scoring_seconds(
    spec: SensitivitySpec,
    shapes: ModelShapes,
    *,
    forward: float,
    flops: float,
    rounding: float,
    asked_seconds: float,
) -> float:
    """Return the seconds of scoring every unit at every width.

    Args:
        spec: What was asked.
        shapes: The layers of its model.
        forward: Tokens the model reads in a second.
        flops: Operations in a second, of matrix products.
        rounding: Seconds to round all weights once.
        asked_seconds: Seconds to ask the tasks once, where units are measured on tasks.
    """
    seconds = len(spec.widths) * rounding
    if asks_tasks(spec):
        return seconds + (1 + len(list_scored(spec, shapes))) * asked_seconds
    seconds += count_passes(spec, shapes) * count_calibration(spec) / forward
    if isinstance(spec.method, OutputErrorMethod):
        products = sum(
            2 * each.num_weights * each.in_features for each in list_quantized(spec, shapes)
        )
        seconds += len(spec.widths) * products / flops
    return seconds


def scoring_bytes(spec: SensitivitySpec, shapes: ModelShapes, *, stored: int) -> int:
    """Return what a method holds beside the model at once: squares, moments, or kept outputs.

    Output errors hold the moments of one block, an ablation the outputs of one block and of its
    parts. The parts are counted whole: a machine with little free memory keeps none of them.

    Args:
        spec: What was asked.
        shapes: The layers of its model.
        stored: Bytes of a hidden value.
    """
    layers = list_quantized(spec, shapes)
    if isinstance(spec.method, GradientMethod):
        return FLOAT32_BYTES * sum(layer.num_weights for layer in layers)
    hidden = count_calibration(spec) * shapes.hidden_size * stored
    if isinstance(spec.method, OutputErrorMethod):
        return hidden + _moments_bytes(layers, num_windows=_count_samples(spec))
    if not isinstance(spec.method, Ablation) or asks_tasks(spec):
        return 0
    known = count_calibration(spec) * shapes.hidden_size * FLOAT32_BYTES
    head = FLOAT32_BYTES * shapes.hidden_size * shapes.vocab_size if stored < FLOAT32_BYTES else 0
    held = hidden + known + head  # the 16-bit model's states, what it foretells, the head widened
    if not spec.method.reuse_activations or spec.unit == "kind":
        return held
    parts = count_calibration(spec) * stored * _count_outputs(layers) + BLOCK_NORMS * hidden
    return held + hidden + (parts if spec.unit == "layer" else 0)


def _count_samples(spec: SensitivitySpec) -> int:
    return count_calibration(spec) // spec.calibration.max_length


def _moments_bytes(layers: Sequence[LayerShape], *, num_windows: int) -> int:
    """Return the largest sum over a block of its inputs' moments, and of their squares by window.

    A table has a count for each of its rows instead.
    """
    found = Counter[int | None]()
    linear = [layer for layer in layers if not layer.is_embedding]
    for (_, name), size in _list_inputs(linear):
        found[split_name(name).block] += FLOAT32_BYTES * size**2 + COUNT_BYTES * num_windows * size
    for layer in layers:
        if layer.is_embedding:
            found[None] += COUNT_BYTES * num_windows * layer.out_features
    return max(found.values(), default=0)


def _count_outputs(layers: Sequence[LayerShape]) -> int:
    """Return the numbers per token that the layers of a block put out, of the largest block."""
    found = Counter[int]()
    for layer in layers:
        block = split_name(layer.name).block
        if block is not None:
            found[block] += layer.out_features
    return max(found.values(), default=0)


def count_at_once(spec: SensitivitySpec) -> int:
    """Return the tokens that a method runs through the model at once, forward and back."""
    return spec.calibration.max_length if isinstance(spec.method, GradientMethod) else 0


def _share(spec: SensitivitySpec, shapes: ModelShapes, unit: str) -> float:
    """Return which part of a pass measures a unit: the blocks before it may be kept."""
    place = split_name(unit)
    keeps = isinstance(spec.method, Ablation) and spec.method.reuse_activations
    if not keeps or spec.unit == "kind" or not shapes.num_blocks:
        return 1.0
    inside = _inside_share(shapes)
    if place.block is None:  # the head stands behind all blocks, an embedding before them
        is_table = any(layer.name == unit and layer.is_embedding for layer in shapes.layers)
        return 1.0 if is_table else 1 - inside
    return 1 - inside * place.block / shapes.num_blocks


@lru_cache(maxsize=16)
def _inside_share(shapes: ModelShapes) -> float:
    """Return which part of a pass's products the blocks have."""
    multiplied = [layer for layer in shapes.layers if not layer.is_embedding]
    inside = [layer for layer in multiplied if split_name(layer.name).block is not None]
    return sum(each.num_weights for each in inside) / sum(each.num_weights for each in multiplied)


def _moment_share(layers: Sequence[LayerShape], shapes: ModelShapes) -> float:
    """Return the products of the inputs' second moments, of those of a pass."""
    multiplied = sum(layer.num_weights for layer in shapes.layers if not layer.is_embedding)
    return sum(size**2 for _, size in _list_inputs(layers)) / multiplied


def _list_inputs(layers: Sequence[LayerShape]) -> tuple[tuple[tuple[int, str], int], ...]:
    """Return the distinct inputs of layers: those of a block with one parent module share theirs.

    Attention's queries, keys and values read the same, and so do a gate and what it gates; their
    outputs have inputs of another size, or stand alone.
    """
    found: dict[tuple[int, str], int] = {}
    for place, layer in enumerate(layers):
        parent, _, kind = layer.name.rpartition(".")
        shares = kind in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
        found[(0, parent) if shares else (place + 1, layer.name)] = layer.in_features
    return tuple(found.items())
