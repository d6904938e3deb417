"""Whether a saved adapter fits the layers it is to start: names, shapes and rank, and its head.

Asked before launch, from shapes alone, and again by a run that puts it in. No torch. Start with
`check_adapter_folder`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from engine.errors import ModelError, Problem
from engine.estimates.selection import list_adapted, list_quantized
from engine.models.adapter_header import FIELD, AdapterHeader, read_adapter_header
from engine.models.shapes import ModelShapes
from engine.specs import AdapterFolder, LoraAdapter, Subject
from engine.specs.data import CLASSES_BY_TASK, count_outputs

KnownShapes = Mapping[str, tuple[int, int]]
HeadShapes = Mapping[str, tuple[int, ...]]


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
    return (
        *iter_adapter_misfits(header, known=known, adapted=adapted, rank=adapter.r),
        *_iter_head_misfits(header, spec, shapes),
    )


def iter_head_misfits(saved: HeadShapes, *, known: HeadShapes) -> Iterator[Problem]:
    """Yield what keeps a saved head out of a model's, one problem at most.

    Args:
        saved: Parameters of the saved head: name to shape.
        known: The model's parameters that are neither rounded nor adapted.
    """
    missing = [name for name in saved if name not in known]
    others = [name for name in saved if known.get(name, saved[name]) != saved[name]]
    if missing:
        yield Problem(
            FIELD,
            f"holds {missing[0]}{_and_more(missing)} of a trained head, which this model has not "
            "or rounds; choose the model.head it was trained with, and let quantizer.exclude name "
            "the head",
        )
    elif others:
        name = max(others, key=lambda each: len(saved[each]))  # a weight says more than a bias
        yield Problem(
            FIELD,
            f"holds a trained head whose {name} is of {_write(saved[name])}, this "
            f"model's is of {_write(known[name])}; choose a task with as many classes",
        )


def _iter_head_misfits(
    header: AdapterHeader, spec: Subject, shapes: ModelShapes
) -> Iterator[Problem]:
    """Yield the same from shapes alone: of matrices whose names are known; a run knows the rest."""
    if spec.model.head in ("causal-lm", "seq2seq"):
        yield from iter_head_misfits(header.head, known={})
        return
    matrices = {f"{layer.name}.weight": layer for layer in shapes.layers}
    output = shapes.layers[-1]
    taken = {layer.name for layer in (*list_quantized(spec, shapes), *list_adapted(spec, shapes))}
    known = {
        name: (_count_outputs(spec) if layer is output else layer.out_features, layer.in_features)
        for name, layer in matrices.items()
        if layer.name not in taken
    }
    saved = {name: shape for name, shape in header.head.items() if name in matrices}
    yield from iter_head_misfits(saved, known=known)


def _count_outputs(spec: Subject) -> int:
    """Return what a head that does not write tokens puts out: classes, or a start and an end."""
    if spec.model.head == "span-qa":
        return 2
    task = spec.training_task
    return count_outputs(CLASSES_BY_TASK[spec.measured_tasks[0] if task is None else task.task])


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


def _write(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
