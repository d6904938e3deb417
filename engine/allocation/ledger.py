"""Where the bytes of a model go under a layer map: every part, exact. Start with `write_ledger`.

The same bytes as `engine.estimates.size` and `engine.measured_size` count for a run with this map.
What these call unquantized is told apart here, and the map's own layers at 16 bits are weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.allocation.stored import BYTES_UNQUANTIZED, count_parts
from engine.errors import SpecError
from engine.estimates.size import count_parallel
from engine.models.shapes import HEADS, LayerShape, ModelShapes
from engine.specs import NoAdapter, Subject
from engine.specs.adapter import AdapterSpec
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer

PARTS = ("weights", "scales", "zero_points", "embeddings", "head", "other", "adapters")


@dataclass(frozen=True)
class Ledger:
    """Bytes of a model under a layer map.

    Attributes:
        parts: Bytes by part: of the map's layers "weights" (codes, and whole weights where the map
            says 16), "scales" and "zero_points"; of what is outside it "embeddings", "head"
            (nothing where it is tied to the embedding) and "other" (norms, biases and the rest);
            and "adapters" that stay beside the weights.
        total: The sum.
        original: The model with 16 bits everywhere.
        effective_bits: Bits per weight over the layers of the map, scales and zero points counted,
            those at 16 bits included; 16 where the map is empty. What a budget in bits is of.
        nominal_bits: The mean width over their weights.
    """

    parts: dict[str, int]
    total: int
    original: int
    effective_bits: float
    nominal_bits: float


def write_ledger(
    shapes: ModelShapes,
    quantizer: WeightQuantizer,
    widths: Mapping[str, int],
    *,
    adapter: AdapterSpec | None = None,
) -> Ledger:
    """Count the bytes of every part.

    Args:
        shapes: The layers of the model.
        quantizer: How layers are rounded.
        widths: Width by layer; layers that are not in it keep 16 bits. A tied head counts with the
            embedding, under the embedding's name.
        adapter: The low-rank pairs, at the ranks that are reported; those that are absorbed weigh
            nothing.

    Raises:
        SpecError: At "layers", when the map names a layer without weights of its own.
    """
    layers = {layer.name: layer for layer in shapes.own_layers}
    unknown = next((name for name in widths if name not in layers), None)
    if unknown is not None:
        raise SpecError.at(
            "layers", f"there is no layer {unknown}; layers are named like {shapes.layers[-1].name}"
        )
    parts = dict.fromkeys(PARTS, 0)
    for name in widths:
        counted = count_parts(layers[name], quantizer, widths[name])
        for part, count in counted._asdict().items():
            parts[part] += count
    stored = sum(parts.values())
    for layer in shapes.own_layers:
        if layer.name not in widths:
            parts[_name_part(layer)] += layer.num_weights * BYTES_UNQUANTIZED
    parts["other"] += shapes.other_parameters * BYTES_UNQUANTIZED
    parts["adapters"] = _count_adapters(shapes, quantizer, adapter)
    num_weights = sum(layers[name].num_weights for name in widths)
    nominal = sum(layers[name].num_weights * width for name, width in widths.items())
    return Ledger(
        parts=parts,
        total=sum(parts.values()),
        original=shapes.num_parameters * BYTES_UNQUANTIZED,
        effective_bits=8 * stored / num_weights if num_weights else float(BITS_UNQUANTIZED),
        nominal_bits=nominal / num_weights if num_weights else float(BITS_UNQUANTIZED),
    )


def _name_part(layer: LayerShape) -> str:
    """Return what a layer outside the map counts as."""
    if layer.is_embedding:
        return "embeddings"
    return "head" if layer.name in HEADS else "other"


def _count_adapters(
    shapes: ModelShapes, quantizer: WeightQuantizer, adapter: AdapterSpec | None
) -> int:
    """Return the bytes of adapters that stay beside the weights."""
    if adapter is None or isinstance(adapter, NoAdapter):
        return 0
    subject = Subject(quantizer=quantizer, adapter=adapter)
    return count_parallel(subject, shapes) * BYTES_UNQUANTIZED
