"""From a budget to widths: the scores, limits and groups of a map, as `engine.allocation` has them.

The frontier of every budget is built once for the same scores and limits and then looked up, so
that a slider can be dragged. A layer without a score keeps its width, and so does its group. Layers
that were scored together are widened together, but for those that are pinned.
Start with `solve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isnan

import numpy as np

from engine.allocation.budgets import Budget, limit_bits
from engine.allocation.choices import LayerChoices, Limits, build_table
from engine.allocation.frontier import Frontier, Solution, build_frontier
from engine.specs.layer_bits import WIDTHS
from tasks.bit_map.content import Content
from tasks.bit_map.ground import COLUMN, Ground
from tasks.bit_map.scoring import Scored

_Bounds = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Key:
    """What a frontier depends on besides the scores."""

    kept: _Bounds
    least: _Bounds
    most: _Bounds
    fused: bool


def solve(scored: Scored, content: Content, budget: Budget) -> Solution:
    """Return the widths that lose least within a budget; pins, limits and groups are kept.

    Raises:
        SpecError: At "budget", when even the lowest widths take more, saying the least; at "pins",
            "limits" or "groups", when these leave a layer no width.
    """
    frontier = find_frontier(scored, content)
    others = sum(scored.ground.beside.values())
    return frontier.solve(limit_bits(budget, frontier.table, other_bytes=others))


def find_frontier(scored: Scored, content: Content) -> Frontier:
    """Return the frontier of a map's scores under its pins, limits and groups.

    Raises:
        SpecError: At "pins", "limits" or "groups", when these leave a layer no width.
    """
    return _build(scored, _describe(scored, content))


def place_widths(ground: Ground, solution: Solution) -> tuple[int, ...]:
    """Return the widths of a solution in the order of the layers."""
    return tuple(solution.widths[name] for name in ground.names)


def _describe(scored: Scored, content: Content) -> _Key:
    ground = scored.ground
    kept = {place: content.widths[place] for place in (*content.pins, *scored.lacking)}
    if content.fused:
        kept = {place: content.widths[place] for each in kept for place in ground.units[each]}
    return _Key(
        kept=tuple(sorted(kept.items())),
        least=_list_free(content.least, kept),
        most=_list_free(content.most, kept),
        fused=content.fused,
    )


def _list_free(bounds: Mapping[int, int], kept: Mapping[int, int]) -> _Bounds:
    """Return the bounds of layers that are not held anyway."""
    return tuple(sorted((place, bits) for place, bits in bounds.items() if place not in kept))


@lru_cache(maxsize=32)
def _build(scored: Scored, key: _Key) -> Frontier:
    ground = scored.ground
    kept = dict(key.kept)
    choices = [
        _list_choices(scored, place, (COLUMN[kept[place]],)) if place in kept else free
        for place, free in enumerate(_list_free_choices(scored))
    ]
    groups = [tuple(each for each in group if each not in kept) for group in scored.groups]
    groups += ground.groups if key.fused else ()
    limits = Limits(
        least={ground.names[place]: bits for place, bits in key.least},
        most={ground.names[place]: bits for place, bits in key.most},
        groups=tuple(tuple(ground.names[place] for place in group) for group in groups),
    )
    return build_frontier(build_table(choices, limits))


@lru_cache(maxsize=32)
def _list_free_choices(scored: Scored) -> tuple[LayerChoices, ...]:
    """Return the scored widths of every layer; of one without a score none."""
    return tuple(
        _list_choices(scored, place, tuple(np.flatnonzero(known).tolist()))
        for place, known in enumerate(scored.known)
    )


def _list_choices(scored: Scored, place: int, columns: tuple[int, ...]) -> LayerChoices:
    """Return some widths of a layer, by their columns; what nobody scored counts as no loss."""
    layer = scored.ground.layers[place]
    picked = list(columns)
    losses = scored.values[place, picked].tolist()
    stored = scored.ground.parts[:, place, picked].sum(axis=0).tolist()
    return LayerChoices(
        name=layer.name,
        num_weights=layer.num_weights,
        widths=tuple(WIDTHS[column] for column in columns),
        losses=tuple(0.0 if isnan(loss) else loss for loss in losses),
        stored_bits=tuple(8 * size for size in stored),
    )
