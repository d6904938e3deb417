"""Which widths each optimizer step trains. Start with `BitPolicy`.

Like ranks, widths are a function of seed and step alone, so a resumed run sees the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.errors import SpecError
from engine.layers.bit_maps import uniform_map
from engine.layers.rounded_weight import RoundedWeight
from engine.models.naming import group_of
from engine.specs.bit_policy import (
    BitPolicySpec,
    CurriculumBits,
    CyclicBits,
    FixedBits,
    RandomBits,
    Scope,
    SwitchableBits,
)
from engine.specs.bit_rules import find_step_problem
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer
from engine.training.configuration import Configuration, Settings

STREAM = 0x42495453
"""Keeps these draws apart from whatever else is seeded with the run's seed."""


class Choice(NamedTuple):
    """Widths that are trained together.

    Attributes:
        widths: One for each group of layers.
        follows: The higher widths it is drawn towards.
        trains_head: Whether a head that is trained whole learns from it.
    """

    widths: tuple[int, ...]
    follows: tuple[int, ...] = ()
    trains_head: bool = True


@dataclass(frozen=True)
class BitPolicy:
    """How widths are chosen in training.

    Attributes:
        spec: The policy.
        maps: The layer map of each width.
        members: Names of the layers of each group that is given one width.
        sizes: Weights of each group.
        total_steps: Optimizer steps of the whole training.
        seed: Seed of the draws.
        only_followed: Widths at which nothing trains: higher ones that others follow.
    """

    spec: BitPolicySpec
    maps: Mapping[int, Settings]
    members: tuple[tuple[str, ...], ...]
    sizes: tuple[int, ...]
    total_steps: int
    seed: int
    only_followed: tuple[int, ...] = ()

    def choices(self, step: int) -> tuple[Choice, ...]:
        """Return the widths that step `step` (from 1) trains, one choice after another."""
        spec = self.spec
        if isinstance(spec, SwitchableBits):
            return self._switch(spec, step)
        if isinstance(spec, CyclicBits):
            width = cyclic_width(spec, step, self.total_steps)
            return (Choice((width,) * len(self.members)),)
        if isinstance(spec, RandomBits):
            return (Choice(self._draw(spec.widths, step, weights=spec.weights)),)
        if isinstance(spec, CurriculumBits):
            place = find_part(step, len(spec.widths), self.total_steps)
            return (self._everywhere(spec.widths[place]),)
        return ()

    def configurations(self, step: int) -> tuple[Configuration, ...]:
        """Return the same as configurations of layers."""
        return tuple(self._configure(choice) for choice in self.choices(step))

    def mean_bits(self, step: int) -> float:
        """Return the mean width of a step, over its choices and all weights."""
        choices = self.choices(step)
        total = sum(
            width * size
            for choice in choices
            for width, size in zip(choice.widths, self.sizes, strict=True)
        )
        return total / (len(choices) * sum(self.sizes))

    def _configure(self, choice: Choice) -> Configuration:
        follows = tuple(self.maps[width] for width in choice.follows)
        first = choice.widths[0]
        if set(choice.widths) == {first}:
            return Configuration(self.maps[first], first, follows, choice.trains_head)
        settings = {
            name: self.maps[width][name]
            for width, names in zip(choice.widths, self.members, strict=True)
            for name in names
        }
        return Configuration(settings, None, follows, choice.trains_head)

    def _switch(self, spec: SwitchableBits, step: int) -> tuple[Choice, ...]:
        """Return the widths that a switchable step trains, each with those it follows.

        Of a sandwich (Yu and Huang 2019, arXiv:1903.05134) the drawn width lies between the highest
        and the lowest, which are trained anyway; with two widths there is none. A width at which
        nothing trains is no choice, and is followed like one. Of widths trained
        one after another only the first moves a head, which all share: were it to move on, as it
        does in QaLoF's published code, the widths that are finished would no longer fit it.
        """
        if spec.order == "one-after-another":
            place = find_part(step, len(spec.widths), self.total_steps)
            follows = spec.widths[:place] if spec.cascade_weight else ()
            return (self._everywhere(spec.widths[place], follows, trains_head=place == 0),)
        trained = spec.widths
        if spec.order == "sandwich" and len(trained) > 2:
            (drawn,) = self._draw(trained[1:-1], step)
            trained = (trained[0], drawn, trained[-1])
        choices = [
            self._everywhere(width, trained[:place] if spec.cascade_weight else ())
            for place, width in enumerate(trained)
            if width not in self.only_followed
        ]
        return tuple(reversed(choices) if spec.order == "low-to-high" else choices)

    def _everywhere(
        self, width: int, follows: tuple[int, ...] = (), *, trains_head: bool = True
    ) -> Choice:
        return Choice((width,) * len(self.members), follows, trains_head)

    def _draw(
        self, widths: Sequence[int], step: int, *, weights: Sequence[float] = ()
    ) -> tuple[int, ...]:
        """Draw a width for every group."""
        chances = np.array(weights) / sum(weights) if weights else None
        draws = np.random.default_rng((self.seed, STREAM, step))
        places = draws.choice(len(widths), size=len(self.members), p=chances)
        return tuple(widths[place] for place in places)


def find_part(step: int, num_parts: int, total_steps: int) -> int:
    """Return which of the equal parts of a training step `step` (from 1) lies in, from 0."""
    return min((step - 1) * num_parts // total_steps, num_parts - 1)


def cyclic_width(spec: CyclicBits, step: int, total_steps: int) -> int:
    """Return the width of step `step` (from 1) of a cyclic training.

    b(t) = rint(b_min + ½ (b_max − b_min) (1 + cos(π (t mod P) / P + π))) with t = step − 1, after
    CPT (Fu et al. 2021, arXiv:2101.09868). The period P is total steps / cycles without its
    fraction, as in the published code: steps left over begin one cycle more. The last step of a
    cycle is at (P − 1) / P of it, so a short cycle ends below b_max, as published.
    """
    period = total_steps // spec.num_cycles
    phase = ((step - 1) % period) / period
    rise = (1 + math.cos(math.pi * phase + math.pi)) / 2
    return round(spec.lowest + (spec.highest - spec.lowest) * rise)


def build_bit_policy(
    spec: BitPolicySpec,
    layers: Mapping[str, RoundedWeight],
    quantizer: WeightQuantizer,
    *,
    total_steps: int,
    seed: int,
    trains_unrounded: bool = True,
) -> BitPolicy | None:
    """Build the policy of a model's layers; None where their widths stay fixed.

    Args:
        spec: The policy.
        layers: The model's.
        quantizer: By whose rules inputs and cache follow the widths.
        total_steps: Optimizer steps of the whole training.
        seed: Seed of the draws.
        trains_unrounded: Whether anything trains at 16 bits.

    Raises:
        SpecError: When there are too few steps for the cycles or widths that are asked for.
    """
    if isinstance(spec, FixedBits):
        return None
    problem = find_step_problem(spec, total_steps)
    if problem is not None:
        raise SpecError(problem)
    members: dict[str, list[str]] = {}
    scope: Scope = spec.scope if isinstance(spec, RandomBits) else "model"
    for name in layers:
        group = "model" if scope == "model" else group_of(name, scope)
        members.setdefault(group, []).append(name)
    return BitPolicy(
        spec,
        {width: uniform_map(layers, width, quantizer) for width in spec.list_widths()},
        tuple(map(tuple, members.values())),
        tuple(sum(layers[name].weight.numel() for name in names) for names in members.values()),
        total_steps,
        seed,
        only_followed=() if trains_unrounded else (BITS_UNQUANTIZED,),
    )
