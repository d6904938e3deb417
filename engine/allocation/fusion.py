"""Layers that read the same input and are served as one: they need one width. No torch.

Servers store query, key and value as one matrix, and gate and up; widths that differ inside such a
matrix cannot be loaded there. Start with `list_fusion_groups`.
"""

from __future__ import annotations

from collections.abc import Iterable

_TOGETHER = (
    ("q_proj", "k_proj", "v_proj"),
    ("query", "key", "value"),
    ("q", "k", "v"),
    ("q_lin", "k_lin", "v_lin"),
    ("gate_proj", "up_proj"),
    ("w1", "w3"),
    ("wi_0", "wi_1"),
)
_CROSS = frozenset({"encoder_attn", "EncDecAttention", "crossattention", "cross_attn"})
"""Attention whose keys and values come from elsewhere: its queries have another input."""


def list_fusion_groups(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the layers that are fused with others, group by group, in the order of the names.

    Args:
        names: Layers, such as "model.layers.0.self_attn.q_proj"; whatever of a group is there
            forms it, two layers or more.
    """
    members: dict[tuple[str, int], list[str]] = {}
    for name in names:
        parent, _, kind = name.rpartition(".")
        group = next((place for place, kinds in enumerate(_TOGETHER) if kind in kinds), None)
        if group is None or (kind == _TOGETHER[group][0] and _is_cross(parent)):
            continue
        members.setdefault((parent, group), []).append(name)
    return tuple(tuple(each) for each in members.values() if len(each) > 1)


def _is_cross(parent: str) -> bool:
    return not _CROSS.isdisjoint(parent.split("."))
