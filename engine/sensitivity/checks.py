"""Whether a sensitivity run can be done as it is asked, and what it will score. No torch.

Asked before launch, and again by the run before it loads anything. Start with `check_sensitivity`;
`iter_layer_problems` and `list_pairs` need the names of the layers besides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from engine.errors import Problem, SpecError
from engine.sensitivity.units import Units
from engine.specs import FloatQuantizer, LoraBankAdapter, QatTraining, SensitivitySpec
from engine.specs.initialization import replaces_weights
from engine.specs.layer_bits import check_named, find_bits, is_cache_rounded
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer
from engine.specs.sensitivity import Ablation

UNROUNDED_ONLY = "estimates what rounding costs a layer from 16 bits"


class Pair(NamedTuple):
    """A unit at a width that is not its own."""

    unit: str
    bits: int


def check_sensitivity(spec: SensitivitySpec) -> WeightQuantizer:
    """Return the quantizer whose rounding is judged.

    Raises:
        SpecError: With every problem of the spec that shows without the model.
    """
    problems = tuple(iter_sensitivity_problems(spec))
    if problems or isinstance(spec.quantizer, FloatQuantizer):
        raise SpecError(*problems)
    return spec.quantizer


def iter_sensitivity_problems(spec: SensitivitySpec) -> Iterator[Problem]:
    """Yield what of a complete spec cannot be scored, each with what would be accepted."""
    yield from _iter_quantizer_problems(spec)
    yield from _iter_head_problems(spec)
    yield from _iter_width_problems(spec)
    if spec.parent is None and isinstance(spec.training, QatTraining):
        yield Problem(
            "training.method",
            "a sensitivity run trains nothing; choose none, or give the number of the run that "
            "was trained as parent",
        )
    if spec.model.head == "seq2seq" and any(map(is_cache_rounded, spec.start_map)):
        yield Problem(
            "start_map",
            "an encoder-decoder has two caches, which Bitdial does not round; leave the KV part "
            "out",
        )


def iter_layer_problems(spec: SensitivitySpec, names: Collection[str]) -> Iterator[Problem]:
    """Yield what does not fit the layers there are.

    Args:
        spec: A complete spec without other problems.
        names: Of the layers that are rounded.
    """
    try:
        check_named(spec.start_map, names, field="start_map")
    except SpecError as error:
        yield from error.problems
    yield from _iter_own_problems(spec, names)


def find_start(spec: SensitivitySpec, name: str) -> int:
    """Return the width of a layer before anything changes."""
    found = find_bits(spec.start_map, name)
    return spec.start_bits if found is None else found.weights


def list_needed(spec: SensitivitySpec, name: str) -> tuple[int, ...]:
    """Return every width a layer takes, the highest first."""
    return tuple(sorted({*spec.widths, find_start(spec, name)}, reverse=True))


def list_pairs(spec: SensitivitySpec, units: Units) -> tuple[Pair, ...]:
    """Return what is scored, in order: all units at the lowest width, then at the next.

    A unit all of whose layers start at a width is not scored there: nothing would change.

    Args:
        spec: What was asked.
        units: Layers of each unit, as `list_units` gives them.
    """
    return tuple(
        Pair(unit, bits)
        for bits in sorted(spec.widths)
        for unit, layers in units.items()
        if any(find_start(spec, name) != bits for name in layers)
    )


def _iter_quantizer_problems(spec: SensitivitySpec) -> Iterator[Problem]:
    quantizer = spec.quantizer
    if isinstance(quantizer, FloatQuantizer):
        yield Problem(
            "quantizer.grid" if spec.parent is None else "parent",
            "leaves the model at 16 bits, so there is no rounding to score; give integer, "
            "normal-float or loftq-uniform",
        )
    elif quantizer.is_mixed:
        yield Problem(
            "quantizer.bits" if spec.parent is None else "parent",
            f"is {quantizer.bits:g} on the mean over layers; give a whole number, the widths that "
            "are scored are in widths",
        )


def _iter_head_problems(spec: SensitivitySpec) -> Iterator[Problem]:
    """Yield what a head cannot be scored on."""
    method, head = spec.method, spec.model.head
    on_tasks = isinstance(method, Ablation) and method.measured_on == "tasks"
    if head == "causal-lm":
        if on_tasks and not spec.evaluation.benchmarks:
            yield Problem(
                "evaluation.benchmarks",
                "is empty, and tasks are what is to be measured; give a benchmark such as "
                "arc_easy, or choose method.measured_on text",
            )
        return
    if not on_tasks:
        field = "method.measured_on" if isinstance(method, Ablation) else "method.method"
        choice = "tasks" if isinstance(method, Ablation) else "ablation with measured_on tasks"
        yield Problem(field, f"needs a causal-lm head; choose {choice} for a {head} head")
    if spec.parent is None:
        yield Problem(
            "parent", f"is empty; a {head} head is scored once it is trained, so give its run"
        )


def _iter_width_problems(spec: SensitivitySpec) -> Iterator[Problem]:
    if not isinstance(spec.method, Ablation) and not spec.starts_unrounded:
        yield Problem(
            "start_map" if spec.start_bits == BITS_UNQUANTIZED else "start_bits",
            f"{spec.method.method} {UNROUNDED_ONLY}; leave start_bits at 16 and start_map empty, "
            "or choose method.method ablation",
        )
    if not spec.start_map and set(spec.widths) == {spec.start_bits}:
        yield Problem(
            "widths", f"all layers start at {spec.start_bits} bits already; give another width"
        )


def _iter_own_problems(spec: SensitivitySpec, names: Collection[str]) -> Iterator[Problem]:
    """Yield the first width that a layer cannot take, for what it was made or trained for."""
    quantizer, adapter = spec.quantizer, spec.adapter
    if isinstance(quantizer, FloatQuantizer):
        return
    is_fixed = replaces_weights(spec.initialization)
    refuses = isinstance(adapter, LoraBankAdapter) and adapter.fallback == "refuse"
    if not is_fixed and not refuses:
        return
    for name in names:
        own = _list_own(spec, quantizer, name)
        allowed = {*own, BITS_UNQUANTIZED}
        other = next((bits for bits in list_needed(spec, name) if bits not in allowed), None)
        if other is None:
            continue
        start = find_start(spec, name)
        yield _tell_other(spec, other, own, field="start_bits" if other == start else "widths")
        return


def _tell_other(spec: SensitivitySpec, other: int, own: Sequence[int], *, field: str) -> Problem:
    """Say why a layer cannot be at a width."""
    known = f"{', '.join(map(str, own))} bits"
    if replaces_weights(spec.initialization):
        return Problem(
            field,
            f"{spec.initialization.method} makes the weights for {known}, not for {other}; score "
            "these alone, or use initialization.method round-to-nearest or minimal-error",
        )
    return Problem(
        field,
        f"{other} bits have no adapter of their own, {known} have; score these, or train with "
        "adapter.fallback nearest or none",
    )


def _list_own(spec: SensitivitySpec, quantizer: WeightQuantizer, name: str) -> tuple[int, ...]:
    """Return the widths a layer was put in with."""
    found = find_bits(quantizer.layer_bits, name)
    own = int(quantizer.bits) if found is None else found.weights
    return spec.trained_widths or (own,)
