"""What a file of widths says, whatever its format. Start with `LayerMap` and `MapFormat`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from engine.specs.layer_bits import UNROUNDED, LayerBits, read_layer_bits, write_layer_bits

FormatName = Literal["bitdial", "qalof", "llama-cpp", "compressed-tensors"]
Document = Mapping[str, Any]
MAX_LAYERS = 10_000
MAX_NAME = 300
_WILDCARDS = frozenset("*?[")


class Rounding(NamedTuple):
    """How weights share scales; not for the map to decide, and most formats do not say.

    Attributes:
        group_size: Weights of a row that share a scale; None for a whole row.
        is_symmetric: Whether there are no zero points.
    """

    group_size: int | None
    is_symmetric: bool


@dataclass(frozen=True)
class LayerMap:
    """Widths by layer.

    Attributes:
        layers: Widths by name; a name may hold shell wildcards, and the last that matches counts.
        model: The model it was made for, as a spec names it; empty where the file does not say.
        rounding: The scales it was made for; None where the file does not say.
    """

    layers: Mapping[str, LayerBits] = field(default_factory=dict)
    model: str = ""
    rounding: Rounding | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The map as lines of `layer_bits`."""
        return tuple(f"{name}={write_layer_bits(bits)}" for name, bits in self.layers.items())


@dataclass(frozen=True)
class MapFormat:
    """A format of such files.

    Attributes:
        name: What to call it in a request.
        title: What to call it in a sentence.
        suffix: How its files' names end.
        recognizes: Whether a document is meant to be of it.
        read: Turns a document into a map; raises ValueError with the rest of a sentence that begins
            with the file's name.
        write: Turns a map into text; raises ValueError where the format cannot hold it.
    """

    name: FormatName
    title: str
    suffix: str
    recognizes: Callable[[Document], bool]
    read: Callable[[Document], LayerMap]
    write: Callable[[LayerMap], str]


def spell_weights(layer_map: LayerMap) -> dict[str, int]:
    """Return the width of each layer's weights, for a format that holds nothing else.

    Raises:
        ValueError: When the map holds a pattern, or gives inputs or a cache a width.
    """
    for name, bits in layer_map.layers.items():
        refuse_pattern(name)
        if {bits.inputs, bits.cache} - {None, UNROUNDED}:
            raise ValueError(
                f"cannot give {name} inputs or a cache a width; write Bitdial's own format"
            )
    return {name: bits.weights for name, bits in layer_map.layers.items()}


def refuse_pattern(name: str) -> None:
    """Refuse a pattern, for a format that holds names alone.

    Raises:
        ValueError: Naming it.
    """
    if not _WILDCARDS.isdisjoint(name):
        raise ValueError(f"cannot hold the pattern {name}; give each layer by its name")


def build_map(lines: Iterable[str], *, model: str = "") -> LayerMap:
    """Return lines of `layer_bits` as a map; of lines with one name the last holds, in its place.

    Raises:
        ValueError: When a line is not NAME=WIDTHS.
    """
    layers: dict[str, LayerBits] = {}
    for line in lines:
        name, _, bits = line.rpartition("=")
        if not name:
            raise ValueError(f"{line[:60]!r} is not LAYER=WIDTH, such as *.mlp.*=4")
        layers.pop(name, None)
        layers[name] = read_layer_bits(bits)
    return LayerMap(layers, model)


def read_layers(values: Mapping[str, Any]) -> dict[str, LayerBits]:
    """Check names and widths, as every format has them.

    Raises:
        ValueError: Naming the first that cannot be, and what could.
    """
    if not 1 <= len(values) <= MAX_LAYERS:
        raise ValueError(f"gives {len(values):,} layers a width; 1 to {MAX_LAYERS:,} can be given")
    return {_check_name(name): _read_bits(name, value) for name, value in values.items()}


def _check_name(name: object) -> str:
    """Refuse what could be no line of a spec."""
    if not isinstance(name, str) or not name.isprintable() or name != "".join(name.split()):
        raise ValueError(f"names a layer {str(name)[:60]!r}; a name is one word, such as *.mlp.*")
    if not 1 <= len(name) <= MAX_NAME:
        raise ValueError(f"names a layer in {len(name):,} characters; 1 to {MAX_NAME} are accepted")
    return name


def _read_bits(name: str, value: Any) -> LayerBits:
    if not isinstance(value, str | int) or isinstance(value, bool):
        kind = "nested" if isinstance(value, Mapping | list) else f"{str(value)[:40]!r}"
        raise ValueError(f"gives {name} a width that is {kind}; write 4 or W4A8KV4")
    try:
        return read_layer_bits(value)
    except ValueError as error:
        raise ValueError(f"gives {name} a wrong width: {error}") from None
