"""A map as the quantizer of a spec: one width, and a line for each layer that has another.

Start with `write_quantizer`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.specs.layer_bits import UNROUNDED
from tasks.bit_map.content import Content
from tasks.bit_map.ground import Ground

FOLLOWING = ("inputs", "cache")


def write_quantizer(ground: Ground, content: Content) -> dict[str, Any]:
    """Return the fields of a quantizer that gives every layer its width."""
    bits = choose_bits(content, int(ground.quantizer.bits))
    pairs = zip(ground.names, content.widths, strict=True)
    lines = [f"{name}={width}" for name, width in pairs if width != bits]
    return {**write_grid(ground), "bits": bits, "layer_bits": lines}


def write_grid(ground: Ground) -> dict[str, Any]:
    """Return how weights are rounded, without widths; inputs and cache where they are, too."""
    fields = ground.quantizer.model_dump(mode="json", exclude={"bits", "layer_bits", "mixing"})
    return {
        name: value
        for name, value in fields.items()
        if name not in FOLLOWING or value.get("rounding") != "none"
    }


def choose_bits(content: Content, otherwise: int) -> int:
    """Return the width that most layers have; another one where most are not rounded."""
    counts = Counter(bits for bits in content.widths if bits != UNROUNDED)
    return max(counts, key=lambda bits: (counts[bits], bits)) if counts else otherwise
