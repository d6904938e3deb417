"""What each layer can choose from, pins, limits and groups worked in. Start with `build_table`.

Layers that share a width become one item, whose losses and sizes are the sums of theirs; a pin or
a limit leaves an item fewer widths. What searches for a map sees arrays alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.errors import SpecError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LayerChoices:
    """The widths a layer can have; only those whose loss is known.

    Attributes:
        name: The layer.
        num_weights: Its weights.
        widths: Widths to choose from, one or more, each once.
        losses: What is lost at each width; finite, may be negative.
        stored_bits: What the layer takes at each width, scales and zero points included.
    """

    name: str
    num_weights: int
    widths: tuple[int, ...]
    losses: tuple[float, ...]
    stored_bits: tuple[int, ...]


@dataclass(frozen=True)
class Limits:
    """What a person knows better.

    Attributes:
        pins: Width by layer that must be kept.
        least: The lowest width a layer may have.
        most: The highest.
        groups: Layers that share a width; groups with a layer in common count as one.
    """

    pins: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Table:
    """The items to choose widths for; rows shorter than others repeat their last choice.

    Attributes:
        layers: Every layer, in the order of the choices.
        names: Layers of each of I items.
        widths: (I, C) widths.
        losses: (I, C) what is lost at each.
        stored_bits: (I, C) what each takes.
        num_weights: Weights of all layers.
    """

    layers: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    widths: Ints
    losses: Floats
    stored_bits: Ints
    num_weights: int

    @property
    def smallest_bits(self) -> int:
        """The least that all layers can take together."""
        return int(self.stored_bits.min(axis=1).sum())

    @property
    def largest_bits(self) -> int:
        """The most that all layers can take together."""
        return int(self.stored_bits.max(axis=1).sum())

    def name_widths(self, choices: Ints) -> dict[str, int]:
        """Return the width of every layer, in order, where each item has one of its choices.

        Args:
            choices: (I,) place of each item's choice.
        """
        widths = self.widths[np.arange(len(self.names)), choices].tolist()
        found = {
            name: width for names, width in zip(self.names, widths, strict=True) for name in names
        }
        return {name: found[name] for name in self.layers}


def build_table(choices: Iterable[LayerChoices], limits: Limits | None = None) -> Table:
    """Merge layers that share a width and drop the widths that pins and limits rule out.

    Raises:
        SpecError: At "pins", "limits" or "groups", naming the layers: a pin, limit or group names
            a layer there is not, a pin is no measured width, contradicts a limit or another pin of
            its group, or a layer or group is left without a width. At "sensitivity", when there is
            no layer, or a loss is not a finite number.
    """
    limits = limits or Limits()
    layers = {each.name: each for each in choices}
    _check_layers(layers, limits)
    items = [
        _merge([layers[name] for name in names], limits)
        for names in _list_groups(layers, limits.groups)
    ]
    most = max(len(each.widths) for each in items)
    return Table(
        layers=tuple(layers),
        names=tuple(each.names for each in items),
        widths=np.array([_fill(each.widths, most) for each in items], dtype=np.int64),
        losses=np.array([_fill(each.losses, most) for each in items], dtype=np.float64),
        stored_bits=np.array([_fill(each.stored_bits, most) for each in items], dtype=np.int64),
        num_weights=sum(each.num_weights for each in layers.values()),
    )


class _Item(NamedTuple):
    """Layers that share a width; attributes as those of `LayerChoices`."""

    names: tuple[str, ...]
    widths: tuple[int, ...]
    losses: tuple[float, ...]
    stored_bits: tuple[int, ...]


def _fill(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    return values + values[-1:] * (count - len(values))


def _check_layers(layers: Mapping[str, LayerChoices], limits: Limits) -> None:
    """Refuse what no map can come of, layer by layer."""
    if not layers:
        raise SpecError.at("sensitivity", "there is no layer with a score; measure one or more")
    for layer in layers.values():
        if not layer.widths or not all(map(isfinite, layer.losses)):
            raise SpecError.at(
                "sensitivity",
                f"{layer.name} has no finite score at some width; leave such widths out and give "
                "each layer one or more",
            )
    named = {
        "pins": limits.pins,
        "limits": {**limits.least, **limits.most},
        "groups": [name for group in limits.groups for name in group],
    }
    for place, names in named.items():
        unknown = next((name for name in names if name not in layers), None)
        if unknown is not None:
            raise SpecError.at(
                place, f"there is no layer {unknown}; layers are named like {next(iter(layers))}"
            )


def _list_groups(layers: Iterable[str], groups: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return every layer once, with those it shares its width with, in the layers' order."""
    members: dict[str, list[str]] = {name: [name] for name in layers}
    for group in groups:
        first = members[group[0]] if group else []
        for name in group[1:]:
            other = members[name]
            if other is not first:
                first.extend(other)
                members.update(dict.fromkeys(other, first))
    place = {name: number for number, name in enumerate(members)}
    seen = {id(each): each for each in members.values()}
    return [tuple(sorted(each, key=place.__getitem__)) for each in seen.values()]


def _merge(layers: Sequence[LayerChoices], limits: Limits) -> _Item:
    """Add up layers at the widths that all of them can have."""
    allowed = [_list_allowed(layer, limits) for layer in layers]
    if len(layers) == 1 and len(allowed[0]) == len(layers[0].widths):
        (layer,) = layers
        return _Item((layer.name,), layer.widths, layer.losses, layer.stored_bits)
    widths = sorted(set(allowed[0]).intersection(*allowed[1:]))
    if not widths:
        raise _contradiction(layers, allowed, limits)
    losses = [dict(zip(layer.widths, layer.losses, strict=True)) for layer in layers]
    stored = [dict(zip(layer.widths, layer.stored_bits, strict=True)) for layer in layers]
    return _Item(
        names=tuple(layer.name for layer in layers),
        widths=tuple(widths),
        losses=tuple(sum(of_layer[width] for of_layer in losses) for width in widths),
        stored_bits=tuple(sum(of_layer[width] for of_layer in stored) for width in widths),
    )


def _list_allowed(layer: LayerChoices, limits: Limits) -> list[int]:
    """Return the widths that a layer's own pin and limits leave."""
    name = layer.name
    if name not in limits.pins and name not in limits.least and name not in limits.most:
        return list(layer.widths)
    least, most = limits.least.get(name), limits.most.get(name)
    widths = [
        width
        for width in layer.widths
        if (least is None or width >= least) and (most is None or width <= most)
    ]
    if not widths:
        raise SpecError.at(
            "limits",
            f"{name} has no width {_describe_range(least, most)}; it was measured at "
            f"{_list_words(layer.widths)}",
        )
    pin = limits.pins.get(name)
    if pin is None:
        return widths
    if pin not in layer.widths:
        raise SpecError.at(
            "pins",
            f"{name} is pinned to {pin} bits, which were not measured; pin it to "
            f"{_list_words(widths)}",
        )
    if pin not in widths:
        raise SpecError.at(
            "pins",
            f"{name} is pinned to {pin} bits but limited to {_list_words(widths)}; change one",
        )
    return [pin]


def _contradiction(
    layers: Sequence[LayerChoices], allowed: Sequence[Sequence[int]], limits: Limits
) -> SpecError:
    """Name layers of a group that cannot share a width: the fewest found, two where two suffice."""
    pairs = list(zip(layers, allowed, strict=True))
    first = min(pairs, key=lambda pair: len(pair[1]))
    named, left = [first], set(first[1])
    while left:  # each further one takes as many widths as it can, and all together take all
        named.append(min(pairs, key=lambda pair: len(left.intersection(pair[1]))))
        left.intersection_update(named[-1][1])
    *others, last = (f"{layer.name} {_list_words(widths)}" for layer, widths in named[1:])
    told = f", {', '.join(others)} and {last}" if others else f" and {last}"
    both = "all" if others else "both"
    is_pinned = any(layer.name in limits.pins for layer, _ in named)
    return SpecError.at(
        "pins" if is_pinned else "groups",
        f"{first[0].name} can have {_list_words(first[1])} bits{told}, but they share one "
        f"width; let {both} have the same, or take one out of the group",
    )


def _describe_range(least: int | None, most: int | None) -> str:
    if most is None:
        return f"of {least} bits or more"
    return f"of {most} bits or fewer" if least is None else f"from {least} to {most} bits"


def _list_words(widths: Sequence[int]) -> str:
    """Write "2, 3 or 4"."""
    *others, last = map(str, sorted(widths))
    return f"{', '.join(others)} or {last}" if others else last
