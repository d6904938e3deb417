"""The lowest width a model learns at, found before cyclic training: the range test of CPT.

From the lowest width upwards, each is trained for some steps from the same start; the first whose
loss falls by more than a threshold is where cycles begin (Fu et al. 2021, arXiv:2101.09868, who
watch the training accuracy instead; a loss is there for every head). Nothing of a trial is kept.
Start with `find_lowest`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import nn

from engine.errors import Diverged
from engine.events import Listener, MetricPoint, Progressed
from engine.layers.layer_map import apply_map, read_map
from engine.layers.swap import Layers
from engine.specs import QatTraining
from engine.specs.bit_policy import BitPolicySpec, CyclicBits
from engine.training.bit_policy import BitPolicy
from engine.training.configuration import Configuration
from engine.training.learner import Learner, Part
from engine.training.parameter_groups import build_optimizer, build_scheduler, named_trainables
from engine.training.range_report import RangeReport
from engine.training.rank_policy import RankPolicy
from engine.training.step import StepRunner, rounded_once
from engine.training.widths_and_ranks import at_ranks

STAGE = "range-test"


def count_trial_steps(policy: BitPolicySpec) -> int:
    """Return the steps of a range test that tries every width."""
    if not isinstance(policy, CyclicBits):
        return 0
    return len(policy.list_widths()) * policy.range_test_steps


def find_lowest(
    learner: Learner[Part],
    layers: Layers,
    spec: QatTraining,
    *,
    bits: BitPolicy,
    ranks: RankPolicy | None,
    listener: Listener,
    key: str,
) -> RangeReport:
    """Try the widths of a cyclic policy; layers and head are left as they were.

    A trial draws nothing: a step follows from the seed and its number alone.

    Args:
        learner: What will be learned; a trial sees the first batches of the training.
        layers: The model's, at their start.
        spec: How to train; a trial has the peak rates from its first step on.
        bits: A cyclic policy.
        ranks: Of elastic adapters.
        listener: Told of every trial step.
        key: Fingerprint of the training.

    Raises:
        TypeError: When the policy is not cyclic.
    """
    cyclic = bits.spec
    if not isinstance(cyclic, CyclicBits):
        raise TypeError(f"{cyclic.policy} has no range test")
    total = count_trial_steps(cyclic)
    drops: dict[int, float | None] = {}
    lowest = cyclic.highest
    for place, width in enumerate(sorted(bits.maps)):
        losses: list[float] = []
        at_width = Configuration(bits.maps[width], width)
        for loss in _try_width(
            learner, layers, spec, at_width=at_width, ranks=ranks, num_steps=cyclic.range_test_steps
        ):
            losses.append(loss)
            listener(MetricPoint(f"range_test/loss_{width}bit", len(losses), loss))
            listener(Progressed(STAGE, place * cyclic.range_test_steps + len(losses), total))
        is_whole = len(losses) == cyclic.range_test_steps
        drop = drops[width] = relative_drop(losses) if is_whole else None
        if drop is not None and drop > cyclic.range_test_threshold:
            lowest = width
            break
    listener(Progressed(STAGE, total, total))
    return RangeReport(key=key, lowest=lowest, threshold=cyclic.range_test_threshold, drops=drops)


def _try_width(
    learner: Learner[Part],
    layers: Layers,
    spec: QatTraining,
    *,
    at_width: Configuration,
    ranks: RankPolicy | None,
    num_steps: int,
) -> Iterator[float]:
    """Yield the loss of every trial step, until it is no number; then put everything back."""
    trial = spec.model_copy(update={"lr_scheduler_type": "constant", "warmup_ratio": 0.0})
    optimizer = build_optimizer(layers, trial, learner.head)
    with _untouched(layers, named_trainables(layers, learner.head)), rounded_once(layers):
        runner = StepRunner(
            learner,
            layers,
            optimizer,
            scheduler=build_scheduler(optimizer, trial, num_steps),
            max_grad_norm=spec.max_grad_norm,
        )
        batches = learner.iter_steps(0)
        for step in range(1, num_steps + 1):
            trained = at_ranks(layers, step, of_bits=(at_width,), ranks=ranks)
            try:
                result = runner.run(next(batches), trained)
            except Diverged:
                return
            yield result.loss


@contextmanager
def _untouched(layers: Layers, named: Mapping[str, nn.Parameter]) -> Iterator[None]:
    """Put parameters and the layer map back at the end."""
    settings = read_map(layers)
    before = {name: value.detach().clone() for name, value in named.items()}
    try:
        yield
    finally:
        for name, value in named.items():
            value.data.copy_(before[name])
        apply_map(layers, settings)


def relative_drop(losses: Sequence[float]) -> float:
    """Return which share of its first third's mean the last third's mean has lost."""
    count = max(1, len(losses) // 3)
    first, last = sum(losses[:count]) / count, sum(losses[-count:]) / count
    return (first - last) / first if first else 0.0
