"""The squared rounding error of the weights alone: Σ ΔW². No text. Start with `score_weights`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.events import Listener
from engine.sensitivity.fisher import Score
from engine.sensitivity.rounding import Rounding
from engine.sensitivity.scored_model import ScoredModel, UnitSums, require_finite

METRIC = "weight_error"


def score_weights(
    model: ScoredModel,
    widths: tuple[int, ...],
    *,
    listener: Listener,
    progress: Callable[[int, int], None],
) -> None:
    """Announce Σ ΔW² of every unit at every width, ΔW = FQ(W) − W.

    It knows nothing of what the weights are multiplied with, so it says little of what is lost; it
    is here to be compared with.

    Args:
        model: The model.
        widths: That its layers know.
        listener: Told of scores, without errors and on no samples.
        progress: Told of layers done and in all.

    Raises:
        ModelError: When an error is not a number.
    """
    sums = UnitSums(model.units, METRIC, 0, listener)
    rounding, names = Rounding(), model.names
    for count, name in enumerate(names, start=1):
        layer, scores = model.start.layers[name], {}
        for bits in widths:
            error = rounding.of_layer(layer, bits).square_()
            scores[bits] = Score(float(error.sum(dtype=torch.float64)), None)
        require_finite(scores, f"the rounding error of {name}")
        sums.add(name, scores)
        progress(count, len(names))
