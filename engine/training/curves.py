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


def changed_bits(policy: BitPolicy | None, step: int) -> dict[str, float]:
    """Return "train/bits" where step `step` (from 1) has another mean width than the one before.

    It belongs to every such step, however seldom the rest is logged: of a cycle that every tenth
    step is logged of, neither the ends nor the form would be left.
    """
    if policy is None or (step > 1 and policy.mean_bits(step) == policy.mean_bits(step - 1)):
        return {}
    return {BITS: policy.mean_bits(step)}


def width_values(
    policy: BitPolicy | None,
    step: int,
    *,
    trained: Sequence[Configuration],
    losses: Sequence[float],
) -> dict[str, float]:
    """Return what a logged step has where widths change.

    "train/bits" is the mean width over configurations and weights. A switchable step also has
    "train/loss_8bit" for every width it trained: the mean over the ranks it was trained at.
    """
    if policy is None:
        return {}
    values = {BITS: policy.mean_bits(step)}
    if not isinstance(policy.spec, SwitchableBits):
        return values
    found: dict[int, list[float]] = {}
    for configuration, loss in zip(trained, losses, strict=True):
        if configuration.width is not None:
            found.setdefault(configuration.width, []).append(loss)
    return values | {
        f"train/loss_{width}bit": sum(each) / len(each) for width, each in found.items()
    }
