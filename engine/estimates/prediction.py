"""Size, memory and time of a run before it starts, in one answer. Start with `estimate`."""

from __future__ import annotations

from dataclasses import dataclass

from engine.estimates.duration import estimate_duration
from engine.estimates.memory import estimate_memory
from engine.estimates.size import estimate_size
from engine.estimates.speed import SpeedBasis
from engine.models.shapes import ModelShapes
from engine.specs import Subject


@dataclass(frozen=True)
class Estimate:
    """What a run will need and give.

    Attributes:
        total_bytes: Bytes of the result; exact, but for widths that are yet to be measured, which
            count with their mean.
        original_bytes: Bytes of the model with 16 bits everywhere; exact.
        effective_bits: Bits per weight of the quantized layers, scales and zero points counted.
        size_parts: `total_bytes` by part.
        peak_memory_bytes: Memory at the peak.
        memory_parts: `peak_memory_bytes` by part.
        seconds: Expected time.
        seconds_low: Shortest time to reckon with.
        seconds_high: Longest time to reckon with.
        seconds_parts: `seconds` by stage.
        basis: What the times rest on.
    """

    total_bytes: int
    original_bytes: int
    effective_bits: float
    size_parts: dict[str, int]
    peak_memory_bytes: int
    memory_parts: dict[str, int]
    seconds: float
    seconds_low: float
    seconds_high: float
    seconds_parts: dict[str, float]
    basis: str


def estimate(spec: Subject, shapes: ModelShapes, *, speed: SpeedBasis) -> Estimate:
    """Predict size, memory and time of a run.

    Args:
        spec: A complete spec that fits the model (`engine.layer_fit.check_fit`).
        shapes: The layers of the spec's model.
        speed: What is known of this model on the device the run will use.
    """
    size = estimate_size(spec, shapes)
    memory = estimate_memory(spec, shapes, speed=speed)
    duration = estimate_duration(spec, shapes, speed=speed)
    return Estimate(
        total_bytes=size.total_bytes,
        original_bytes=size.original_bytes,
        effective_bits=size.effective_bits,
        size_parts=size.parts,
        peak_memory_bytes=sum(memory.values()),
        memory_parts=memory,
        seconds=duration.seconds,
        seconds_low=duration.seconds / duration.factor,
        seconds_high=duration.seconds * duration.factor,
        seconds_parts=duration.parts,
        basis=duration.basis,
    )
