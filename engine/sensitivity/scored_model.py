"""What is scored: a model with its layers, where they start, and the units they make.

Start with `ScoredModel`; `UnitSums` turns scores of layers into those of units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from engine.errors import ModelError
from engine.events import Listener, SensitivityScored
from engine.layers.head import SplitModel
from engine.layers.quantized_embedding import QuantizedEmbedding
from engine.layers.quantized_linear import QuantizedLinear
from engine.sensitivity.fisher import Modules, Score
from engine.sensitivity.start_map import StartMap
from engine.sensitivity.units import Units


@dataclass(frozen=True)
class ScoredModel:
    """A causal language model whose units are scored.

    Attributes:
        root: The module that names of layers start from.
        split: The same model as body and head.
        start: All its layers and their start map.
        units: Layers of each unit; all of them can be rounded.
    """

    root: nn.Module
    split: SplitModel
    start: StartMap
    units: Units

    @property
    def names(self) -> tuple[str, ...]:
        """The layers of all units, unit by unit."""
        return tuple(name for names in self.units.values() for name in names)

    def find_users(self) -> dict[str, Modules]:
        """Return the modules that use the weight of each layer of a unit, by their own names."""
        owners = {id(self.start.layers[name]): name for name in self.names}
        found: dict[str, dict[str, nn.Module]] = {name: {} for name in self.names}
        for name, module in self.root.named_modules():
            if isinstance(module, QuantizedLinear | QuantizedEmbedding):
                owner = owners.get(id(module.rounded))
                if owner is not None:
                    found[owner][name] = module
        return dict(found)


def require_finite(scores: Mapping[int, Score], what: str) -> None:
    """Refuse scores of a layer that are no numbers.

    Args:
        scores: By width.
        what: They come from, for the sentence.

    Raises:
        ModelError: At the format.
    """
    if not all(math.isfinite(score.value) for score in scores.values()):
        raise ModelError(
            f"{what} is not a finite number in this format; choose float32 or bfloat16",
            field="model.dtype",
        )


class UnitSums:
    """Announces the score of a unit when all its layers have theirs: their sum.

    Scores of layers are sums over weights or expected divergences, which to second order add up
    within a unit but for what the layers do to each other. Their errors come from the same text and
    are added as they are, which is the most that they can come to.
    """

    def __init__(self, units: Units, metric: str, num_samples: int, listener: Listener) -> None:
        self._units = units
        self._unit_of = {name: unit for unit, names in units.items() for name in names}
        self._metric = metric
        self._num_samples = num_samples
        self._listener = listener
        self._found: dict[str, Mapping[int, Score]] = {}

    def add(self, name: str, scores: Mapping[int, Score]) -> None:
        """Take the scores of a layer at all widths."""
        self._found[name] = scores
        unit = self._unit_of[name]
        parts = [self._found.get(layer) for layer in self._units[unit]]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return
        for bits in scores:
            values = [part[bits] for part in known]
            errors = [each.standard_error for each in values]
            error = None if None in errors else sum(each or 0.0 for each in errors)
            total = sum(each.value for each in values)
            self._listener(
                SensitivityScored(unit, bits, self._metric, total, error, self._num_samples)
            )
