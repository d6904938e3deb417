"""What the moments of layers' inputs take, and the parts they are collected in. No torch.

Told from names and sizes, so that an estimate and a run cut alike. Start with `cut_layers`.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.models.naming import split_name

MOMENT_BYTES = 4 << 30
"""Moments held at once; what is above is collected in further passes over the text."""
FLOAT32_BYTES = 4
SHARED_INPUT_KINDS = frozenset(
    {"k_proj", "v_proj", "up_proj", "key", "value", "key_proj", "value_proj", "k", "v", "wi_1"}
)
"""Layers that read what another of their block reads, and share its moments."""


def moment_bytes(name: str, in_features: int) -> int:
    """Return the bytes of a layer's moments; 0 where another layer's are the same."""
    is_shared = split_name(name).kind in SHARED_INPUT_KINDS
    return 0 if is_shared else FLOAT32_BYTES * in_features**2


def cut_layers(in_features: Mapping[str, int]) -> list[list[str]]:
    """Cut layers, in order, so that the moments of each part are within `MOMENT_BYTES`.

    Args:
        in_features: Inputs of each layer by name.
    """
    parts: list[list[str]] = [[]]
    taken = 0
    for name, size in in_features.items():
        needed = moment_bytes(name, size)
        if parts[-1] and taken + needed > MOMENT_BYTES:
            parts.append([])
            taken = 0
        parts[-1].append(name)
        taken += needed
    return parts
