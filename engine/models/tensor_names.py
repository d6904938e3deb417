"""A checkpoint's tensors, named as in the model that is built from it with a given head.

A checkpoint may be of a bare body, of another head or of the one asked for. What the head has no
use for is left out here, what it starts fresh is added. No torch. Start with `name_tensors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.models.families import (
    ENCODER_KINDS,
    RENAMED_FOR_SPANS,
    T5_TYPES,
    EncoderKind,
    find_build,
)
from engine.models.safetensors_header import Shapes
from engine.specs.model import Head

NUM_CLASSES = 2
"""Classes where the task is not known; of a span head its start and its end."""
_VOCABULARY_HEADS = (
    "lm_head.", "embed_out.", "cls.", "predictions.", "generator_", "discriminator_predictions.",
    "lm_predictions.", "mask_predictions.", "vocab_",
)  # fmt: skip
_OTHER_HEADS = (
    "score.", "classifier.", "pre_classifier.", "classification_head.", "qa_outputs.",
    "final_logits_bias",
)  # fmt: skip
_MISSING_PREFIXES = {
    "h.": "transformer.",
    "wte.": "transformer.",
    "wpe.": "transformer.",
    "layers.": "model.",
    "embed_tokens.": "model.",
}
_SPAN_HEAD = ("qa_outputs",)


def full_name(tensor: str) -> str:
    """Return a decoder's tensor with the first part that some checkpoints leave out."""
    prefix = next((add for start, add in _MISSING_PREFIXES.items() if tensor.startswith(start)), "")
    return prefix + tensor


def name_tensors(config: Mapping[str, Any], tensors: Shapes, *, head: Head) -> Shapes:
    """Return the tensors of the model with that head, by the names they have in it.

    Args:
        config: The model's config.json.
        tensors: Tensor name to shape, as in the checkpoint.
        head: The head it is loaded with; classes count as two.
    """
    if head == "causal-lm":
        return {full_name(name): shape for name, shape in tensors.items()}
    build, model_type = find_build(config), str(config.get("model_type", ""))
    if build == "encoder-decoder":
        return dict(_iter_encoder_decoder(config, tensors, head))
    if build == "encoder" and model_type in ENCODER_KINDS:
        return dict(_iter_encoder(config, tensors, head, ENCODER_KINDS[model_type]))
    return dict(_iter_others(config, tensors, head))


def _iter_encoder(
    config: Mapping[str, Any], tensors: Shapes, head: Head, kind: EncoderKind
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield an encoder's tensors under its prefix, then its head's."""
    width = _find_width(config)
    has_pooler = kind.has_pooler and head == "classification"
    found_pooler = False
    for name, shape in _without_heads(tensors, _VOCABULARY_HEADS + _OTHER_HEADS):
        inside = name.removeprefix(f"{kind.prefix}.")
        is_pooler = inside.startswith("pooler.")
        if is_pooler and not has_pooler:
            continue
        found_pooler = found_pooler or is_pooler
        yield f"{kind.prefix}.{inside}", shape
    if has_pooler and not found_pooler:
        yield from _linear(f"{kind.prefix}.pooler.dense", width, width)
    yield from _head(_SPAN_HEAD if head == "span-qa" else kind.classification, width)


def _iter_encoder_decoder(
    config: Mapping[str, Any], tensors: Shapes, head: Head
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield both stacks, one token table, and the head."""
    is_t5 = config.get("model_type") in T5_TYPES
    prefix = {True: "transformer." if head == "classification" else "", False: "model."}[is_t5]
    dropped = _OTHER_HEADS if head == "seq2seq" else _VOCABULARY_HEADS + _OTHER_HEADS
    seen: set[str] = set()
    for name, shape in _without_heads(tensors, dropped):
        inside = name.removeprefix("model.").removeprefix("transformer.")
        if inside.endswith("embed_tokens.weight"):
            inside = "shared.weight"  # both stacks look tokens up in the one table
        if inside not in seen:
            seen.add(inside)
            yield (inside if inside.startswith("lm_head.") else prefix + inside), shape
    width = _find_width(config)
    if head == "classification":
        yield from _head(("classification_head.dense", "classification_head.out_proj"), width)
    elif head == "span-qa":
        yield from _head(_SPAN_HEAD, width)


def _iter_others(
    config: Mapping[str, Any], tensors: Shapes, head: Head
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the tensors of a decoder, or of an encoder whose names are not known, and a head."""
    is_renamed = head == "span-qa" and config.get("model_type") in RENAMED_FOR_SPANS
    for name, shape in _without_heads(tensors, _VOCABULARY_HEADS + _OTHER_HEADS):
        full = full_name(name)
        is_body = is_renamed and full.startswith("model.")
        yield (f"transformer.{full.removeprefix('model.')}" if is_body else full), shape
    if head == "span-qa":
        yield from _head(_SPAN_HEAD, _find_width(config))
    else:
        yield "score.weight", (NUM_CLASSES, _find_width(config))


def _without_heads(
    tensors: Shapes, dropped: tuple[str, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    return ((name, shape) for name, shape in tensors.items() if not name.startswith(dropped))


def _head(names: tuple[str, ...], width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name in names[:-1]:
        yield from _linear(name, width, width)
    yield from _linear(names[-1], NUM_CLASSES, width)


def _linear(name: str, out_features: int, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out_features, width)
    yield f"{name}.bias", (out_features,)


def _find_width(config: Mapping[str, Any]) -> int:
    """Return the width of the residual stream, whatever a family calls it."""
    names = ("hidden_size", "d_model", "dim", "n_embd")
    return next((int(config[name]) for name in names if config.get(name)), 0)
