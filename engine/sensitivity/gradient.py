"""Every layer at every width from one forward and backward pass over calibration text.

The score of a layer at a width is the divergence to be expected from rounding that layer alone, in
nats per token: half the squared rounding error of each weight times the curvature of the loss along
it. Works on a model as it was loaded as well as with its layers installed, at 16 bits, and leaves
it as it was. Start with `measure_sensitivity`; the passes are in `fisher`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from engine.layers.head import SplitModel
from engine.sensitivity.fisher import Fisher, Modules, weight_of
from engine.sensitivity.rounding import Rounding
from engine.specs.quantizer import WeightQuantizer


class Sensitivity(NamedTuple):
    """What was found.

    Attributes:
        scores: Divergence to expect at each width, nats per token, by layer.
        errors: One standard error of it, over windows; empty where there is one window.
    """

    scores: dict[str, dict[int, float]]
    errors: dict[str, dict[int, float]]


@dataclass(frozen=True)
class Question:
    """What to find out.

    Attributes:
        quantizer: The grid whose rounding is judged.
        widths: Widths of it.
        windows: (N, T) int64 calibration text on the CPU.
        seed: Seed of the labels.
    """

    quantizer: WeightQuantizer
    widths: tuple[int, ...]
    windows: Tensor
    seed: int


def measure_sensitivity(
    model: SplitModel,
    targets: Mapping[str, Modules],
    question: Question,
    *,
    progress: Callable[[int, int], None],
) -> Sensitivity:
    """Score every layer at every width: ½ Σ F ⊙ ΔW² per token, ΔW = FQ(W) − W.

    F is the diagonal of the Fisher information of a window: the squared gradient, summed over the
    window's tokens first, of the likelihood of labels that are drawn from the model itself. To
    second order ½ ΔWᵀ F ΔW is the divergence of the rounded model from this one.

    Source: Zandonati et al. 2022, FIT (arXiv 2210.08502); Kim et al. 2023, SqueezeLLM
    (arXiv 2306.07629), eq. 5. We differ in the labels: theirs are those of the text, which give the
    curvature of another function where the model is wrong (Kunstner et al. 2019, arXiv 1905.12558);
    ours are several for each token. Measured on SmolLM2-135M, 24 layers, 6 windows of 160 tokens,
    integer groups of 64: rank correlation with the true divergence 0.86 at 2 bits and 0.93 at 3,
    the median of score over divergence 1.00 and 1.05. Squared products of output gradient and
    output error, ΔW·x, correlated 0.80 and 0.73, the whole quadratic form 0.57 and 0.65 (too few
    samples), means over groups in place of single weights 0.46 and 0.90.

    Beside the model it holds four bytes for each weight of the layers and what one window keeps for
    its backward pass.

    Args:
        model: The unrounded model, frozen and in evaluation mode.
        targets: Layers by name, as `engine.layers.swap.find_targets` tells them; one that no
            output depends on scores 0.
        question: Grid, widths, text and seed.
        progress: Told of windows done and in all, the rounding at the end counting as one.

    Returns:
        Scores and their standard errors. An error is the score times the relative error of the
        layer's squared gradient over windows, whichever the width.

    Raises:
        SpecError: When a group size does not divide a layer.
    """
    fisher = Fisher(model, targets, question.windows, seed=question.seed)
    total = len(question.windows) + 1
    fisher.run(lambda done: progress(done, total))
    rounding, found = Rounding(), Sensitivity({}, {})
    for name, users in targets.items():
        weight = weight_of(users)

        def error_at(width: int, weight: Tensor = weight) -> Tensor:
            return rounding.of_weight(weight, question.quantizer, width)

        scores = fisher.score(name, question.widths, error_at)
        found.scores[name] = {width: score.value for width, score in scores.items()}
        errors = {width: score.standard_error for width, score in scores.items()}
        if all(error is not None for error in errors.values()):
            found.errors[name] = {width: error or 0.0 for width, error in errors.items()}
        fisher.forget(name)
        progress(len(question.windows), total)
    progress(total, total)
    return found
