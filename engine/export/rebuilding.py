"""A run's own model again, from its spec and its result. Start with `rebuild`.

No start is computed and no data is read: what is rounded follows from the codes alone. An absorbed
adapter is part of those; at a layer that is not rounded it is added to the 16-bit weight.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import CheckpointError
from engine.events import Listener
from engine.export.families import list_classes
from engine.layers.adapters import LoraPair
from engine.layers.layer_map import LayerSetting, apply_map
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import LayerPlan, Layers, install
from engine.models.heads import list_trained, load_head
from engine.models.loading import FreshHead, LoadedModel, load_model
from engine.models.naming import group_of
from engine.result import iter_weights, read_trained, read_widths
from engine.specs import (
    ElasticLoraAdapter,
    ExperimentSpec,
    LoraAdapter,
    Subject,
)
from engine.specs.data import count_outputs
from engine.specs.quantizer import BITS_UNQUANTIZED


@dataclass(frozen=True)
class RunFiles:
    """What a run left behind.

    Attributes:
        result: Codes, ranges and adapters, whole or cut to their ranks.
        head: The head that was trained whole; None where there is none.
    """

    result: Path
    head: Path | None = None


@dataclass(frozen=True)
class Rebuilt:
    """A run's model at its bits and ranks.

    Attributes:
        loaded: The model with the layers in it, and its tokenizer.
        layers: By name; the frozen weights are the rounded ones. Inputs and cache stay unrounded.
        rounded_beside: What the run rounds beside its weights: "inputs", "cache".
    """

    loaded: LoadedModel
    layers: Layers
    rounded_beside: tuple[str, ...] = ()


def rebuild(
    spec: Subject, files: RunFiles, *, data_folder: Path, device: torch.device, listener: Listener
) -> Rebuilt:
    """Build the model a run ended with.

    Args:
        spec: What was asked.
        files: What the run left behind.
        data_folder: Where converted models lie.
        device: Where the weights go.
        listener: Told of a conversion.

    Raises:
        ModelError: When the model is no longer to be had.
        CheckpointError: When the result is gone, damaged or of another model.
    """
    widths = read_widths(files.result)
    saved = _at_own_widths(read_trained(files.result), widths)
    loaded = _load(spec, data_folder=data_folder, device=device, listener=listener)
    plan = LayerPlan(spec.quantizer, spec.adapter, spec.seed, widths)
    layers = install(loaded.model, plan)
    rounded_beside = _list_rounded_beside(layers)
    # weights are handed over, and nothing that would round what flows past them
    apply_map(
        layers, dict.fromkeys(layers, LayerSetting(inputs=BITS_UNQUANTIZED, cache=BITS_UNQUANTIZED))
    )
    with torch.no_grad():
        _fill_rounded(layers, files.result, widths, saved)
        _fill_adapters(spec, layers, saved)
    _fill_head(spec, loaded, files.head)
    return Rebuilt(loaded, layers, rounded_beside)


def _at_own_widths(saved: dict[str, Tensor], widths: Mapping[str, int]) -> dict[str, Tensor]:
    """Return of layers trained at several widths what belongs to the width of their codes.

    Args:
        saved: By name: "LAYER/adapter.a", or "LAYER/adapter.8.a" where each width has its own.
        widths: Of the codes, by layer.
    """
    found = {}
    for key, value in saved.items():
        layer, _, part = key.rpartition("/")
        name, *width, leaf = part.split(".")
        if not width or width[0] == str(widths.get(layer, BITS_UNQUANTIZED)):
            found[f"{layer}/{name}.{leaf}"] = value
    return found


def _fill_rounded(
    layers: Layers, result: Path, known: Collection[str], saved: dict[str, Tensor]
) -> None:
    """Take the rounded weights and their ranges, one layer after another."""
    rounded = [name for name, layer in layers.items() if layer.ranges is not None]
    foreign = next((name for name in rounded if name not in known), None)
    if foreign is not None:
        raise _foreign(foreign)
    for name, weight in iter_weights(result, rounded):
        _round(name, layers[name], weight, saved)


def _fill_adapters(spec: Subject, layers: Layers, saved: dict[str, Tensor]) -> None:
    """Take the pairs, at the ranks the run reports; none where the codes hold them already."""
    pairs = {name: layer.adapter for name, layer in layers.items() if layer.adapter is not None}
    ranks = _find_ranks(spec, list(pairs))
    for name, pair in pairs.items():
        layer = layers[name]
        if pair.is_absorbed and layer.ranges is not None:
            layer.set_rank(0)
        else:
            rank = _fill(name, pair, saved)
            layer.set_rank(ranks.get(name, rank))


def _load(
    spec: Subject, *, data_folder: Path, device: torch.device, listener: Listener
) -> LoadedModel:
    """Load the model with its head, which names the classes it was trained on."""
    classes = list_classes(spec)
    count = None if classes is None else count_outputs(classes)
    loaded = load_model(
        spec.model,
        data_folder=data_folder,
        device=device,
        listener=listener,
        head=FreshHead(count, spec.seed, classes or ()),
    )
    if classes and spec.training_task is not None:
        loaded.model.config.id2label = dict(enumerate(classes))
        loaded.model.config.label2id = {name: place for place, name in enumerate(classes)}
    return loaded


def _fill_head(spec: Subject, loaded: LoadedModel, path: Path | None) -> None:
    """Take the head that was trained whole, where there is one."""
    trained = list_trained(loaded.model, spec.model.head, loaded.fresh)
    if not trained:
        return
    if path is None:
        raise CheckpointError("the run's trained head is gone; train it again")
    load_head(path, trained)


def _list_rounded_beside(layers: Layers) -> tuple[str, ...]:
    """Return what is rounded at the widths the layers were put in with, but for weights."""
    inputs = {layer.active_inputs for layer in layers.values()}
    cache = {layer.cache_bits for layer in layers.values()}
    found = {"inputs": inputs, "cache": cache}
    return tuple(name for name, bits in found.items() if bits - {BITS_UNQUANTIZED})


def _find_ranks(spec: Subject, adapted: list[str]) -> dict[str, int]:
    """Return the rank of every adapted layer; none where the result was cut to them."""
    if isinstance(spec.adapter, LoraAdapter):
        return dict.fromkeys(adapted, spec.adapter.r)
    if not isinstance(spec.adapter, ElasticLoraAdapter) or not isinstance(spec, ExperimentSpec):
        return {}
    groups = {name: group_of(name, spec.adapter.grouping) for name in adapted}
    order = tuple(dict.fromkeys(groups.values()))
    by_group = dict(zip(order, spec.adapter.reported_ranks(len(order)), strict=True))
    return {name: by_group[group] for name, group in groups.items()}


def _round(name: str, layer: RoundedWeight, weight: Tensor, saved: dict[str, Tensor]) -> None:
    """Take the rounded weight and its ranges."""
    assert layer.ranges is not None
    start = f"{name}/ranges."
    ranges = {key.removeprefix(start): each for key, each in saved.items() if key.startswith(start)}
    try:
        layer.ranges.load_state_dict(ranges)
    except RuntimeError as error:
        raise _foreign(name) from error
    if weight.shape != layer.weight.shape:
        raise _foreign(name)
    layer.weight.data.copy_(weight)


def _fill(name: str, pair: LoraPair, saved: dict[str, Tensor]) -> int:
    """Take a saved pair and its factor; return its rank."""
    first, second, scaling = (saved.get(f"{name}/adapter.{key}") for key in ("a", "b", "scaling"))
    if first is None or second is None or scaling is None or len(first) > pair.max_rank:
        raise _foreign(name)
    if first.shape[1] != pair.a.shape[1] or len(second) != len(pair.b):
        raise _foreign(name)
    pair.a[: len(first)].copy_(first)
    pair.b[:, : len(first)].copy_(second)
    pair.scaling = float(scaling)
    return len(first)


def _foreign(name: str) -> CheckpointError:
    return CheckpointError(f"the result does not have {name} as this model has it; train again")
