"""Widths of layers at a fraction of bits, by either rule. Start with `Mixes`."""

from __future__ import annotations

from torch import Tensor, nn

from engine.allocation.fractions import Widths, spread_widths
from engine.allocation.mean_budget import fit_budget
from engine.layers.head import SplitModel
from engine.layers.swap import LayerPlan, find_targets
from engine.sensitivity.gradient import Question, Sensitivity, measure_sensitivity
from engine.specs import NoAdapter
from engine.specs.quantizer import WeightQuantizer
from engine.stages.widths import WIDTHS

SEED = 42


class Mixes:
    """Finds widths for one model; its sensitivity is measured once."""

    def __init__(self, split: SplitModel, model: nn.Module, windows: Tensor) -> None:
        """Take the unrounded model and its (N, T) calibration text."""
        self._split, self._model, self._windows = split, model, windows
        self._found: Sensitivity | None = None

    def widths(self, quantizer: WeightQuantizer, rule: str) -> Widths:
        """Return the width of every layer, on the mean at most the quantizer's bits."""
        targets = find_targets(self._model, LayerPlan(quantizer, NoAdapter(), SEED))
        sizes = {name: next(iter(users.values())).weight.numel() for name, users in targets.items()}
        if rule == "first-layers":
            return spread_widths(sizes, quantizer.bits)
        if self._found is None:
            question = Question(quantizer, WIDTHS, self._windows, SEED)
            self._found = measure_sensitivity(self._split, targets, question, progress=_no_progress)
        return fit_budget(self._found.scores, sizes, quantizer.bits).widths


def _no_progress(done: int, total: int) -> None:
    """Tell nobody."""
