"""Rules between widths: bit policy, layer map, inputs, cache, and what they stand beside.

Start with `iter_bit_conflicts`; `find_step_problem` is asked again where epochs became steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import Problem
from engine.specs.adapter import LoraBankAdapter
from engine.specs.bit_policy import (
    BitPolicySpec,
    CurriculumBits,
    CyclicBits,
    FixedBits,
    SwitchableBits,
)
from engine.specs.initialization import MinimalError, RoundToNearest
from engine.specs.layer_bits import is_cache_rounded
from engine.specs.quantizer import BITS_UNQUANTIZED, FloatQuantizer, WeightQuantizer
from engine.specs.states import FloatCache
from engine.specs.subject import Subject
from engine.specs.training import QatTraining, TrainingSpec


def iter_bit_conflicts(spec: Subject) -> Iterator[Problem]:
    """Yield what is senseless between widths, each with what would be accepted."""
    policy = spec.training.bit_policy if isinstance(spec.training, QatTraining) else FixedBits()
    if isinstance(spec.quantizer, FloatQuantizer):
        if not isinstance(policy, FixedBits):
            yield Problem(
                "training.bit_policy.policy",
                "a 16-bit model has no widths to choose from; use fixed, or quantizer.grid integer",
            )
        if isinstance(spec.adapter, LoraBankAdapter):
            yield Problem(
                "adapter.kind",
                "a 16-bit model has one width, and a bank has an adapter for each; use lora, or "
                "quantizer.grid integer",
            )
        return
    if spec.quantizer.layer_bits and spec.quantizer.is_mixed:
        yield Problem(
            "quantizer.layer_bits",
            "gives layers widths of their own, and so does a fraction of bits; leave it empty, or "
            "give quantizer.bits a whole number",
        )
    if spec.model.head == "seq2seq":
        yield from _iter_two_stack_conflicts(spec.quantizer)
    if not isinstance(policy, FixedBits):
        yield from _iter_policy_conflicts(spec, spec.quantizer, policy)
        yield from _iter_step_conflicts(spec.training, policy)


def find_step_problem(policy: BitPolicySpec, num_steps: int) -> Problem | None:
    """Return what of a policy so few optimizer steps have no place for; None where all fits."""
    if isinstance(policy, CyclicBits) and num_steps < policy.num_cycles:
        return Problem(
            "training.bit_policy.num_cycles",
            f"{policy.num_cycles} cycles need at least as many steps, and there are {num_steps}; "
            f"use at most {num_steps}, or raise training.max_steps",
        )
    in_turn = isinstance(policy, CurriculumBits) or (
        isinstance(policy, SwitchableBits) and policy.order == "one-after-another"
    )
    count = len(policy.list_widths())
    if in_turn and num_steps < count:
        return Problem(
            "training.bit_policy.widths",
            f"{count} widths one after another need at least as many steps, and there are "
            f"{num_steps}; use fewer widths, or raise training.max_steps",
        )
    return None


def _iter_two_stack_conflicts(quantizer: WeightQuantizer) -> Iterator[Problem]:
    """Yield what asks for a rounded cache of an encoder-decoder."""
    why = "an encoder-decoder has two caches, which Bitdial does not round"
    if not isinstance(quantizer.cache, FloatCache):
        yield Problem("quantizer.cache.rounding", f"{why}; use none")
    if any(map(is_cache_rounded, quantizer.layer_bits)):
        yield Problem("quantizer.layer_bits", f"{why}; leave the KV parts out")


def _iter_step_conflicts(training: TrainingSpec, policy: BitPolicySpec) -> Iterator[Problem]:
    """Yield what a given number of steps has no place for; epochs are counted by the run."""
    if isinstance(training, QatTraining) and training.max_steps is not None:
        problem = find_step_problem(policy, training.max_steps)
        yield from () if problem is None else (problem,)


def _iter_policy_conflicts(
    spec: Subject, quantizer: WeightQuantizer, policy: BitPolicySpec
) -> Iterator[Problem]:
    """Yield what does not go with a policy that changes widths."""
    widths = policy.list_widths()
    listed = ", ".join(map(str, widths))
    if quantizer.bits not in widths:
        yield Problem(
            "quantizer.bits",
            f"{quantizer.bits:g} is not among the trained widths {listed}; give the one that the "
            "run's own scores are to be measured at",
        )
    if quantizer.layer_bits:
        yield Problem(
            "quantizer.layer_bits",
            f"the bit policy {policy.policy} sets the width of every layer; leave it empty, or use "
            "training.bit_policy.policy fixed",
        )
    if BITS_UNQUANTIZED in widths and not spec.trains_unrounded and not _only_asks(policy):
        yield Problem(
            "training.bit_policy.widths",
            "nothing trains at 16 bits without an adapter, and this policy gives it steps of its "
            "own; leave 16 out, choose adapter.kind lora, or let switchable widths follow it in "
            "every step (order high-to-low)",
        )
    if not isinstance(spec.initialization, RoundToNearest | MinimalError) and len(widths) > 1:
        yield Problem(
            "initialization.method",
            f"{spec.initialization.method} starts a model at one width, and {listed} are trained; "
            "use round-to-nearest or minimal-error, or training.bit_policy.policy fixed",
        )


def _only_asks(policy: BitPolicySpec) -> bool:
    """Whether a width that nothing trains at is a teacher of the others in every step."""
    return isinstance(policy, SwitchableBits) and policy.order != "one-after-another"
