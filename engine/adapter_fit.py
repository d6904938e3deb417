"""Whether a saved adapter fits the layers it is to start: names, shapes and rank.

Asked before launch, from shapes alone, and again by a run that puts it in. No torch. Start with
`check_adapter_folder`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from engine.errors import ModelError, Problem
from engine.estimates.selection import list_adapted
from engine.models.adapter_header import FIELD, AdapterHeader, read_adapter_header
from engine.models.shapes import ModelShapes
from engine.specs import AdapterFolder, LoraAdapter, Subject

KnownShapes = Mapping[str, tuple[int, int]]


def check_adapter_folder(spec: Subject, shapes: ModelShapes) -> tuple[Problem, ...]:
    """Return why a spec cannot start from the adapter folder it names; nothing where it names none.

    Args:
        spec: A complete spec.
        shapes: The layers of the spec's model.
    """
    start, adapter = spec.initialization, spec.adapter
    if not isinstance(start, AdapterFolder) or not isinstance(adapter, LoraAdapter):
        return ()
    try:
        header = read_adapter_header(start.path)
    except ModelError as error:
        return (Problem(FIELD, str(error).removeprefix(f"{FIELD}: ")),)
    known = {
        layer.name: (layer.out_features, layer.in_features)
        for layer in shapes.layers
        if not layer.is_embedding
    }
    adapted = {layer.name for layer in list_adapted(spec, shapes)}
    return tuple(iter_adapter_misfits(header, known=known, adapted=adapted, rank=adapter.r))


def iter_adapter_misfits(
    header: AdapterHeader, *, known: KnownShapes, adapted: Collection[str], rank: int
) -> Iterator[Problem]:
    """Yield what keeps a saved adapter out of a model's layers, one problem of each kind.

    Args:
        header: The saved adapter.
        known: Shape (O, I) of every linear layer of the model.
        adapted: Names of those that get a pair.
        rank: Of every pair.
    """
    missing = [name for name in header.pairs if name not in known]
    if missing:
        yield Problem(
            FIELD,
            f"is an adapter of another model: its {missing[0]}{_and_more(missing)} is not a layer "
            f"of this one, whose layers are named like {min(adapted or known)}",
        )
    others = [
        name for name, pair in header.pairs.items() if known.get(name, pair.shape) != pair.shape
    ]
    if others:
        name = others[0]
        yield Problem(
            FIELD,
            f"is an adapter of another model: its {name}{_and_more(others)} is of a layer of "
            f"{_write(header.pairs[name].shape)}, this model's is {_write(known[name])}",
        )
    if missing or others:
        return
    left_out = [name for name in header.pairs if name not in adapted]
    if left_out:
        yield Problem(
            FIELD,
            f"has a pair for {left_out[0]}{_and_more(left_out)}, which gets none here; let "
            "adapter.target_modules and quantizer.include name it",
        )
    if header.rank != rank:
        yield Problem(
            "adapter.r",
            f"is {rank}, and the adapter in {header.folder} has rank {header.rank}; set adapter.r "
            f"to {header.rank}",
        )


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _write(shape: tuple[int, int]) -> str:
    return f"{shape[0]} × {shape[1]}"
