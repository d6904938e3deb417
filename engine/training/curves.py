"""The points of a training's curves, named as in Transformers. Start with `curve_values`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.specs.bit_policy import SwitchableBits
from engine.training.bit_policy import BitPolicy
from engine.training.configuration import Configuration
from engine.training.parameter_groups import ADAPTERS, RANGES
from engine.training.step import StepResult

BITS = "train/bits"
LOWEST_BITS = "range_test/lowest_bits"
"""The width that cycles begin at by a range test; one point."""
RATES = {ADAPTERS: "train/learning_rate", RANGES: "train/range_learning_rate"}


def curve_values(
    result: StepResult, rates: Mapping[str, float], tokens_per_second: float
) -> dict[str, float]:
    """Return what every step has: mean loss over its configurations, norm, speed and rates."""
    values = {
        "train/loss": result.loss,
        "train/grad_norm": result.grad_norm,
        "train/tokens_per_second": tokens_per_second,
    }
    return values | {RATES[name]: rate for name, rate in rates.items()}


def changes_bits(policy: BitPolicy, step: int) -> bool:
    """Whether step `step` (from 1) has another mean width than the step before it."""
    return step == 1 or policy.mean_bits(step) != policy.mean_bits(step - 1)


def bits_values(policy: BitPolicy, step: int) -> dict[str, float]:
    """Return "train/bits", the mean width of a step over its configurations and weights.

    It belongs to every step whose width is another, however seldom the rest is logged: of a cycle
    that every tenth step is logged of, neither the ends nor the form would be left.
    """
    return {BITS: policy.mean_bits(step)}


def width_values(
    policy: BitPolicy, *, trained: Sequence[Configuration], losses: Sequence[float]
) -> dict[str, float]:
    """Return what a logged step has where widths change.

    That is "train/loss_8bit" for every width of a switchable step: the mean over the ranks it was
    trained at. Other policies have none.
    """
    if not isinstance(policy.spec, SwitchableBits):
        return {}
    found: dict[int, list[float]] = {}
    for configuration, loss in zip(trained, losses, strict=True):
        if configuration.width is not None:
            found.setdefault(configuration.width, []).append(loss)
    return {f"train/loss_{width}bit": sum(each) / len(each) for width, each in found.items()}
