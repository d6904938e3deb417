"""How many widths a run trains, asks and keeps, told from its spec. Start with `count_passes`.

A run that measures a trained model (a search, an evaluation) holds that run's spec, its training
included, but trains nothing: whoever asks for a training asks `find_training`.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.specs import (
    ElasticLoraAdapter,
    ExperimentSpec,
    IntegerQuantizer,
    LoraBankAdapter,
    MapEvaluationSpec,
    NoAdapter,
    QatTraining,
    RandomMap,
    Subject,
)
from engine.specs.bit_policy import BitPolicySpec, CyclicBits, SwitchableBits
from engine.specs.quantizer import BITS_UNQUANTIZED

SANDWICH_PASSES = 3


class Passes(NamedTuple):
    """What an optimizer step does with its batch.

    Attributes:
        trained: Configurations that run forward and backward.
        asked: Configurations that run forward alone, for lower widths to follow; the mean over
            steps.
        followed: Most configurations whose outputs are kept at once for others to follow.
    """

    trained: int
    asked: float
    followed: int


def find_training(spec: Subject) -> QatTraining | None:
    """Return the training a run carries out; None without one, or where it measures another's."""
    training = spec.training
    is_own = isinstance(spec, ExperimentSpec) and isinstance(training, QatTraining)
    return training if is_own and isinstance(training, QatTraining) else None


def count_passes(spec: Subject, training: QatTraining) -> Passes:
    """Count the configurations of a step: its widths, each at all of its ranks."""
    widths, ranks = _count_widths(spec, training.bit_policy), _count_ranks(spec)
    return Passes(widths.trained * ranks, widths.asked * ranks, widths.followed * ranks)


def count_trial_steps(spec: Subject, training: QatTraining) -> int:
    """Return the passes of a range test over their batches if no width but the last learns."""
    policy = training.bit_policy
    if not isinstance(policy, CyclicBits) or not policy.range_test:
        return 0
    return len(policy.list_widths()) * policy.range_test_steps * _count_ranks(spec)


def count_ranges(spec: Subject) -> int:
    """Return how many widths a rounded layer has ranges for."""
    return max(1, sum(width != BITS_UNQUANTIZED for width in spec.trained_widths))


def count_adapters(spec: Subject) -> int:
    """Return how many pairs an adapted layer has."""
    if isinstance(spec.adapter, NoAdapter):
        return 0
    return max(1, len(spec.trained_widths)) if isinstance(spec.adapter, LoraBankAdapter) else 1


def count_kept(spec: Subject) -> int:
    """Return at how many widths a layer's rounded weight is kept at once."""
    if isinstance(spec, MapEvaluationSpec):
        return max(_count_drawn(each.widths) if isinstance(each, RandomMap) else 1
                   for each in spec.maps)  # fmt: skip
    is_kept = find_training(spec) is not None and not trains_through_rounding(spec)
    return count_ranges(spec) if is_kept else 1


def trains_through_rounding(spec: Subject) -> bool:
    """Whether rounded weights change in training: through absorbed adapters or ranges."""
    training = find_training(spec)
    if training is None:
        return False
    is_absorbed = not isinstance(spec.adapter, NoAdapter) and spec.adapter.placement == "absorbed"
    has_ranges = isinstance(spec.quantizer, IntegerQuantizer) and training.range_learning_rate > 0
    return is_absorbed or has_ranges


def _count_widths(spec: Subject, policy: BitPolicySpec) -> Passes:
    """Count the widths of a step; one at which nothing trains is only asked."""
    if not isinstance(policy, SwitchableBits):
        return Passes(1, 0, 0)
    count, is_followed = len(policy.widths), bool(policy.cascade_weight)
    if policy.order == "one-after-another":  # the first follows none, the last all others
        return Passes(1, (count - 1) / 2 * is_followed, (count - 1) * is_followed)
    chosen = min(count, SANDWICH_PASSES) if policy.order == "sandwich" else count
    untrained = int(BITS_UNQUANTIZED in policy.widths and not spec.trains_unrounded)
    followed = (chosen - 1) * is_followed
    asked = followed if policy.order == "low-to-high" else untrained * is_followed
    return Passes(chosen - untrained, asked, followed)


def _count_ranks(spec: Subject) -> int:
    """Return how many configurations of ranks a step goes through at each width."""
    adapter = spec.adapter
    is_sandwich = isinstance(adapter, ElasticLoraAdapter) and adapter.rank_policy == "sandwich"
    return SANDWICH_PASSES if is_sandwich else 1


def _count_drawn(widths: tuple[int, ...]) -> int:
    return sum(width != BITS_UNQUANTIZED for width in widths)
