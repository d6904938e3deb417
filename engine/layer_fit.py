"""Whether a spec fits the layers of its model: groups, widths, layer maps, caches, ranks, patterns.

Asked before launch, from shapes alone, and again by a run before it begins. No torch.
Start with `check_fit`.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.allocation.fractions import spread_widths
from engine.allocation.mean_budget import check_layers
from engine.errors import Problem, SpecError
from engine.estimates.rank_space import list_groups
from engine.estimates.selection import list_adapted, list_quantized, list_selected
from engine.line_fit import OWN_LINES, iter_cache_problems, iter_line_problems
from engine.models.shapes import LayerShape, ModelShapes
from engine.search.spaces import check_ranks
from engine.specs import ElasticLoraAdapter, FloatQuantizer, NoAdapter, QatTraining, Subject
from engine.specs.quantizer import BySensitivity, WeightQuantizer

_SMALLEST_GROUP, _LARGEST_GROUP = 8, 8192
_NUM_SHOWN = 8


def check_fit(spec: Subject, shapes: ModelShapes) -> tuple[Problem, ...]:
    """Return what of a spec does not fit a model, each with what would be accepted.

    Args:
        spec: A complete spec.
        shapes: The layers of the spec's model.
    """
    return (*_iter_quantizer_problems(spec, shapes), *_iter_adapter_problems(spec, shapes))


def _iter_quantizer_problems(spec: Subject, shapes: ModelShapes) -> Iterator[Problem]:
    if isinstance(spec.quantizer, FloatQuantizer):
        return
    selected, layers = list_selected(spec, shapes), list_quantized(spec, shapes)
    if not selected:
        yield Problem(
            "quantizer.include",
            "no layer of this model is selected once the excluded ones are left out; "
            f"its layers are named like {_examples(shapes)}",
        )
        return
    if (
        not layers
        and isinstance(spec.training, QatTraining)
        and isinstance(spec.adapter, NoAdapter)
    ):
        yield Problem(
            OWN_LINES,
            "leaves every weight at 16 bits, so that there is nothing to train; give some layers a "
            "width from 2 to 8, or choose adapter.kind lora",
        )
    if layers:
        yield from _iter_group_problems(layers, spec.quantizer)
        yield from _iter_width_problems(layers, spec.quantizer)
    yield from iter_line_problems(spec, shapes)
    yield from iter_cache_problems(spec, shapes)


def _iter_width_problems(
    layers: tuple[LayerShape, ...], quantizer: WeightQuantizer
) -> Iterator[Problem]:
    """Yield what keeps these layers from having a fraction of bits on the mean."""
    try:
        if isinstance(quantizer.mixing, BySensitivity):
            check_layers(len(layers), quantizer.bits)
        else:
            spread_widths({layer.name: layer.num_weights for layer in layers}, quantizer.bits)
    except SpecError as error:
        yield from error.problems


def _iter_group_problems(
    layers: tuple[LayerShape, ...], quantizer: WeightQuantizer
) -> Iterator[Problem]:
    """Yield one problem for the first layer that the group size does not divide."""
    group_size = quantizer.shared_weights
    for layer in layers:
        if group_size is not None and layer.in_features % group_size:
            accepted = _common_divisors([each.in_features for each in layers])
            yield Problem(
                "quantizer.group_size",
                f"{group_size} does not divide the {layer.in_features} inputs of {layer.name}; "
                + _write_choices(accepted, quantizer),
            )
            return


def _write_choices(accepted: tuple[int, ...], quantizer: WeightQuantizer) -> str:
    """Say what to do about a group size: other sizes, else leave the layer out."""
    choice = f"choose one of {', '.join(map(str, accepted))}" if accepted else "exclude the layer"
    granularity = {"integer": "channel", "loftq-uniform": "tensor"}.get(quantizer.grid)
    if granularity is None:
        return choice
    return f"{choice}{',' if accepted else ''} or quantizer.granularity {granularity}"


def _common_divisors(sizes: list[int]) -> tuple[int, ...]:
    """Return the group sizes that divide every layer, the powers of two first where many."""
    smallest = min(sizes)
    found = [
        size
        for size in range(_SMALLEST_GROUP, min(smallest, _LARGEST_GROUP) + 1)
        if all(each % size == 0 for each in sizes)
    ]
    powers = [size for size in found if size & (size - 1) == 0]
    return tuple(found if len(found) <= _NUM_SHOWN else powers or found[:_NUM_SHOWN])


def _iter_adapter_problems(spec: Subject, shapes: ModelShapes) -> Iterator[Problem]:
    if isinstance(spec.adapter, NoAdapter):
        return
    layers = list_adapted(spec, shapes)
    if not layers:
        yield Problem(
            "adapter.target_modules",
            "no quantized linear layer matches; use * for all of them, or names like "
            f"{_examples(shapes)}",
        )
        return
    layer = min(layers, key=_largest_rank)
    adapter = spec.adapter
    is_elastic = isinstance(adapter, ElasticLoraAdapter)
    if spec.adapter.max_rank > _largest_rank(layer):
        yield Problem(
            "adapter.rank_space" if is_elastic else "adapter.r",
            f"{spec.adapter.max_rank} is more than {layer.name} ({layer.out_features} × "
            f"{layer.in_features}) allows; use at most {_largest_rank(layer)}",
        )
    if isinstance(adapter, ElasticLoraAdapter) and adapter.rank_policy == "fixed":
        groups = [group.name for group in list_groups(spec, shapes)]
        ranks = adapter.reported_ranks(len(groups))
        try:
            check_ranks(ranks, groups=groups, rank_space=adapter.rank_space, field="adapter.ranks")
        except SpecError as error:
            yield from error.problems


def _largest_rank(layer: LayerShape) -> int:
    return min(layer.out_features, layer.in_features)


def _examples(shapes: ModelShapes) -> str:
    inside = [layer.name for layer in shapes.layers if not layer.is_embedding]
    return " and ".join((inside[0], inside[-1]))
