"""What stays the same however a map is edited: its layers, their places, and what each takes.

The layers are those a spec rounds; their cells are a grid of blocks by kinds. Sizes stand in one
table, so that a ledger is a sum over it. Kept as text with the map: a map outlives its model.
Start with `build_ground`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.allocation.fusion import list_fusion_groups
from engine.allocation.ledger import write_ledger
from engine.allocation.stored import StoredParts, count_parts
from engine.errors import SpecError
from engine.estimates.selection import list_selected
from engine.models.naming import group_of, split_name
from engine.models.shapes import LayerShape, ModelShapes
from engine.specs import ExperimentSpec, FloatQuantizer
from engine.specs.layer_bits import UNROUNDED, WIDTHS
from engine.specs.quantizer import WeightQuantizer

COLUMN: Mapping[int, int] = MappingProxyType({bits: at for at, bits in enumerate(WIDTHS)})
"""Where a width stands in tables of every width."""
FLOW = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ROUNDED = StoredParts._fields
"""The parts of a map's own layers, as they stand in its table."""
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """Where a layer is drawn; outside blocks `block` is empty and the row its own."""

    block: str
    kind: str
    row: int
    column: int


@dataclass(frozen=True, eq=False)
class Ground:
    """The layers of a map.

    Attributes:
        spec: The model, how it is rounded, and what is measured; it holds no layer map.
        layers: In the model's order.
        names: Of the layers.
        places: Place of each name.
        cells: Of the layers.
        blocks: Names of the grid's rows.
        kinds: Names of its columns.
        groups: Layers that share a width while the map is fused.
        units: The group of each layer, or the layer alone.
        parts: (3, L, W) bytes of codes, scales and zero points of each layer at each of `WIDTHS`.
        num_weights: (L,) weights of each layer.
        beside: Bytes of what the map leaves as it is, by part.
    """

    spec: ExperimentSpec
    quantizer: WeightQuantizer
    shapes: ModelShapes
    layers: tuple[LayerShape, ...]
    names: tuple[str, ...]
    places: Mapping[str, int]
    cells: tuple[Cell, ...]
    blocks: tuple[str, ...]
    kinds: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    units: tuple[tuple[int, ...], ...]
    parts: Ints
    num_weights: Ints
    beside: Mapping[str, int]

    @property
    def num_layers(self) -> int:
        """How many layers there are."""
        return len(self.names)

    def get_unit(self, place: int, *, fused: bool) -> tuple[int, ...]:
        """Return the layers that change together with one."""
        return self.units[place] if fused else (place,)

    def list_units(self, *, fused: bool) -> tuple[tuple[int, ...], ...]:
        """Return every layer once, with those that change together with it."""
        every = range(self.num_layers)
        return tuple(dict.fromkeys(self.get_unit(place, fused=fused) for place in every))


def write_shapes(shapes: ModelShapes) -> str:
    """Return the sizes of a model's layers as JSON."""
    return json.dumps(asdict(shapes), separators=(",", ":"))


def read_shapes(text: str) -> ModelShapes:
    """Return what `write_shapes` wrote."""
    values = json.loads(text)
    values["layers"] = tuple(LayerShape(**each) for each in values["layers"])
    return ModelShapes(**values)


def build_ground(spec: Mapping[str, Any], shapes: str) -> Ground:
    """Return the layers of a map from what the store keeps; asked again, the same object.

    Raises:
        SpecError: When the spec rounds no layer.
    """
    return _build(json.dumps(spec, sort_keys=True), shapes)


@lru_cache(maxsize=32)
def _build(spec_text: str, shapes_text: str) -> Ground:
    spec, shapes = ExperimentSpec.model_validate_json(spec_text), read_shapes(shapes_text)
    if isinstance(spec.quantizer, FloatQuantizer):
        raise SpecError.at("quantizer.grid", "float rounds nothing; choose integer or normal-float")
    layers = list_selected(spec, shapes)
    if not layers:
        raise SpecError.at("quantizer.include", "no layer of this model is selected; use *")
    names = tuple(layer.name for layer in layers)
    places = {name: place for place, name in enumerate(names)}
    found = list_fusion_groups(names)
    groups = tuple(tuple(sorted(places[name] for name in group)) for group in found)
    units = {place: group for group in groups for place in group}
    cells, blocks, kinds = _lay_out(names)
    return Ground(
        spec=spec,
        quantizer=spec.quantizer,
        shapes=shapes,
        layers=layers,
        names=names,
        places=places,
        cells=cells,
        blocks=blocks,
        kinds=kinds,
        groups=groups,
        units=tuple(units.get(place, (place,)) for place in range(len(names))),
        parts=_tabulate(layers, spec.quantizer),
        num_weights=np.array([layer.num_weights for layer in layers], dtype=np.int64),
        beside=_weigh_others(shapes, spec.quantizer, names),
    )


def _tabulate(layers: Sequence[LayerShape], quantizer: WeightQuantizer) -> Ints:
    """Return what each layer takes at each width, by part."""
    table = [[count_parts(layer, quantizer, bits) for bits in WIDTHS] for layer in layers]
    return np.array(table, dtype=np.int64).transpose(2, 0, 1)


def _weigh_others(
    shapes: ModelShapes, quantizer: WeightQuantizer, names: Sequence[str]
) -> Mapping[str, int]:
    """Return the bytes of every part that no width of a map changes."""
    parts = write_ledger(shapes, quantizer, dict.fromkeys(names, UNROUNDED)).parts
    return MappingProxyType({part: parts[part] for part in parts if part not in ROUNDED})


def _lay_out(names: Sequence[str]) -> tuple[tuple[Cell, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the cell of each layer, and the names of rows and columns.

    A kind is the last part of a name, or all of it inside the block where that is not enough to
    tell two layers of a block apart.
    """
    inside = {name: group_of(name, "kind") for name in names if split_name(name).block is not None}
    whole = dict.fromkeys(inside.values())
    lasts = Counter(kind.rpartition(".")[2] for kind in whole)
    shown = {kind: last if lasts[last := kind.rpartition(".")[2]] == 1 else kind for kind in whole}
    blocks = tuple(dict.fromkeys(_name_block(name) for name in inside))
    kinds = tuple(sorted(shown.values(), key=_order))
    rows, columns = ({each: place for place, each in enumerate(ones)} for ones in (blocks, kinds))
    cells: list[Cell] = []
    below = len(blocks)
    for name in names:
        if name in inside:
            block, kind = _name_block(name), shown[inside[name]]
            cells.append(Cell(block, kind, rows[block], columns[kind]))
        else:
            cells.append(Cell("", split_name(name).kind, below, 0))
            below += 1
    return tuple(cells), blocks, kinds


def _order(kind: str) -> int:
    """Return where a kind stands: as data flows where that is known, else as the model lists it."""
    return FLOW.index(kind) if kind in FLOW else len(FLOW)


def _name_block(name: str) -> str:
    """Return "3", or "encoder 3" for an encoder-decoder's encoder."""
    found = split_name(name)
    return f"{found.stack} {found.block}".strip()
