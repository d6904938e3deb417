"""Widths and ranks of a step together. Start with `choose_configurations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.layers.layer_map import LayerSetting
from engine.layers.rounded_weight import RoundedWeight
from engine.training.bit_policy import BitPolicy
from engine.training.configuration import UNCHANGED, Configuration, Settings
from engine.training.rank_policy import RankPolicy


def choose_configurations(
    layers: Mapping[str, RoundedWeight],
    step: int,
    *,
    ranks: RankPolicy | None,
    bits: BitPolicy | None,
) -> tuple[Configuration, ...]:
    """Return what step `step` (from 1) trains: its widths, each at all of its ranks."""
    of_bits = UNCHANGED if bits is None else bits.configurations(step)
    return at_ranks(layers, step, of_bits=of_bits, ranks=ranks)


def at_ranks(
    layers: Mapping[str, RoundedWeight],
    step: int,
    *,
    of_bits: tuple[Configuration, ...],
    ranks: RankPolicy | None,
) -> tuple[Configuration, ...]:
    """Return configurations of widths, each at all ranks of the step."""
    return of_bits if ranks is None else combine(of_bits, ranks.layer_maps(layers, step))


def combine(
    of_bits: Sequence[Configuration], of_ranks: Sequence[Settings]
) -> tuple[Configuration, ...]:
    """Return every configuration of widths at every configuration of ranks, widths first.

    Whoever follows a higher width follows it at the same ranks.
    """
    return tuple(
        Configuration(
            _at_ranks(each.settings, ranks),
            each.width,
            tuple(_at_ranks(followed, ranks) for followed in each.follows),
            each.trains_head,
        )
        for each in of_bits
        for ranks in of_ranks
    )


def _at_ranks(settings: Settings, ranks: Settings) -> dict[str, LayerSetting]:
    """Return settings with the ranks of others; of these the ranks alone count."""
    found = dict(settings)
    for name, setting in ranks.items():
        found[name] = found.get(name, setting)._replace(rank=setting.rank)
    return found
