"""A model and its tokenizer, ready to be quantized: from hub, folder, GGUF file or bundle.

Whatever the source, what comes out is a causal language model of Transformers whose linear layers
are all `nn.Linear`, frozen and in evaluation mode. Nothing is unpickled (safetensors only) and no
code of a model's own is run. Start with `load_model`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from engine.errors import ModelError
from engine.events import Listener, Logged
from engine.models.bundled import FIELD
from engine.models.conv1d import replace_conv1d
from engine.models.conversion import convert_gguf
from engine.models.hub import hub_error
from engine.models.naming import list_linear_names
from engine.models.quiet import quiet
from engine.models.sources import FolderSource, GgufSource, HubSource, parse_source
from engine.specs import ModelSpec

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        model: In evaluation mode, no parameter requires a gradient, every Conv1D replaced.
        tokenizer: The model's own.
        dtype: What the weights are kept in.
        source: Where they were read from: a folder, or a hub id.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    dtype: torch.dtype
    source: str


def load_model(
    spec: ModelSpec, *, data_folder: Path, device: torch.device, listener: Listener
) -> LoadedModel:
    """Load a causal language model and its tokenizer.

    Args:
        spec: Which model, and in which number format.
        data_folder: Where a converted GGUF is kept.
        device: Where the weights go.
        listener: Told of a conversion and of weights the model has no use for.

    Raises:
        ModelError: When there is no such model, or it is damaged or not of a kind Bitdial knows.
        StorageError: When a converted GGUF cannot be written.
    """
    source = parse_source(spec.source)
    if isinstance(source, GgufSource):
        source = FolderSource(convert_gguf(source, data_folder=data_folder, listener=listener))
    dtype = choose_dtype(spec, device)
    with quiet():
        model = _load_weights(source, spec, dtype=dtype, listener=listener)
        tokenizer = _load_tokenizer(source, spec)
    replace_conv1d(model)
    if not list_linear_names(model):
        raise ModelError(
            f"{spec.source} has no linear layers that could be quantized; accepted are models with "
            "nn.Linear or GPT-2's Conv1D",
            field=FIELD,
        )
    model.requires_grad_(requires_grad=False)
    return LoadedModel(model.eval().to(device), tokenizer, dtype, _where(source))


def choose_dtype(spec: ModelSpec, device: torch.device) -> torch.dtype:
    """Return the number format of the weights: float32 on a CPU, else bfloat16, unless asked."""
    if spec.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return _DTYPES[spec.dtype]


def _where(source: FolderSource | HubSource) -> str:
    return str(source.path) if isinstance(source, FolderSource) else source.repo_id


def _options(source: FolderSource | HubSource, spec: ModelSpec) -> dict[str, Any]:
    """Options that every from_pretrained gets."""
    if isinstance(source, FolderSource):
        return {"trust_remote_code": False, "local_files_only": True}
    return {"trust_remote_code": False, "revision": spec.revision or "main"}


def _load_weights(
    source: FolderSource | HubSource, spec: ModelSpec, *, dtype: torch.dtype, listener: Listener
) -> PreTrainedModel:
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            _where(source),
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **_options(source, spec),
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _unreadable(source, spec, error) from error
    _check_report(report, spec, listener)
    if not isinstance(model, nn.Module):  # cannot happen with PyTorch installed
        raise ModelError(f"{spec.source} is not a PyTorch model", field=FIELD)
    return model


def _check_report(report: dict[str, Any], spec: ModelSpec, listener: Listener) -> None:
    """Refuse a model with made-up weights; mention weights that were not used."""
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{spec.source} lacks {len(missing)} of its weights, such as {missing[0]}; accepted is "
            "a complete checkpoint of a causal language model",
            field=FIELD,
        )
    unused = sorted(report["unexpected_keys"])
    if unused:
        listener(Logged("warning", f"{len(unused)} weights are not used, such as {unused[0]}."))


def _load_tokenizer(source: FolderSource | HubSource, spec: ModelSpec) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            _where(source), **_options(source, spec)
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        if isinstance(source, HubSource):
            raise hub_error(error, source.repo_id, spec.revision) from error
        raise ModelError(
            f"the folder {source.path} holds no tokenizer Transformers can read; put "
            "tokenizer.json and tokenizer_config.json beside the weights",
            field=FIELD,
        ) from error
    return tokenizer


def _unreadable(source: FolderSource | HubSource, spec: ModelSpec, error: Exception) -> ModelError:
    """Say in one sentence why Transformers could not read the model."""
    text = str(error)
    if "trust_remote_code" in text:
        why = "needs code of its own, which Bitdial never runs; choose a model Transformers knows"
    elif "for this kind of AutoModel" in text:
        why = "is not a causal language model; accepted are models for text generation"
    elif isinstance(source, HubSource):
        return hub_error(error, source.repo_id, spec.revision)
    else:
        first = (text.splitlines() or [type(error).__name__])[0]
        why = f"cannot be read: {first}"
    return ModelError(f"the model {spec.source} {why}", field=FIELD)
