"""LoRA adapters as PEFT itself makes and saves them. Start with `save_adapter`."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

peft = pytest.importorskip("peft", reason="PEFT is not installed")


def save_adapter(model: PreTrainedModel, folder: Path, **options: Any) -> Tensor:
    """Let PEFT put a LoRA with random halves into a model and save it.

    Returns:
        The adapted model's logits for `probe_tokens`.
    """
    config = peft.LoraConfig(task_type="CAUSAL_LM", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks Transformers the old way
        adapted = peft.get_peft_model(model, config).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_" in name:
                value.normal_(0, 0.05, generator=generator)
        logits: Tensor = adapted(probe_tokens()).logits
    adapted.save_pretrained(folder)
    return logits


@torch.no_grad()
def adapted_logits(model: PreTrainedModel, folder: Path) -> Tensor:
    """Let PEFT load an adapter beside a model; return the logits for `probe_tokens`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        adapted = peft.PeftModel.from_pretrained(model, folder).eval()
    logits: Tensor = adapted(probe_tokens()).logits
    return logits


def probe_tokens() -> Tensor:
    """Return (2, 12) tokens of the tiny vocabulary."""
    return torch.randint(320, (2, 12), generator=torch.Generator().manual_seed(9))


def edit_config(folder: Path, **values: Any) -> None:
    """Change fields of a saved adapter's config."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def edit_tensors(folder: Path, **renamed: str | None) -> None:
    """Drop or rename the tensors of a saved adapter whose names hold a word."""
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    for word, new in renamed.items():
        for name in [name for name in tensors if word in name]:
            value = tensors.pop(name)
            if new is not None:
                tensors[name.replace(word, new)] = value
    save_file(tensors, path)
