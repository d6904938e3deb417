"""What an optimizer step trains at once: a layer map, and whom it follows.

A step may train several, one after another, whose gradients are averaged; `widths_and_ranks` puts
widths and ranks together. Start with `Configuration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.layers.layer_map import LayerSetting

Settings = Mapping[str, LayerSetting]


@dataclass(frozen=True)
class Configuration:
    """One layer map of a step.

    Attributes:
        settings: Setting by layer; layers not named stay as they are.
        width: The width of all layers, for curves; None where they differ or nothing sets it.
        follows: Layer maps of the higher widths whose outputs it is drawn towards.
        trains_head: Whether a head that is trained whole learns from it.
    """

    settings: Settings = field(default_factory=dict)
    width: int | None = None
    follows: tuple[Settings, ...] = ()
    trains_head: bool = True


UNCHANGED = (Configuration(),)
"""The layers as they stand, as the only configuration of a step."""
