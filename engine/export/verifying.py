"""Whether a written folder gives the answers of the run it came from. Start with `check_folder`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from engine.errors import ExportError
from engine.layers.layer_map import LayerSetting, apply_map, held, read_map
from engine.layers.swap import Layers
from engine.models.heads import auto_class
from engine.models.quiet import quiet
from engine.specs import Head

TOLERANCES: Mapping[torch.dtype, float] = MappingProxyType(
    {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 2e-2}
)
"""Largest difference of a logit, relative to the largest: other kernels sum in another order, and
PEFT keeps pairs in float32 where we multiply in the model's 16 bits. SmolLM2-135M in bfloat16 was
0.026 apart; without its pairs the base is the same to the bit."""
NUM_TOKENS = 16


@dataclass(frozen=True)
class Answers:
    """What a run's own model says to some tokens.

    Attributes:
        inputs: (1, T) int64 tokens, by the name of the model's argument.
        alone: Logits without parallel adapters, float32: (1, T, V), (1, C) of C classes, or
            (1, 2·T) of starts and ends.
        adapted: The same with them; None where there are none.
    """

    inputs: Mapping[str, Tensor]
    alone: Tensor
    adapted: Tensor | None


def ask(model: Any, layers: Layers, *, device: torch.device) -> Answers:
    """Ask the run's own model, with its parallel adapters and without."""
    generator = torch.Generator().manual_seed(0)
    vocab_size = model.config.get_text_config().vocab_size
    tokens = torch.randint(vocab_size, (1, NUM_TOKENS), generator=generator).to(device)
    inputs = {"input_ids": tokens}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = tokens
    before = read_map(layers)
    parallel = {
        name: LayerSetting(before[name].bits, 0)
        for name, layer in layers.items()
        if layer.parallel is not None
    }
    adapted = _answer(model, inputs, layers) if parallel else None
    apply_map(layers, parallel)
    alone = _answer(model, inputs, layers)
    apply_map(layers, {name: before[name] for name in parallel})
    return Answers(inputs, alone, adapted)


def has_peft() -> bool:
    """Whether PEFT is here to read an adapter with."""
    return find_spec("peft") is not None


def check_folder(
    folder: Path, answers: Answers, *, head: Head, adapter: Path | None, dtype: torch.dtype
) -> float:
    """Load a written folder as anybody would and compare its answers.

    Args:
        folder: With a base model.
        answers: The run's own.
        head: What the model puts out.
        adapter: Folder of the adapter to load with PEFT; None for none.
        dtype: Of the base model.

    Returns:
        The largest difference of a logit, relative to the largest logit.

    Raises:
        ExportError: When it cannot be loaded, or its answers are others.
    """
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PEFT and Transformers about each other
            differences = _list_differences(
                folder, answers, head=head, adapter=adapter, dtype=dtype
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ExportError(
            f"the written folder cannot be loaded and was removed: {first}"
        ) from error
    largest = max(differences)
    if not largest <= TOLERANCES[dtype]:
        raise ExportError(
            f"the written folder answers otherwise than the run and was removed: logits differ by "
            f"{largest:.2%} of the largest"
        )
    return largest


def _list_differences(
    folder: Path, answers: Answers, *, head: Head, adapter: Path | None, dtype: torch.dtype
) -> list[float]:
    device = answers.alone.device
    base = auto_class(head).from_pretrained(
        folder, dtype=dtype, local_files_only=True, use_safetensors=True
    )
    base = base.eval().to(device)
    found = [_difference(_answer(base, answers.inputs), answers.alone)]
    if adapter is not None and answers.adapted is not None:
        from peft import PeftModel  # noqa: PLC0415 - only here, where it is installed

        adapted = PeftModel.from_pretrained(base, adapter).eval().to(device)
        found.append(_difference(_answer(adapted, answers.inputs), answers.adapted))
    return found


@torch.no_grad()
def _answer(model: Any, inputs: Mapping[str, Tensor], layers: Layers | None = None) -> Tensor:
    with held(layers or {}, next(model.parameters()).dtype):
        outputs = model(**inputs)
    if "start_logits" in outputs:
        return torch.cat((outputs.start_logits, outputs.end_logits), dim=-1).float()
    logits: Tensor = outputs.logits.float()
    return logits


def _difference(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        return float("inf")
    largest = float(expected.abs().max())
    return float((found - expected).abs().max()) / max(largest, 1e-30)
