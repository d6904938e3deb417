"""A model and its tokenizer, ready to be quantized: from hub, folder, GGUF file or bundle.

Whatever the source, what comes out is a model of Transformers with the head asked for, whose linear
layers are all `nn.Linear`, frozen and in evaluation mode. Nothing is unpickled (safetensors only)
and no code of a model's own is run. What is particular to a head stands in `heads`. Start with
`load_model`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from engine.errors import ModelError
from engine.events import Listener, Logged
from engine.models.bundled import FIELD
from engine.models.conv1d import replace_conv1d
from engine.models.conversion import convert_gguf
from engine.models.families import check_head
from engine.models.heads import (
    auto_class,
    configure,
    is_of_head,
    limit_rows,
    list_trained,
    order_classes,
    set_padding,
    start_fresh,
    widen,
)
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


_WRONG_KIND = {
    "causal-lm": "is not a causal language model; accepted are models for text generation",
    "classification": "cannot classify; accepted are BERT, RoBERTa, DeBERTa and Llama kinds",
    "span-qa": "cannot mark spans; accepted are BERT, RoBERTa, DeBERTa and Llama kinds",
    "seq2seq": "is not an encoder-decoder; accepted are BART and T5 kinds",
}
_ACCEPTED = {
    "causal-lm": "a causal language model",
    "classification": "a model's body, with or without this head",
    "span-qa": "a model's body, with or without this head",
    "seq2seq": "an encoder-decoder",
}


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        model: In evaluation mode, no parameter requires a gradient, every Conv1D replaced.
        tokenizer: The model's own; under a head other than causal-lm its `model_max_length` is at
            most what the model reads.
        dtype: What the weights are kept in.
        source: Where they were read from: a folder, or a hub id.
        fresh: Parameters the checkpoint lacked: a head that started at random.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    dtype: torch.dtype
    source: str
    fresh: tuple[str, ...] = ()


@dataclass(frozen=True)
class FreshHead:
    """How a head that the checkpoint lacks starts, and how one that it has is ordered.

    Attributes:
        num_labels: Classes of a classification head, 1 for a regression; None for other heads.
        seed: Seed of its start.
        classes: Names of the classes in the order wanted; a checkpoint's head that has them in
            another is put into this one. Empty where the order does not matter.
    """

    num_labels: int | None = None
    seed: int = 0
    classes: tuple[str, ...] = ()


NO_HEAD = FreshHead()


def load_model(
    spec: ModelSpec,
    *,
    data_folder: Path,
    device: torch.device,
    listener: Listener,
    head: FreshHead = NO_HEAD,
) -> LoadedModel:
    """Load a model and its tokenizer.

    Args:
        spec: Which model, with which head, and in which number format.
        data_folder: Where a converted GGUF is kept.
        device: Where the weights go.
        listener: Told of a conversion, of weights the model has no use for, of a fresh head and of
            classes that change places.
        head: How a head starts that the checkpoint lacks.

    Raises:
        ModelError: When there is no such model, it is damaged or not of a kind Bitdial knows, or
            the head does not fit it.
        StorageError: When a converted GGUF cannot be written.
    """
    source = parse_source(spec.source)
    if isinstance(source, GgufSource):
        source = FolderSource(convert_gguf(source, data_folder=data_folder, listener=listener))
    dtype = choose_dtype(spec, device)
    with quiet():
        config = _load_config(source, spec)
        check_head(config.to_dict(), spec.head, name=spec.source)
        options = configure(config, spec.head, head.num_labels)
        options |= {"config": config, "dtype": dtype}
        model, report = _load_weights(source, spec, options)
        tokenizer = _load_tokenizer(source, spec)
    fresh = _check_report(model, report, spec, listener)
    replace_conv1d(model)
    if not list_linear_names(model):
        raise ModelError(
            f"{spec.source} has no linear layers that could be quantized; accepted are models with "
            "nn.Linear or GPT-2's Conv1D",
            field=FIELD,
        )
    model.requires_grad_(requires_grad=False)
    if spec.head != "causal-lm":
        start_fresh(model, fresh, seed=head.seed)
        if spec.head == "classification" and order_classes(model, head.classes, fresh):
            names = ", ".join(head.classes)
            listener(Logged("info", f"The head's classes are put into the task's order: {names}."))
        widen(model, list_trained(model, spec.head, fresh))
        set_padding(model, tokenizer)
        limit_rows(model, tokenizer)
    return LoadedModel(model.eval().to(device), tokenizer, dtype, _where(source), fresh)


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


def _load_config(source: FolderSource | HubSource, spec: ModelSpec) -> Any:
    try:
        return AutoConfig.from_pretrained(_where(source), **_options(source, spec))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise _unreadable(source, spec, error) from error


def _load_weights(
    source: FolderSource | HubSource, spec: ModelSpec, options: dict[str, Any]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Read the weights; return the model and Transformers' report of what did not fit."""
    try:
        model, report = auto_class(spec.head).from_pretrained(
            _where(source),
            use_safetensors=True,
            output_loading_info=True,
            **_options(source, spec),
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _unreadable(source, spec, error) from error
    if not isinstance(model, nn.Module):  # cannot happen with PyTorch installed
        raise ModelError(f"{spec.source} is not a PyTorch model", field=FIELD)
    return model, report


def _check_report(
    model: PreTrainedModel, report: dict[str, Any], spec: ModelSpec, listener: Listener
) -> tuple[str, ...]:
    """Refuse a model with made-up weights but for its head; mention weights that were not used.

    Returns:
        The parameters that start fresh, in the model's order.
    """
    made_up = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    may_start = spec.head in ("classification", "span-qa")
    missing = sorted(name for name in made_up if not (may_start and is_of_head(model, name)))
    if missing:
        raise ModelError(
            f"{spec.source} lacks {len(missing)} of its weights, such as {missing[0]}; accepted is "
            f"a complete checkpoint of {_ACCEPTED[spec.head]}",
            field=FIELD,
        )
    unused = sorted(report["unexpected_keys"])
    if unused:
        listener(Logged("warning", f"{len(unused)} weights are not used, such as {unused[0]}."))
    fresh = tuple(name for name, _ in model.named_parameters() if name in made_up)
    if fresh:
        parts = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in fresh))
        listener(Logged("info", f"The head starts at random: {parts}."))
    return fresh


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
        why = _WRONG_KIND[spec.head]
    elif isinstance(source, HubSource):
        return hub_error(error, source.repo_id, spec.revision)
    else:
        first = (text.splitlines() or [type(error).__name__])[0]
        why = f"cannot be read: {first}"
    return ModelError(f"the model {spec.source} {why}", field=FIELD)
