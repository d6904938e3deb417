"""A model whose widths are drawn anew for every forward pass, for as long as it is measured.

Whoever computes with the model, benchmarks and attacks alike, does so as if it had one width. The
draws follow from the seed and the order of the passes alone. Start with `random_precision`;
`list_chances` is what is to be expected of it.

Source: Fu et al. 2021, Double-Win Quant (ICML 2021), random precision inference. We differ in that
widths can be drawn by block or layer, and with unequal chances.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from engine.layers.bit_maps import uniform_map
from engine.layers.layer_map import LayerSetting, apply_map, keeping, read_map
from engine.layers.rounded_weight import RoundedWeight
from engine.models.naming import group_of
from engine.specs import QuantizerSpec, RandomMap
from engine.specs.bit_policy import Scope

Layers = Mapping[str, RoundedWeight]
STACKS = ("encoder", "decoder")


def list_chances(wanted: RandomMap) -> dict[int, float]:
    """Return how likely each width is, which sums to 1."""
    weights = wanted.weights or (1.0,) * len(wanted.widths)
    total = sum(weights)
    return {width: weight / total for width, weight in zip(wanted.widths, weights, strict=True)}


@contextmanager
def random_precision(
    model: nn.Module,
    layers: Layers,
    wanted: RandomMap,
    quantizer: QuantizerSpec,
    *,
    seed: int,
    dtype: torch.dtype,
) -> Iterator[None]:
    """Draw the widths of all layers before every forward pass; what was applied comes back after.

    A pass is a call of the model or, from outside, of its body; calls inside of one belong to it.
    An encoder-decoder that writes calls its encoder once and its decoder for every token, each of
    which is a pass of its own. What was cached of earlier tokens stays as it was rounded then. Rows
    of one batch share a pass, and so its draw; a standard error over rows does not know of that.

    Args:
        model: A Transformers model with the layers in it.
        layers: By name; they know all the widths.
        wanted: What is drawn.
        quantizer: By whose rules inputs and cache follow the widths.
        seed: Of the draws.
        dtype: To keep rounded weights in; each width takes their memory once.

    Raises:
        SpecError: When a layer has no such width.
    """
    before = read_map(layers)
    maps = {width: uniform_map(layers, width, quantizer) for width in wanted.widths}
    drawing = _Drawing(layers, maps, wanted, dtype, random.Random(seed))  # noqa: S311 - no secret
    with keeping(layers), ExitStack() as hooks:
        for module in _list_entries(model):
            # before whatever else looks at the widths, as the rounding of the cache does
            drawn = module.register_forward_pre_hook(drawing.enter, prepend=True)
            hooks.callback(drawn.remove)
            hooks.callback(module.register_forward_hook(drawing.leave, always_call=True).remove)
        try:
            yield
        finally:
            apply_map(layers, before)


@dataclass
class _Drawing:
    """Draws, and counts how deep inside a pass the model is."""

    layers: Layers
    maps: Mapping[int, Mapping[str, LayerSetting]]
    wanted: RandomMap
    dtype: torch.dtype
    source: random.Random
    groups: dict[str, list[str]] = field(init=False)
    depth: int = 0

    def __post_init__(self) -> None:
        """List the layers that share a draw."""
        self.groups = {}
        for name in self.maps[self.wanted.widths[0]]:
            self.groups.setdefault(_name_group(name, self.wanted.scope), []).append(name)

    def enter(self, *_: Any) -> None:
        """Begin a pass, or a call inside of one."""
        if self.depth == 0:
            self._draw()
        self.depth += 1

    def leave(self, *_: Any) -> None:
        """End what `enter` began."""
        self.depth -= 1

    def _draw(self) -> None:
        """Set every layer and hold its weight; held weights serve passes with gradients too."""
        chances = list_chances(self.wanted)
        drawn = self.source.choices(list(chances), list(chances.values()), k=len(self.groups))
        settings = {
            name: self.maps[width][name]
            for width, names in zip(drawn, self.groups.values(), strict=True)
            for name in names
        }
        with torch.inference_mode(mode=False), torch.no_grad():
            apply_map(self.layers, settings)
            for layer in self.layers.values():
                layer.hold(self.dtype, trains=False)


def _list_entries(model: Any) -> list[nn.Module]:
    """Return the modules by which a pass can begin: the model, its body, and its two stacks."""
    found = [model, model.base_model]
    if model.config.is_encoder_decoder:
        found += [getattr(model, f"get_{stack}")() for stack in STACKS]
    return list({id(module): module for module in found}.values())


def _name_group(name: str, scope: Scope) -> str:
    """Return the name of what shares a draw with a layer."""
    return "" if scope == "model" else group_of(name, scope)
