"""A model at its start map, from which some layers are taken elsewhere for a while.

Weights at the start are computed once and kept; a switch computes those of the switched layers
alone. Start with `StartMap`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from engine.layers.bit_maps import setting_at, uniform_map
from engine.layers.layer_map import LayerSetting, apply_map, read_map
from engine.layers.swap import Layers
from engine.specs import SensitivitySpec
from engine.specs.layer_bits import LayerBits, check_named, find_bits
from engine.specs.quantizer import WeightQuantizer


def build_start(
    layers: Layers, spec: SensitivitySpec, quantizer: WeightQuantizer, *, dtype: torch.dtype
) -> StartMap:
    """Return the start map a spec asks for, and set the layers to it.

    At 16 bits without lines nothing at all is rounded, inputs and cache included; otherwise these
    follow the quantizer's rules. The quantizer's own layer map plays no part but for the layers it
    leaves at 16 bits, which cannot be rounded.

    Raises:
        SpecError: At "start_map", when a line names no layer.
    """
    check_named(spec.start_map, layers, field="start_map")
    settings = uniform_map(layers, spec.start_bits, quantizer)
    for name, layer in layers.items():
        found = find_bits(spec.start_map, name)
        if found is not None and layer.ranges is not None:
            settings[name] = setting_at(found, quantizer)
    start = StartMap(layers, settings, quantizer, dtype)
    start.apply()
    return start


@dataclass(frozen=True)
class StartMap:
    """The layers of a model and where they stand before anything changes.

    Attributes:
        layers: All installed layers, by name; they know every width.
        settings: Of all of them at the start.
        quantizer: By whose rules inputs and cache follow the widths.
        dtype: To keep rounded weights in.
    """

    layers: Layers
    settings: Mapping[str, LayerSetting]
    quantizer: WeightQuantizer
    dtype: torch.dtype

    def apply(self) -> None:
        """Set every layer to its start; ranks stay as they are."""
        apply_map(self.layers, self.settings)

    def hold(self, names: Sequence[str] | None = None) -> None:
        """Compute the rounded weights of some layers ahead, or of all."""
        for name in self.layers if names is None else names:
            self.layers[name].hold(self.dtype, trains=False)

    def release(self) -> None:
        """Forget the weights that were computed ahead."""
        for layer in self.layers.values():
            layer.release()

    @contextmanager
    def switched(self, names: Sequence[str], bits: int) -> Iterator[None]:
        """Take some layers to a width for a while, with inputs and cache by the quantizer's rules.

        Their rounded weights are computed ahead; what was computed of the start comes back after.

        Raises:
            SpecError: When a layer has no such width.
        """
        chosen = {name: self.layers[name] for name in names}
        before = read_map(chosen)
        held = {name: layer.held for name, layer in chosen.items()}
        setting = setting_at(LayerBits(bits), self.quantizer)
        apply_map(chosen, dict.fromkeys(chosen, setting))
        try:
            self.hold(names)
            yield
        finally:
            apply_map(chosen, before)
            for name, layer in chosen.items():
                layer.held = held[name]
