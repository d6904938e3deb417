"""A model that is only a folder, its layers scored, and a bit map of it: no torch, no training.

The scores are made up: blocks at both ends and `down_proj` matter most, and each bit less costs
about four times more. Start with `add_bit_map`.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from engine.events import Event, SensitivityScored
from tasks import submit
from tasks.submit import Desk
from tests.store_samples import carry_out, open_events

KINDS = {
    "self_attn.q_proj": (64, 64),
    "self_attn.k_proj": (32, 64),
    "self_attn.v_proj": (32, 64),
    "self_attn.o_proj": (64, 64),
    "mlp.gate_proj": (128, 64),
    "mlp.up_proj": (128, 64),
    "mlp.down_proj": (64, 128),
}
WIDTHS = (8, 6, 4, 3, 2)
VOCABULARY, HIDDEN = 96, 64
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "tie_word_embeddings": True,
    "max_position_embeddings": 256,
}


@dataclass(frozen=True)
class BitMapSamples:
    """Where things are.

    Attributes:
        model: Folder of the model.
        sensitivity: The finished sensitivity run.
    """

    model: str
    sensitivity: int


def save_model(folder: Path, *, num_blocks: int) -> Path:
    """Write a Llama's config and weights, all zero, as float16."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": num_blocks}))
    shapes = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for name in list_layers(num_blocks):
        kind = name.split(".", 3)[3]
        shapes[f"{name}.weight"] = KINDS[kind]
    for block in range(num_blocks):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"model.layers.{block}.{norm}.weight"] = (HIDDEN,)
    tensors = {name: np.zeros(shape, dtype=np.float16) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    return folder


def list_layers(num_blocks: int) -> tuple[str, ...]:
    """Return the names of the layers in the model's order."""
    return tuple(f"model.layers.{block}.{kind}" for block in range(num_blocks) for kind in KINDS)


def add_bit_map(desk: Desk, *, num_blocks: int = 8) -> BitMapSamples:
    """Score the layers of a model of so many blocks; the map itself is made over REST."""
    folder = save_model(desk.settings.data_folder / "models" / "scored", num_blocks=num_blocks)
    asked = {"model": {"source": str(folder)}, "widths": list(WIDTHS), "name": "made up"}
    run = submit.submit_sensitivity(desk, asked)
    carry_out(desk, run.id, [*open_events(), *_score(num_blocks)])
    return BitMapSamples(str(folder), run.id)


def _score(num_blocks: int) -> Iterator[Event]:
    draws = random.Random(1)
    for name in list_layers(num_blocks):
        block = int(name.split(".")[2])
        is_end = block in (0, num_blocks - 1)
        base = math.exp(draws.gauss(-7, 1)) * (5 if is_end else 1) * (3 if "down" in name else 1)
        for bits in WIDTHS:
            value = base * 4.0 ** (4 - bits)
            yield SensitivityScored(name, bits, "kl_divergence", value, value / 10, 32)
