"""An adapter as PEFT keeps it: config and pairs in two files. PEFT itself is not needed.

PEFT's factor is alpha / r of a layer, ours the same at every rank of an elastic pair, so layers of
another rank than most get their own rank and alpha. Start with `write_adapter`.

Source: PEFT's checkpoint format, https://huggingface.co/docs/peft/developer_guides/checkpoint.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from engine.layers.swap import Layers
from engine.models.adapter_header import ADAPTER_CONFIG, ADAPTER_WEIGHTS, FIRST, PREFIX, SECOND
from engine.quant.projection import LowRank


@dataclass(frozen=True)
class TrainedHead:
    """What PEFT is to know of a model's head.

    Attributes:
        task_type: As PEFT calls it: "CAUSAL_LM".
        modules: Names of the modules that were trained whole; empty where none were.
        tensors: Their parameters, by full name.
    """

    task_type: str
    modules: tuple[str, ...]
    tensors: Mapping[str, Tensor]


def list_pairs(layers: Layers) -> dict[str, LowRank]:
    """Return the active parallel pairs, cut to their ranks, by layer."""
    return {
        name: layer.parallel.low_rank(layer.active_rank)
        for name, layer in layers.items()
        if layer.parallel is not None
    }


def write_adapter(
    folder: Path,
    pairs: Mapping[str, LowRank],
    *,
    base: str,
    head: TrainedHead,
    transposed: Collection[str],
) -> None:
    """Write an adapter folder; nothing is rounded, the pairs stay float32.

    Args:
        folder: Made here.
        pairs: At least one pair by the name of its layer.
        base: Where the base model will lie.
        head: What PEFT is to know of the model's head.
        transposed: Names of the layers whose weight the base model keeps as (I, O).
    """
    folder.mkdir()
    tensors = {}
    for name, pair in pairs.items():
        tensors[f"{PREFIX}{name}{FIRST}"] = pair.a.cpu().contiguous()
        tensors[f"{PREFIX}{name}{SECOND}"] = pair.b.cpu().contiguous()
    for name, value in head.tensors.items():
        tensors[f"{PREFIX}{name}"] = value.cpu().contiguous()
    save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": head.task_type,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "target_modules": list(pairs),
        "fan_in_fan_out": any(name in transposed for name in pairs),
        "bias": "none",
        "lora_dropout": 0.0,
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": list(head.modules) or None,
        **_describe_ranks(pairs),
    }
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _describe_ranks(pairs: Mapping[str, LowRank]) -> dict[str, Any]:
    """Return the most frequent rank and alpha, and those of the layers that have others."""
    ranks = {name: len(pair.a) for name, pair in pairs.items()}
    alphas = {name: _tidy(pair.scaling * ranks[name]) for name, pair in pairs.items()}
    (rank, alpha), _ = Counter((ranks[name], alphas[name]) for name in pairs).most_common(1)[0]
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: each for name, each in ranks.items() if each != rank},
        "alpha_pattern": {name: each for name, each in alphas.items() if each != alpha},
    }


def _tidy(value: float) -> float | int:
    """Return a whole number as one: PEFT's own alphas are."""
    return int(value) if value.is_integer() else value
