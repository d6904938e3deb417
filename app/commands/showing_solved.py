"""A solved layer map as lines for a terminal. Start with `describe_solved`."""

from __future__ import annotations

from collections.abc import Iterator

from app.quantities import MIB, write_bytes
from tasks.solving import SolvedMap

SHOWN_LAYERS = 3


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


def tell_use(found: SolvedMap) -> str:
    """Return the fields that make a run round as the scores did."""
    spec = found.table.spec
    quantizer = spec.quantizer.model_dump(mode="json", exclude_defaults=True)
    fields = {"grid": spec.quantizer.grid} | {
        name: value
        for name, value in quantizer.items()
        if isinstance(value, str | int | float) and name != "bits"
    }
    words = [f"quantizer.{name}={value}" for name, value in fields.items()]
    return " ".join((f"model.source={spec.model.source}", *words))


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
    yield f"the best map of this size loses at most {found.gap:.2g} less"
    if found.solution.next_gain is None:
        yield "more room would save nothing"
        return
    layers = found.solution.best_next
    more = f" and {len(layers) - SHOWN_LAYERS} more" if len(layers) > SHOWN_LAYERS else ""
    spent = f", spent on {', '.join(layers[:SHOWN_LAYERS])}{more}" if layers else ""
    yield f"the next MiB saves {found.solution.next_gain:.2g}{spent}"
