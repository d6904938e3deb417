"""Whether a trained run can be measured at the layer maps that are asked for. No torch.

Asked before launch, from names of layers alone, and again by a run before it measures. That the
lines of a map name layers there are is told by `engine.layer_fit`. Start with `iter_map_problems`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from engine.errors import Problem, SpecError
from engine.specs import (
    FloatQuantizer,
    LayerBitsMap,
    LoraBankAdapter,
    MapEvaluationSpec,
    MapSpec,
    RandomMap,
    Subject,
    UniformMap,
)
from engine.specs.initialization import replaces_weights
from engine.specs.layer_bits import find_bits, is_cache_rounded
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer

FIELD = "maps"


def check_measurable(spec: Subject) -> WeightQuantizer:
    """Return the quantizer of a training run that can be measured at other widths.

    Raises:
        SpecError: At the parent, when it has no width to change.
    """
    quantizer = spec.quantizer
    if isinstance(quantizer, FloatQuantizer):
        raise SpecError.at(
            "parent",
            "leaves its model at 16 bits, so there is no other width to measure; give a run with "
            "quantizer.grid integer, normal-float or loftq-uniform",
        )
    if quantizer.is_mixed:
        raise SpecError.at(
            "parent",
            f"has {quantizer.bits:g} bits on the mean over layers; give a run whose quantizer.bits "
            "is a whole number",
        )
    return quantizer


def iter_map_problems(
    spec: MapEvaluationSpec,
    *,
    quantized: Collection[str],
    adapted: Collection[str],
    whole: Collection[str],
) -> Iterator[Problem]:
    """Yield what keeps a trained run from being measured at these maps, one problem of each kind.

    Args:
        spec: A complete spec whose quantizer has whole bits.
        quantized: Names of the layers that are rounded.
        adapted: Names of those that have an adapter.
        whole: Names of the layers that stand among them at 16 bits, by a layer map of the run.
    """
    yield from _iter_label_problems(spec)
    yield from _iter_start_problems(spec, quantized)
    yield from _iter_fallback_problems(spec, adapted)
    yield from _iter_whole_problems(spec, whole)
    yield from _iter_cache_problems(spec)


def list_needed(spec: MapEvaluationSpec, name: str) -> tuple[int, ...]:
    """Return every width a layer takes at the maps, the highest first."""
    quantizer = check_measurable(spec)
    found = {bits for each in spec.maps for bits in _list_taken(quantizer, each, name)}
    return tuple(sorted(found, reverse=True))


def list_lines(spec: MapEvaluationSpec) -> tuple[str, ...]:
    """Return the lines of all maps that give single layers widths."""
    return tuple(
        line for each in spec.maps if isinstance(each, LayerBitsMap) for line in each.layer_bits
    )


def _list_taken(quantizer: WeightQuantizer, wanted: MapSpec, name: str) -> tuple[int, ...]:
    """Return the widths a layer can have at a map."""
    if isinstance(wanted, UniformMap):
        return (wanted.bits,)
    if isinstance(wanted, RandomMap):
        return wanted.widths
    found = find_bits((*quantizer.layer_bits, *wanted.layer_bits), name)
    return (int(quantizer.bits) if found is None else found.weights,)


def _list_own(spec: Subject, name: str) -> tuple[int, ...]:
    """Return the widths a layer was trained at."""
    quantizer = check_measurable(spec)
    found = find_bits(quantizer.layer_bits, name)
    own = int(quantizer.bits) if found is None else found.weights
    return spec.trained_widths or (own,)


def _iter_label_problems(spec: MapEvaluationSpec) -> Iterator[Problem]:
    (label, count), *_ = Counter(each.label for each in spec.maps).most_common(1)
    if count > 1:
        yield Problem(FIELD, f"{count} maps are called {label!r}; ask for each once, by its name")


def _iter_start_problems(spec: MapEvaluationSpec, quantized: Collection[str]) -> Iterator[Problem]:
    """Yield why frozen weights that were made for one width cannot be rounded to another."""
    if not replaces_weights(spec.initialization):
        return
    for name in quantized:
        own = _list_own(spec, name)
        other = next((bits for bits in list_needed(spec, name) if bits not in own), None)
        if other is not None:
            yield Problem(
                FIELD,
                f"{spec.initialization.method} made the weights of run {spec.parent} for "
                f"{_write(own)}, not for {other}; measure it at its own width, or train one with "
                "initialization.method round-to-nearest or minimal-error",
            )
            return


def _iter_fallback_problems(spec: MapEvaluationSpec, adapted: Collection[str]) -> Iterator[Problem]:
    """Yield which width has no adapter where none may stand in."""
    if not isinstance(spec.adapter, LoraBankAdapter) or spec.adapter.fallback != "refuse":
        return
    for name in adapted:
        own = _list_own(spec, name)
        without = (bits for bits in list_needed(spec, name) if bits not in (*own, BITS_UNQUANTIZED))
        missing = next(without, None)
        if missing is not None:
            yield Problem(
                "adapter.fallback",
                f"{missing} bits have no adapter of their own in run {spec.parent}, which has them "
                f"for {_write(own)}; measure these widths, or train with adapter.fallback nearest "
                "or none",
            )
            return


def _iter_whole_problems(spec: MapEvaluationSpec, whole: Collection[str]) -> Iterator[Problem]:
    """Yield where a map has a width for a layer that has no ranges."""
    for each in spec.maps:
        lines = each.layer_bits if isinstance(each, LayerBitsMap) else ()
        for name in whole:
            found = find_bits(lines, name)
            if found is not None and found.weights != BITS_UNQUANTIZED:
                yield Problem(
                    FIELD,
                    f"in {each.label}, {name} has {found.weights} bits, and run {spec.parent} left "
                    "it at 16; give it 16 as well",
                )
                return


def _iter_cache_problems(spec: MapEvaluationSpec) -> Iterator[Problem]:
    """Yield where a map rounds the two caches of an encoder-decoder."""
    if spec.model.head != "seq2seq":
        return
    for line in list_lines(spec):
        if is_cache_rounded(line):
            yield Problem(
                FIELD,
                f"{line} has a width for keys and values; an encoder-decoder has two caches, which "
                "Bitdial does not round; leave the KV part out",
            )
            return


def _write(widths: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, widths))} bits"
