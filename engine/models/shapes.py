"""Sizes of a model's layers without its weights: what an estimate needs, in milliseconds.

Read from config.json and safetensors headers, or from the head of a GGUF file; the weights stay on
disk and neither torch nor transformers is imported. Layers carry the names of the modules
Transformers builds with the head that is asked for. Start with `read_shapes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.models.bundled import FIELD
from engine.models.families import Build, check_head, find_build
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
from engine.models.tensor_names import name_tensors
from engine.specs import ModelSpec
from engine.specs.model import Head

HEAD = "lm_head"
HEADS = (HEAD, "embed_out")
_TRANSPOSED_TYPES = ("gpt2", "openai-gpt")
_TRANSPOSED_KINDS = ("c_attn", "c_proj", "c_fc", "q_attn")
_BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq", ".position_ids")
_TABLES = ("wte", "wpe", "shared", "relative_attention_bias")
_LAST = (2, 0)


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
            by block, head last; of an encoder-decoder the encoder first. A tied head is listed
            although it has no weights of its own.
        other_parameters: Parameters outside these layers (norms, biases).
        tied: True when the head shares the token embedding's weights.
        table_name: The token embedding, which a tied head shares.
        vocab_size: Rows of the token embedding.
        hidden_size: Width of the residual stream.
        num_blocks: Number of transformer blocks, of both stacks where there are two.
        build: How its stacks are built.
    """

    layers: tuple[LayerShape, ...]
    other_parameters: int
    tied: bool
    table_name: str
    vocab_size: int
    hidden_size: int
    num_blocks: int
    build: Build = "decoder"

    @property
    def own_layers(self) -> tuple[LayerShape, ...]:
        """The layers that have weights of their own: all but a tied head."""
        return tuple(layer for layer in self.layers if not (self.tied and layer.name in HEADS))

    @property
    def num_parameters(self) -> int:
        """Parameters of the whole model, shared ones once."""
        return self.other_parameters + sum(layer.num_weights for layer in self.own_layers)


def read_shapes(spec: ModelSpec, *, data_folder: Path) -> ModelShapes:
    """Read the sizes of a model's layers, with the head that is asked for.

    Args:
        spec: Which model; a fresh classification head is counted with two classes.
        data_folder: Where converted GGUF files lie.

    Raises:
        ModelError: When there is no such model, its headers are damaged or of an unknown kind, or
            the head does not fit it.
    """
    source = parse_source(spec.source)
    name = spec.source
    if isinstance(source, FolderSource):
        (config, tensors), name = _read_folder(source.path), str(source.path)
    elif isinstance(source, GgufSource):
        (config, tensors), name = _read_gguf(source, data_folder), str(source.path)
    else:
        from engine.models.hub_shapes import read_hub_headers  # noqa: PLC0415  slow to import

        (config, tensors), name = read_hub_headers(source.repo_id, spec.revision), source.repo_id
    check_head(config, spec.head, name=name)
    return build_shapes(config, tensors, head=spec.head, name=name)


def build_shapes(
    config: Mapping[str, Any], tensors: Shapes, *, head: Head = "causal-lm", name: str
) -> ModelShapes:
    """Sort a checkpoint's tensors into layers and the rest.

    Args:
        config: The model's config.json.
        tensors: Tensor name to shape, as in the checkpoint.
        head: The head the model is loaded with.
        name: What to call the model in an error.

    Raises:
        ModelError: When there is no token embedding or no linear layer.
    """
    is_transposed = config.get("model_type") in _TRANSPOSED_TYPES
    layers: list[LayerShape] = []
    num_others = 0
    for tensor, shape in name_tensors(config, tensors, head=head).items():
        if f".{tensor}".endswith(_BUFFERS):
            continue
        if len(shape) != 2 or not tensor.endswith(".weight") or ".experts." in tensor:
            num_others += math.prod(shape)
        else:
            layers.append(
                _layer(tensor.removesuffix(".weight"), shape, is_transposed=is_transposed)
            )
    is_tied = _is_tied(config)
    writes_tokens = head in ("causal-lm", "seq2seq")
    shapes = _assemble(layers, num_others, is_tied=is_tied if writes_tokens else None, name=name)
    return replace(shapes, build=find_build(config))


def _read_folder(folder: Path) -> tuple[dict[str, Any], Shapes]:
    return read_json(folder / CONFIG_FILE), read_tensor_shapes(folder)


def _read_gguf(source: GgufSource, data_folder: Path) -> tuple[dict[str, Any], Shapes]:
    """Return a GGUF's tensors as a converted checkpoint would have them; its config is empty."""
    header = read_gguf_header(source.path)
    if header.architecture not in ARCHITECTURES:
        converted = converted_folder(source, data_folder=data_folder)
        if has_weights(converted):
            return _read_folder(converted)
        raise ModelError(
            f"the layers of {source.path.name} (architecture {header.architecture!r}) are not "
            "known before it is converted; known from the file alone: "
            f"{', '.join(sorted(ARCHITECTURES))}",
            field=FIELD,
        )
    tensors: Shapes = {}
    for tensor in header.tensors:
        if tensor.name in NOT_PARAMETERS:
            continue
        module = find_module_name(tensor.name, header.architecture)
        is_layer = module is not None and tensor.name.endswith(".weight")
        tensors[f"{module}.weight" if is_layer else f"gguf/{tensor.name}#"] = tensor.shape
    return {}, tensors


def _assemble(
    layers: list[LayerShape], num_others: int, *, is_tied: bool | None, name: str
) -> ModelShapes:
    """Put the head last, add a tied one, and read the model's dimensions off the layers.

    `is_tied` is None where no tokens are put out: such a head has nothing to share.
    """
    tables = [layer for layer in layers if layer.is_embedding and "pos" not in layer.name]
    tables = [layer for layer in tables if split_name(layer.name).kind != "wpe"]
    if not tables or len(tables) == len(layers):
        raise ModelError(
            f"{name} has no token embedding or no linear layers; accepted is a causal language "
            "model",
            field=FIELD,
        )
    table = max(tables, key=lambda layer: layer.out_features)
    heads = [layer for layer in layers if layer.name in HEADS]
    body = [layer for layer in layers if layer.name not in HEADS]
    if is_tied is None:
        tied = False
        body.sort(key=_place_before_head)
    else:
        tied = is_tied or not heads
        heads = heads or [LayerShape(HEAD, table.out_features, table.in_features)]
        body.sort(key=_place)
    blocks = {_place(layer) for layer in body if split_name(layer.name).block is not None}
    return ModelShapes(
        layers=(*body, *heads),
        other_parameters=num_others,
        tied=tied,
        table_name=table.name,
        vocab_size=table.out_features,
        hidden_size=table.in_features,
        num_blocks=len(blocks),
    )


def _place(layer: LayerShape) -> tuple[int, int]:
    """Order by block; embeddings stand first."""
    return split_name(layer.name).place


def _place_before_head(layer: LayerShape) -> tuple[int, int]:
    """Order by block; embeddings stand first, poolers and heads last."""
    place = split_name(layer.name)
    return _LAST if place.block is None and not layer.is_embedding else place.place


def _layer(name: str, shape: tuple[int, ...], *, is_transposed: bool) -> LayerShape:
    kind = split_name(name).kind
    is_table = kind in _TABLES or ("embed" in kind and not kind.endswith("project"))
    is_embedding = is_table and name not in HEADS
    out_features, in_features = shape
    if is_transposed and kind in _TRANSPOSED_KINDS:
        out_features, in_features = in_features, out_features
    return LayerShape(name, out_features, in_features, is_embedding)


def _is_tied(config: Mapping[str, Any]) -> bool:
    text = config.get("text_config")
    inner = text if isinstance(text, Mapping) else {}
    usual = find_build(config) == "encoder-decoder"
    return bool(config.get("tie_word_embeddings", inner.get("tie_word_embeddings", usual)))
