"""A solved layer map as lines for a terminal. Start with `describe_solved`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from app.quantities import MIB, write_bytes
from engine.specs import ExperimentSpec, SensitivitySpec
from tasks.solving import SolvedMap

SHOWN_LAYERS = 3
PARTS: Mapping[str, str] = MappingProxyType(
    {"model": "source", "quantizer": "grid", "adapter": "kind", "initialization": "method"}
)
"""What a run needs to round as the scores did, and the field that names its kind.

Adapters are there only where something fills them before any training.
"""
MAPPED = ("bits", "mixing", "layer_bits")
"""Fields of a quantizer that the map replaces."""


def describe_solved(found: SolvedMap) -> tuple[str, ...]:
    """Return what a map weighs, what it may lose, and what more room would save."""
    table = found.table
    about = f"run {table.run.id}, {table.method.replace('-', ' ')}, {table.metric}"
    return (
        f"scores: {about}" + (f"; {table.note}" if table.note else ""),
        *_describe_size(found),
        *_describe_loss(found),
        "widths: " + ", ".join(f"{bits} bits × {count}" for bits, count in found.counts.items()),
    )


def tell_use(found: SolvedMap, path: Path) -> tuple[str, ...]:
    """Return how to use a map that was written to a file: a sentence, and a command for a shell.

    The command rounds as the scores did, with adapters where those were filled; of a training
    run's layers, it measures the map there.
    """
    file = shlex.quote(str(path))
    spec = found.table.spec
    if spec.parent is not None:
        return (
            f"the map is in {path}; it is for run {spec.parent} with its adapters, whose layers "
            "were scored, not for the model without them; measure it with:",
            f"  bitdial evaluate {spec.parent} --map solved={file}",
        )
    fields = " ".join(map(shlex.quote, _list_fields(spec)))
    return (
        f"the map is in {path}; use it with:",
        f"  bitdial run --layer-map {file} {fields}",
    )


def _list_fields(spec: SensitivitySpec) -> Iterator[str]:
    """Yield KEY=YAML of everything that says what is rounded and how, where it is no default."""
    usual = ExperimentSpec().model_dump(mode="json")
    for part, tag in PARTS.items():
        values = getattr(spec, part).model_dump(mode="json")
        named = getattr(spec, part).model_dump(mode="json", exclude_defaults=True)
        is_usual = values[tag] == usual[part][tag]
        for name, value in values.items():
            if name in MAPPED and part == "quantizer":
                continue
            if value != usual[part][name] if is_usual else name == tag or name in named:
                yield f"{part}.{name}={_write_yaml(value)}"
    if spec.seed != usual["seed"]:
        yield f"seed={spec.seed}"


def _write_yaml(value: Any) -> str:
    """Write a value as YAML reads it back: words as they are, all else as JSON."""
    return value if isinstance(value, str) and yaml.safe_load(value) == value else json.dumps(value)


def _describe_size(found: SolvedMap) -> Iterator[str]:
    ledger = found.ledger
    taken = found.solution.stored_bits / 8 / MIB
    yield (
        f"budget: {found.request.budget}; the layers take {taken:.2f} MiB, "
        f"{ledger.effective_bits:.3f} bits per weight, {ledger.nominal_bits:.3f} without scales"
    )
    parts = (
        f"{name.replace('_', ' ')} {write_bytes(size)}"
        for name, size in ledger.parts.items()
        if size
    )
    share = ledger.total / ledger.original
    yield (
        f"model: {write_bytes(ledger.total)} of {write_bytes(ledger.original)} ({share:.1%}): "
        + ", ".join(parts)
    )


def _describe_loss(found: SolvedMap) -> Iterator[str]:
    told = found.prediction
    span = "" if told.low is None else f" ({told.low:.4g} to {told.high:.4g})"
    maps = "map" if told.corrected_by == 1 else "maps"
    learned = f", corrected by {told.corrected_by} measured {maps}" if told.corrected_by else ""
    yield f"predicted loss: {told.value:.4g}{span} {found.table.metric}{learned}"
    if told.obstacle:
        yield told.obstacle
    yield f"the best map of this size loses at most {told.gap:.2g} less"
    if told.next_gain is None:
        yield "more room would save nothing"
        return
    layers = found.solution.best_next
    more = f" and {len(layers) - SHOWN_LAYERS} more" if len(layers) > SHOWN_LAYERS else ""
    spent = f", spent on {', '.join(layers[:SHOWN_LAYERS])}{more}" if layers else ""
    yield f"the next MiB saves {told.next_gain:.2g}{spent}"
