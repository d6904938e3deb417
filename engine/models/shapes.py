"""Sizes of a model's layers without its weights: what an estimate needs, in milliseconds.

Read from config.json and safetensors headers, or from the head of a GGUF file; the weights stay on
disk and neither torch nor transformers is imported. Layers carry the names of the modules
Transformers builds. Start with `read_shapes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.models.bundled import FIELD
from engine.models.gguf_header import read_gguf_header
from engine.models.gguf_names import ARCHITECTURES, NOT_PARAMETERS, find_module_name
from engine.models.naming import split_name
from engine.models.safetensors_header import Shapes, read_json, read_tensor_shapes
from engine.models.sources import (
    CONFIG_FILE,
    FolderSource,
    GgufSource,
    converted_folder,
    has_weights,
    parse_source,
)
from engine.specs import ModelSpec

HEAD = "lm_head"
_HEADS = (HEAD, "embed_out")
_TRANSPOSED_TYPES = ("gpt2", "openai-gpt")
_TRANSPOSED_KINDS = ("c_attn", "c_proj", "c_fc", "q_attn")
_BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")
_MISSING_PREFIXES = {
    "h.": "transformer.",
    "wte.": "transformer.",
    "wpe.": "transformer.",
    "layers.": "model.",
    "embed_tokens.": "model.",
}


@dataclass(frozen=True)
class LayerShape:
    """One matrix that may be quantized.

    Attributes:
        name: Module name ("model.layers.0.self_attn.q_proj").
        out_features: Rows of the weight; of an embedding, the vocabulary.
        in_features: Columns of the weight; groups run along them.
        is_embedding: True for a table that is looked up rather than multiplied.
    """

    name: str
    out_features: int
    in_features: int
    is_embedding: bool = False

    @property
    def num_weights(self) -> int:
        """Weights in the matrix."""
        return self.out_features * self.in_features


@dataclass(frozen=True)
class ModelShapes:
    """All sizes of a model.

    Attributes:
        layers: Linear layers inside blocks, embeddings and head: embeddings first, then block
            by block, head last. A tied head is listed although it has no weights of its own.
        other_parameters: Parameters outside these layers (norms, biases).
        tied: True when the head shares the token embedding's weights.
        table_name: The token embedding, which a tied head shares.
        vocab_size: Rows of the token embedding.
        hidden_size: Width of the residual stream.
        num_blocks: Number of transformer blocks.
    """

    layers: tuple[LayerShape, ...]
    other_parameters: int
    tied: bool
    table_name: str
    vocab_size: int
    hidden_size: int
    num_blocks: int

    @property
    def own_layers(self) -> tuple[LayerShape, ...]:
        """The layers that have weights of their own: all but a tied head."""
        return tuple(layer for layer in self.layers if not (self.tied and layer.name in _HEADS))

    @property
    def num_parameters(self) -> int:
        """Parameters of the whole model, shared ones once."""
        return self.other_parameters + sum(layer.num_weights for layer in self.own_layers)


def read_shapes(spec: ModelSpec, *, data_folder: Path) -> ModelShapes:
    """Read the sizes of a model's layers.

    Args:
        spec: Which model.
        data_folder: Where converted GGUF files lie.

    Raises:
        ModelError: When there is no such model, or its headers are damaged or of an unknown kind.
    """
    source = parse_source(spec.source)
    if isinstance(source, FolderSource):
        return _from_folder(source.path)
    if isinstance(source, GgufSource):
        return _from_gguf(source, data_folder)
    from engine.models.hub_shapes import read_hub_headers  # noqa: PLC0415  half a second of imports

    config, tensors = read_hub_headers(source.repo_id, spec.revision)
    return build_shapes(config, tensors, name=source.repo_id)


def build_shapes(config: Mapping[str, Any], tensors: Shapes, *, name: str) -> ModelShapes:
    """Sort a checkpoint's tensors into layers and the rest.

    Args:
        config: The model's config.json.
        tensors: Tensor name to shape, as in the checkpoint.
        name: What to call the model in an error.

    Raises:
        ModelError: When there is no token embedding or no linear layer.
    """
    is_transposed = config.get("model_type") in _TRANSPOSED_TYPES
    layers: list[LayerShape] = []
    num_others = 0
    for tensor, shape in tensors.items():
        if tensor.endswith(_BUFFERS):
            continue
        if len(shape) != 2 or not tensor.endswith(".weight") or ".experts." in tensor:
            num_others += math.prod(shape)
        else:
            layers.append(_layer(_full_name(tensor), shape, is_transposed=is_transposed))
    return _assemble(layers, num_others, is_tied=_is_tied(config), name=name)


def _from_folder(folder: Path) -> ModelShapes:
    config = read_json(folder / CONFIG_FILE)
    return build_shapes(config, read_tensor_shapes(folder), name=str(folder))


def _from_gguf(source: GgufSource, data_folder: Path) -> ModelShapes:
    header = read_gguf_header(source.path)
    if header.architecture not in ARCHITECTURES:
        converted = converted_folder(source, data_folder=data_folder)
        if has_weights(converted):
            return _from_folder(converted)
        raise ModelError(
            f"the layers of {source.path.name} (architecture {header.architecture!r}) are not "
            "known before it is converted; known from the file alone: "
            f"{', '.join(sorted(ARCHITECTURES))}",
            field=FIELD,
        )
    layers: list[LayerShape] = []
    num_others = 0
    for tensor in header.tensors:
        module = find_module_name(tensor.name, header.architecture)
        if tensor.name in NOT_PARAMETERS:
            continue
        if module is None or len(tensor.shape) != 2 or not tensor.name.endswith(".weight"):
            num_others += math.prod(tensor.shape)
        else:
            layers.append(_layer(module, tensor.shape, is_transposed=False))
    return _assemble(layers, num_others, is_tied=False, name=str(source.path))


def _assemble(
    layers: list[LayerShape], num_others: int, *, is_tied: bool, name: str
) -> ModelShapes:
    """Put the head last, add a tied one, and read the model's dimensions off the layers."""
    tables = [layer for layer in layers if layer.is_embedding and "pos" not in layer.name]
    tables = [layer for layer in tables if split_name(layer.name).kind != "wpe"]
    if not tables or len(tables) == len(layers):
        raise ModelError(
            f"{name} has no token embedding or no linear layers; accepted is a causal language "
            "model",
            field=FIELD,
        )
    table = max(tables, key=lambda layer: layer.out_features)
    heads = [layer for layer in layers if layer.name in _HEADS]
    body = sorted((layer for layer in layers if layer.name not in _HEADS), key=_place)
    tied = is_tied or not heads
    head = heads or [LayerShape(HEAD, table.out_features, table.in_features)]
    blocks = {split_name(layer.name).block for layer in body} - {None}
    return ModelShapes(
        layers=(*body, *head),
        other_parameters=num_others,
        tied=tied,
        table_name=table.name,
        vocab_size=table.out_features,
        hidden_size=table.in_features,
        num_blocks=len(blocks),
    )


def _place(layer: LayerShape) -> int:
    """Order by block; embeddings stand first."""
    block = split_name(layer.name).block
    return -1 if block is None else block


def _layer(name: str, shape: tuple[int, ...], *, is_transposed: bool) -> LayerShape:
    kind = split_name(name).kind
    is_embedding = name not in _HEADS and ("embed" in kind or kind in ("wte", "wpe"))
    out_features, in_features = shape
    if is_transposed and kind in _TRANSPOSED_KINDS:
        out_features, in_features = in_features, out_features
    return LayerShape(name, out_features, in_features, is_embedding)


def _full_name(tensor: str) -> str:
    """Return the module's name, with the first part that some checkpoints leave out."""
    name = tensor.removesuffix(".weight")
    prefix = next((add for start, add in _MISSING_PREFIXES.items() if tensor.startswith(start)), "")
    return prefix + name


def _is_tied(config: Mapping[str, Any]) -> bool:
    text = config.get("text_config")
    inner = text if isinstance(text, Mapping) else {}
    return bool(config.get("tie_word_embeddings", inner.get("tie_word_embeddings", False)))
