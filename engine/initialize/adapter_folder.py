"""Adapters that PEFT has saved, put into the installed pairs. Start with `start_adapter_folder`.

What counts is the product: s·B·A of the saved pair, with its own alpha and rank, is s·B·A of ours.
A head that was trained whole beside the pairs takes the place of the model's own.
"""

from __future__ import annotations

import logging

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.adapter_fit import iter_adapter_misfits, iter_head_misfits
from engine.errors import ModelError, SpecError
from engine.layers.adapters import LoraPair
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.swap import Layers
from engine.models.adapter_header import (
    ADAPTER_WEIGHTS,
    FIELD,
    FIRST,
    PREFIX,
    SECOND,
    AdapterHeader,
    SavedPair,
    read_adapter_header,
)
from engine.specs import AdapterFolder

logger = logging.getLogger(__name__)


def start_adapter_folder(root: nn.Module, layers: Layers, spec: AdapterFolder) -> None:
    """Give the adapted layers the pairs of a folder, in place; those it lacks start at zero.

    A pair of a smaller rank than the others is filled up: what is added of B is zero, so that the
    product stays and the rest can be trained. A saved head is read into the model's.

    Args:
        root: The model the layers are in.
        layers: What was installed, with pairs of one fixed rank.
        spec: Which folder.

    Raises:
        ModelError: When there is no such adapter, or it is damaged or of a kind that is not read.
        SpecError: When it is of another model, or of other layers or another rank than asked.
    """
    header = read_adapter_header(spec.path)
    pairs = {name: layer.adapter for name, layer in layers.items() if layer.adapter is not None}
    known = {
        name: (module.out_features, module.in_features)
        for name, module in root.named_modules()
        if isinstance(module, nn.Linear | QuantizedLinear)
    }
    rank = max(pair.max_rank for pair in pairs.values())
    parameters = dict(root.named_parameters())
    head = {name: tuple(value.shape) for name, value in parameters.items()}
    problems = (
        *iter_adapter_misfits(header, known=known, adapted=pairs, rank=rank),
        *iter_head_misfits(header.head, known=head),
    )
    if problems:
        raise SpecError(*problems)
    _fill(header, pairs, {name: parameters[name] for name in header.head})
    num_empty = len(pairs) - len(header.pairs)
    rest = f"; {num_empty} have no saved pair and start at zero" if num_empty else ""
    logger.info("%d of %d adapters are read%s", len(header.pairs), len(pairs), rest)
    if header.head:
        logger.info("the head is read, too: %s", ", ".join(header.head))


@torch.no_grad()
def _fill(header: AdapterHeader, pairs: dict[str, LoraPair], head: dict[str, nn.Parameter]) -> None:
    path = header.folder / ADAPTER_WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            names = {key.removeprefix(PREFIX): key for key in file.keys()}  # noqa: SIM118
            for name, saved in header.pairs.items():
                first, second = (file.get_tensor(names[name + end]) for end in (FIRST, SECOND))
                _set_pair(pairs[name], saved, first, second)
            for name, value in head.items():
                value.copy_(file.get_tensor(names[name]))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the file {path} cannot be read: {error}", field=FIELD) from error


def _set_pair(pair: LoraPair, saved: SavedPair, first: Tensor, second: Tensor) -> None:
    """Take A (r, I) as it is and B (O, r) times what its factor is larger than ours."""
    pair.a[: saved.rank].copy_(first)
    pair.b.zero_()
    pair.b[:, : saved.rank].copy_(second.float() * (saved.scaling / pair.scaling))
