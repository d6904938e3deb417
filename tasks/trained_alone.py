"""Which runs were trained at one width alone, and whether they stand beside a model's layer maps.

What differs in how layers round or in what is learned would pass for an effect of the width: such
runs are not comparable. What may differ (adapter, start, length) is told in words. Specs are read
as the store keeps them, also those from before there were layer maps. Start with `find_width` and
`describe_at`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.naming import write_widths

Values = Mapping[str, Any]
OF_THE_WIDTH = frozenset({"bits", "mixing", "layer_bits", "inputs", "cache"})
SHARES_BY_SIZE = frozenset({"group", "block"})
ADAPTERS = {"lora": "LoRA", "lora-bank": "LoRA bank", "elastic-lora": "NLS"}


def find_width(spec: Values) -> int | None:
    """Return the one width of rounded weights that a run was trained at; None where there is none.

    Args:
        spec: Of a training run, as stored.
    """
    training, quantizer = spec["training"], spec["quantizer"]
    if training["method"] == "none" or quantizer["grid"] == "float":
        return None
    policy = (training.get("bit_policy") or {}).get("policy", "fixed")
    bits = quantizer["bits"]
    is_one = policy == "fixed" and not quantizer.get("layer_bits") and bits == int(bits)
    return int(bits) if is_one else None


def describe_at(spec: Values, bits: int) -> str:
    """Return the same text for all runs that are comparable at a width of their weights.

    They round in the same way (grid, symmetry, granularity, layers, and what inputs and cache have
    at that width, whether they follow the weights or not) and learn the same from the same data.
    Model and what is measured are not in it: `tasks.naming.baseline_key` has those.

    Args:
        spec: Of a run or of an evaluation of its maps, as stored.
        bits: The width.
    """
    quantizer = spec["quantizer"]
    rounding = {name: value for name, value in quantizer.items() if name not in OF_THE_WIDTH}
    if rounding.get("granularity", "group") not in SHARES_BY_SIZE:
        rounding.pop("group_size", None)
    states = [_describe_state(quantizer.get(name) or {}, bits) for name in ("inputs", "cache")]
    return json.dumps([rounding, states, _describe_learning(spec["training"])], sort_keys=True)


def write_summary(spec: Values) -> str:
    """Return widths and method in words: "W4A8KV4, QAT, LoRA 16 parallel, 200 steps"."""
    training = spec["training"]
    words = [write_widths(spec["quantizer"])]
    start = spec["initialization"]["method"]
    words += [] if start == "round-to-nearest" else [start.replace("-", " ")]
    words += [str(training["method"]).upper(), *_list_adapter_words(spec["adapter"])]
    steps, epochs = training.get("max_steps"), training.get("num_train_epochs", 1.0)
    if steps is None:
        return ", ".join([*words, f"{epochs:g} epoch{'' if epochs == 1 else 's'}"])
    return ", ".join([*words, f"{steps} step{'' if steps == 1 else 's'}"])


def _describe_state(state: Values, bits: int) -> list[Any]:
    """Return width and granularity of what flows through a layer; nothing where it is unrounded."""
    rounding = state.get("rounding", "none")
    if rounding == "none":
        return []
    return [bits if rounding == "layer" else state["bits"], state.get("granularity", "token")]


def _describe_learning(training: Values) -> dict[str, Any]:
    """Return what is learned and from what, without what has no effect."""
    objective = training.get("objective")
    data = {"kind": "text", **(training.get("data") or {})}
    data.pop("held_out", None)
    if data["kind"] == "task":
        data = {"source": None, "loss_on": "text", **data}
    learned = {"method": training["method"], "objective": objective, "data": data}
    if objective in ("distillation", "both"):
        learned["temperature"] = training.get("temperature")
    if objective == "both":
        learned["task_weight"] = training.get("task_weight")
    return learned


def _list_adapter_words(adapter: Values) -> list[str]:
    """Return an adapter's kind, rank and placement; nothing where there is none."""
    kind = adapter["kind"]
    if kind == "none":
        return ["no adapter"]
    rank = adapter.get("r") or max(adapter.get("rank_space") or (0,))
    return [f"{ADAPTERS.get(kind, kind)} {rank} {adapter.get('placement', 'absorbed')}"]
