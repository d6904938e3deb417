"""A run as a base model with a PEFT adapter beside it, for anybody's Transformers and PEFT.

The folder holds the rounded weights as plain numbers (config.json, safetensors, tokenizer), and
adapter/ what a parallel adapter adds. An absorbed adapter is in the weights already, and so is a
head that was trained whole. The rounding of inputs and cache is left out, and a note says so. Start
with `export_peft`.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError

from engine.device import choose_device
from engine.errors import StorageError
from engine.events import Listener, Logged, StageStarted
from engine.export.families import TASK_TYPES, head_tensors, list_head_modules
from engine.export.new_folder import FIELD, check_new, new_folder
from engine.export.peft_adapter import TrainedHead, list_pairs, write_adapter
from engine.export.plain_model import make_plain
from engine.export.rebuilding import Rebuilt, RunFiles, rebuild
from engine.export.verifying import ask, check_folder, has_peft
from engine.models.quiet import quiet
from engine.specs import Head, NoAdapter, Subject
from engine.specs.model import Dtype

ADAPTER_FOLDER = "adapter"
ABSORBED = "the adapters are inside the weights, so there is no adapter folder"
WEIGHTS_ALONE = (
    "the run rounds {what} as well, which no plain model does: the folder holds its weights alone "
    "and computes with {what} unrounded"
)
BESIDE: Mapping[str, str] = MappingProxyType(
    {"inputs": "the layers' inputs", "cache": "keys and values"}
)
UNCHECKED = "PEFT is not installed, so the adapter was written but not read back"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        adapter: Folder of the adapter inside it; None where there is none.
        dtype: What the base model's numbers are kept in: "float32".
        num_rounded: Layers that hold rounded weights.
        ranks: Ranks of the pairs, each once, the largest first.
        num_pairs: Layers with a pair.
        total_bytes: Of all files.
        difference: Largest difference of a logit from the run's own, relative to the largest.
        notes: What else there is to know, a sentence each.
    """

    folder: str
    adapter: str | None
    dtype: str
    num_rounded: int
    ranks: tuple[int, ...]
    num_pairs: int
    total_bytes: int
    difference: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Written:
    """What is kept of a model that was written: the base's dtype, and the rank of each pair."""

    dtype: torch.dtype
    num_rounded: int
    ranks: tuple[int, ...]


def export_peft(
    spec: Subject,
    folder: Path,
    *,
    files: RunFiles,
    data_folder: Path,
    listener: Listener,
    dtype: Dtype = "auto",
    device: str = "auto",
) -> Exported:
    """Write a run's model to a new folder, load it again and compare.

    Args:
        spec: What the run was asked.
        folder: New or empty; there whole or not at all.
        files: What the run left behind.
        data_folder: Where converted models lie.
        listener: Told of the stages; may raise `Cancelled`.
        dtype: Number format of the base model; "auto" for the run's.
        device: Where it is computed.

    Raises:
        SpecError: When the folder holds something.
        ModelError: When the run's model is no longer to be had.
        CheckpointError: When the result is gone or damaged.
        StorageError: When it cannot be written; nothing is left behind.
        ExportError: When what was written answers otherwise; it is removed.
    """
    check_new(folder)
    if dtype != "auto":
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"dtype": dtype})})
    listener(StageStarted("load"))
    found = choose_device(device)
    rebuilt = rebuild(spec, files, data_folder=data_folder, device=found, listener=listener)
    answers = ask(rebuilt.loaded.model, rebuilt.layers, device=found)
    notes = _list_notes(spec, rebuilt, has_pairs=answers.adapted is not None)
    with new_folder(folder) as beside:
        listener(StageStarted("export"))
        written = _write(beside, rebuilt, base=str(folder), head=spec.model.head)
        del rebuilt  # what is read back has its place
        gc.collect()
        listener(StageStarted("check"))
        is_read_back = answers.adapted is not None and has_peft()
        difference = check_folder(
            beside,
            answers,
            head=spec.model.head,
            adapter=beside / ADAPTER_FOLDER if is_read_back else None,
            dtype=written.dtype,
        )
        total_bytes = sum(path.stat().st_size for path in beside.rglob("*") if path.is_file())
    for note in notes:
        listener(Logged("info", note))
    return Exported(
        folder=str(folder),
        adapter=str(folder / ADAPTER_FOLDER) if written.ranks else None,
        dtype=str(written.dtype).removeprefix("torch."),
        num_rounded=written.num_rounded,
        ranks=tuple(sorted(set(written.ranks), reverse=True)),
        num_pairs=len(written.ranks),
        total_bytes=total_bytes,
        difference=difference,
        notes=notes,
    )


def _list_notes(spec: Subject, rebuilt: Rebuilt, *, has_pairs: bool) -> tuple[str, ...]:
    """Return what there is to know of where the adapters are, and of what was left out."""
    notes = []
    if has_pairs and not has_peft():
        notes.append(UNCHECKED)
    elif not has_pairs and not isinstance(spec.adapter, NoAdapter):
        notes.append(ABSORBED)
    if rebuilt.rounded_beside:
        what = " and ".join(BESIDE[name] for name in rebuilt.rounded_beside)
        notes.append(WEIGHTS_ALONE.format(what=what))
    return tuple(notes)


def _write(folder: Path, rebuilt: Rebuilt, *, base: str, head: Head) -> _Written:
    """Write base model, tokenizer and adapter; the model has plain layers afterwards."""
    pairs = list_pairs(rebuilt.layers)
    model = rebuilt.loaded.model
    transposed = make_plain(model)
    modules = list_head_modules(model, head)
    try:
        with quiet():
            model.save_pretrained(folder)
            rebuilt.loaded.tokenizer.save_pretrained(folder)
        if pairs:
            write_adapter(
                folder / ADAPTER_FOLDER,
                pairs,
                base=base,
                head=TrainedHead(TASK_TYPES[head], modules, head_tensors(model, modules)),
                transposed=transposed,
            )
    except SafetensorError as error:
        raise StorageError(f"the folder cannot be written: {error}", field=FIELD) from error
    return _Written(
        rebuilt.loaded.dtype,
        sum(layer.ranges is not None for layer in rebuilt.layers.values()),
        tuple(len(pair.a) for pair in pairs.values()),
    )
