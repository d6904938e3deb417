"""A decoder with a classification head, once more as the causal language model it came from.

The body is shared; the output layer is the token embedding where the two are tied, and else read
from the checkpoint. Start with `load_language_model`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.utils import cached_file

from engine.errors import ModelError
from engine.layers.head import SplitModel
from engine.models.loading import LoadedModel
from engine.models.quiet import quiet
from engine.models.sources import INDEX_FILE, WEIGHTS_FILE

Found = tuple[SplitModel | None, str]


def load_language_model(loaded: LoadedModel, *, revision: str | None = None) -> Found:
    """Return the causal language model on a classifier's body, or None and why there is none.

    Args:
        loaded: A decoder with a classification head; its body is shared, not copied.
        revision: Of a hub model, as it was loaded.
    """
    model = loaded.model
    causal = _build_blank(model.config)
    head = causal.get_output_embeddings()
    names = {id(module): name for name, module in causal.named_modules()}
    wanted = {name: f"{names[id(head)]}.{name}" for name, _ in head.named_parameters()}
    given: dict[str, Tensor] = {}
    if model.config.tie_word_embeddings:
        given["weight"] = model.get_input_embeddings().weight
    missing = {name: at for name, at in wanted.items() if name not in given}
    read = _read_tensors(loaded.source, missing.values(), revision=revision)
    given |= {name: read[at] for name, at in missing.items() if at in read}
    absent = next((at for name, at in wanted.items() if name not in given), None)
    if absent is not None:
        return None, f"the checkpoint {loaded.source} has no output layer for tokens ({absent})"
    for name, value in given.items():
        placed = value.detach().to(device=loaded.model.device, dtype=loaded.dtype)
        setattr(head, name, nn.Parameter(placed, requires_grad=False))
    setattr(causal, causal.base_model_prefix, model.base_model)
    try:
        with quiet():
            return SplitModel(causal.eval()), ""
    except ModelError as error:
        return None, str(error)


def _build_blank(config: Any) -> Any:
    """Build the causal language model of a config without weights."""
    with quiet(), torch.device("meta"):
        return AutoModelForCausalLM.from_config(copy.deepcopy(config))


def _read_tensors(source: str, names: Iterable[str], *, revision: str | None) -> dict[str, Tensor]:
    """Return those of the named tensors that a checkpoint in a folder or on the hub has."""
    found: dict[str, Tensor] = {}
    wanted = list(names)
    if not wanted:
        return found
    index = _locate(source, INDEX_FILE, revision)
    files = json.loads(index.read_bytes())["weight_map"] if index is not None else {}
    for name in wanted:
        path = _locate(source, files.get(name, WEIGHTS_FILE), revision)
        if path is None:
            continue
        try:
            with safe_open(path, framework="pt") as file:
                if name in file.keys():  # noqa: SIM118  the file is no mapping
                    found[name] = file.get_tensor(name)
        except (OSError, SafetensorError):
            continue
    return found


def _locate(source: str, name: str, revision: str | None) -> Path | None:
    try:
        path = cached_file(
            source, name, revision=revision or "main",
            _raise_exceptions_for_missing_entries=False,
        )  # fmt: skip
    except OSError:
        return None
    return None if path is None else Path(path)
