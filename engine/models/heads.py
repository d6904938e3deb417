"""Heads other than causal-lm: how a model with one is built, which part starts fresh, which trains.

A head the checkpoint lacks starts at random, by the run's seed and the parameter's name alone, and
is trained whole in float32. What was trained is written beside the result. `loading` puts it all
together; start with `list_trained`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
)

from engine.errors import CheckpointError, ModelError
from engine.layers.quantized_linear import QuantizedLinear
from engine.models.bundled import FIELD
from engine.specs.model import Head
from engine.teacher.cache import write_tensors
from engine.tensor_file import read_tensors

HEAD_FORMAT = "bitdial-head-1"
USUAL_SPREAD = 0.02
_WITHOUT_BODY = ("qa_outputs", "classifier", "classification_head", "score")
"""Heads of models that keep their two stacks at the top, without a body of their own."""
_AUTO: Mapping[Head, Any] = {
    "causal-lm": AutoModelForCausalLM,
    "classification": AutoModelForSequenceClassification,
    "span-qa": AutoModelForQuestionAnswering,
    "seq2seq": AutoModelForSeq2SeqLM,
}


def auto_class(head: Head) -> Any:
    """Return Transformers' class that builds a model with this head."""
    return _AUTO[head]


def configure(config: Any, head: Head, num_labels: int | None) -> dict[str, Any]:
    """Set what a head needs in a model's config, in place.

    Args:
        config: The model's config.
        head: The head it is to have.
        num_labels: Classes of a classification head, 1 for a regression; the checkpoint's own for
            None.

    Returns:
        Further arguments for `from_pretrained`.
    """
    options: dict[str, Any] = {}
    if head == "classification":
        config.num_labels = config.num_labels if num_labels is None else num_labels
        config.problem_type = (
            "regression" if config.num_labels == 1 else "single_label_classification"
        )
        options["ignore_mismatched_sizes"] = True
    elif head == "span-qa":
        config.num_labels = 2  # start and end
        options["ignore_mismatched_sizes"] = True
        options |= _renamed_body(config)
    return options


def _renamed_body(config: Any) -> dict[str, Any]:
    """Tell where a decoder's body lies where the model for spans calls it otherwise."""
    kinds = (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_QUESTION_ANSWERING_MAPPING)
    found = [kind.get(type(config), None) for kind in kinds]
    if None in found:
        return {}
    before, after = (kind.base_model_prefix for kind in found)
    return {} if before == after else {"key_mapping": {rf"^{before}\.": f"{after}."}}


def is_of_head(model: PreTrainedModel, name: str) -> bool:
    """Whether a parameter lies in the head: outside the body, or in the body's pooler."""
    if ".pooler." in name:
        return True
    if model.base_model is model:
        return name.startswith(_WITHOUT_BODY)
    return not name.startswith(f"{model.base_model_prefix}.")


def find_order(config: Any, classes: Sequence[str]) -> list[int] | None:
    """Return where a model has each of these classes by their names, however they are spelled.

    None where its own names are others, as those Transformers makes up ("LABEL_0").
    """
    known = getattr(config, "label2id", None) or {}
    places = {str(name).lower(): int(place) for name, place in known.items()}
    if not classes or {*places} != {*classes}:
        return None
    return [places[name] for name in classes]


@torch.no_grad()
def order_classes(model: PreTrainedModel, classes: Sequence[str], fresh: Iterable[str]) -> bool:
    """Put a classification head's outputs into the order of these classes, in place.

    Only where it names the same classes in another order; the names follow. An output layer that
    started fresh has no order of its own and keeps its start.

    Returns:
        Whether the checkpoint's own outputs changed places.
    """
    order = find_order(model.config, classes)
    if order is None or order == list(range(len(classes))):
        return False
    started = set(fresh)
    head = list_trained(model, "classification", started)
    output = next(reversed(head)).rpartition(".")[0]  # heads are listed in the order they compute
    moved = [name for name in head if name.startswith(f"{output}.") and name not in started]
    for name in moved:
        head[name].copy_(head[name][order])
    model.config.id2label = dict(enumerate(classes))
    model.config.label2id = {name: place for place, name in enumerate(classes)}
    return bool(moved)


@torch.no_grad()
def start_fresh(model: PreTrainedModel, names: Iterable[str], *, seed: int) -> None:
    """Give parameters their random start, in place: the same for the same seed and name.

    Matrices are normal with the spread the model was pretrained with, norms one, biases zero.
    """
    spread = float(getattr(model.config, "initializer_range", None) or USUAL_SPREAD)
    parameters = dict(model.named_parameters())
    for name in names:
        value = parameters[name]
        if value.ndim == 1:
            value.fill_(0.0 if name.endswith("bias") else 1.0)
            continue
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))
        value.copy_(torch.empty(value.shape).normal_(0, spread, generator=generator))


def list_trained(
    model: PreTrainedModel, head: Head, fresh: Iterable[str]
) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained as they are, by name.

    Those of a classification or span head and whatever started fresh, without quantized layers; a
    head that puts out tokens came with the model and stays as it is.
    """
    if head in ("causal-lm", "seq2seq"):
        return {}
    started = set(fresh)
    quantized = tuple(
        f"{name}." for name, module in model.named_modules() if isinstance(module, QuantizedLinear)
    )
    return {
        name: value
        for name, value in model.named_parameters()
        if (name in started or (is_of_head(model, name) and ".pooler." not in name))
        and not name.startswith(quantized)
    }


def widen(model: PreTrainedModel, names: Iterable[str]) -> None:
    """Keep the layers that hold these parameters in float32, in place.

    Steps of an optimizer are too small for 16-bit floats. Their inputs are widened on the way in,
    so logits and losses are float32, too.
    """
    for path in dict.fromkeys(name.rpartition(".")[0] for name in names):
        layer = model.get_submodule(path)
        if any(value.dtype != torch.float32 for value in layer.parameters(recurse=False)):
            layer.float()
            layer.register_forward_pre_hook(_widen_inputs)


def _widen_inputs(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    del layer
    return tuple(
        each.float() if isinstance(each, Tensor) and each.is_floating_point() else each
        for each in inputs
    )


def set_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make rows of different lengths possible: a decoder without padding is padded with its end.

    Raises:
        ModelError: When the tokenizer has neither.
    """
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token is None:
            raise ModelError(
                "the tokenizer has neither a padding token nor an end of text; name one in "
                "tokenizer_config.json",
                field=FIELD,
            )
        tokenizer.pad_token = tokenizer.eos_token
    config = model.config
    if getattr(config, "pad_token_id", None) is None or not config.is_encoder_decoder:
        config.pad_token_id = tokenizer.pad_token_id


def count_positions(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model reads at once; None where its config names no limit.

    RoBERTa kinds count positions from behind the padding's: of 514 they read 512.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    limits = [limit] if isinstance(limit, int) and limit > 0 else []
    limits += (
        each.num_embeddings - each.padding_idx - 1
        for name, each in model.named_modules()
        if name.endswith("position_embeddings")
        and isinstance(each, nn.Embedding)
        and each.padding_idx is not None
    )
    return min(limits, default=None)


def limit_rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let the tokenizer know how many tokens the model reads, where it does not know or errs."""
    limit = count_positions(model)
    if limit is not None:
        tokenizer.model_max_length = min(int(tokenizer.model_max_length), limit)


def save_head(path: Path, trained: Mapping[str, nn.Parameter]) -> None:
    """Write the trained head by parameter name, float32.

    Raises:
        StorageError: When the file cannot be written.
    """
    tensors = {name: value.detach().float() for name, value in trained.items()}
    write_tensors(path, tensors, {"format": HEAD_FORMAT})


@torch.no_grad()
def load_head(path: Path, trained: Mapping[str, nn.Parameter]) -> None:
    """Put a saved head into a model built from the same spec, in place.

    Raises:
        CheckpointError: When the file is missing, damaged or of another head; nothing is changed
            then.
    """
    saved = read_tensors(path, (HEAD_FORMAT,), what="a head")
    for name, value in trained.items():
        if name not in saved or saved[name].shape != value.shape:
            raise CheckpointError(f"{path.name} lacks {name} in shape {tuple(value.shape)}")
    for name, value in trained.items():
        value.copy_(saved[name])
