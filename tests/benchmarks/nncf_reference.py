"""NNCF's side of the train-step benchmark: its FQ_LORA format, trained as its own example does.

As in NNCF's example of distillation with absorbable LoRA, the teacher's last hidden states are
computed before compression, the head turns them into targets in every microbatch, the divergence
is that of whole vocabularies in the model's dtype, and AdamW has one group of adapters and one of
ranges. Embeddings and head are left out, as they are on our side. Start with `NncfStep`.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.models.loading import load_model
from engine.specs import ModelSpec
from tests.benchmarks.report import CannotMeasure
from tests.benchmarks.setting import Setting


class NncfStep:
    """A model compressed by NNCF, its teacher's hidden states, and an optimizer."""

    name = "nncf"

    def __init__(self, setting: Setting, windows: Tensor) -> None:
        """Load the model, compute the teacher's hidden states of (N, T) windows, compress."""
        spec = ModelSpec(source=setting.model, dtype="bfloat16")
        loaded = load_model(
            spec, data_folder=setting.data_folder, device=torch.device("cpu"), listener=_ignore
        )
        model: Any = loaded.model
        model.config.use_cache = False
        self._inputs = [_model_input(window) for window in windows]
        with torch.no_grad():
            self._hidden = [model.model(**one).last_hidden_state for one in self._inputs]
        self._model = compress(model, self._inputs[0], setting)
        adapters, ranges = _trainable(self._model)
        self._model.train()
        self.num_layers = len(adapters) // 2
        self._optimizer = torch.optim.AdamW(
            [
                {"params": adapters, "lr": setting.learning_rate},
                {"params": ranges, "lr": setting.range_learning_rate},
            ],
            weight_decay=setting.learning_rate,
        )

    def run(self, num_microbatches: int) -> float:
        """Take one optimizer step over that many microbatches; return the loss."""
        total = 0.0
        for inputs, hidden in zip(
            self._inputs[:num_microbatches], self._hidden[:num_microbatches], strict=True
        ):
            with torch.no_grad():
                wanted = self._model.lm_head(hidden)
            loss = _divergence(self._model(**inputs).logits, wanted)
            total += loss.item()
            (loss / num_microbatches).backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        return total / num_microbatches


def require_nncf() -> None:
    """Check that NNCF is installed; keep its telemetry quiet.

    Raises:
        CannotMeasure: When it is not.
    """
    if find_spec("nncf") is None:
        raise CannotMeasure(
            "this benchmark measures beside NNCF, which is not installed; "
            'run pip install -c constraints.txt ".[bench]"'
        )
    os.environ["NNCF_CI"] = "1"


def compress(model: nn.Module, example: dict[str, Tensor], setting: Setting) -> Any:
    """Return the model with NNCF's quantizers and adapters, rounded to nearest, in place."""
    require_nncf()
    nncf: Any = import_module("nncf")
    nncf.set_log_level("ERROR")
    return nncf.compress_weights(
        model,
        mode=nncf.CompressWeightsMode.INT4_ASYM,
        group_size=setting.group_size,
        compression_format=nncf.CompressionFormat.FQ_LORA,
        dataset=nncf.Dataset([example]),
        ignored_scope=nncf.IgnoredScope(patterns=[".*embed.*", ".*lm_head.*"]),
        advanced_parameters=nncf.AdvancedCompressionParameters(lora_adapter_rank=setting.rank),
    )


def _trainable(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Let adapters and ranges train, nothing else; return them apart."""
    wrapper: Any = import_module("nncf.torch.function_hook.wrapper")
    model.requires_grad_(requires_grad=False)
    adapters: list[nn.Parameter] = []
    ranges: list[nn.Parameter] = []
    for _, hook in wrapper.get_hook_storage(model).named_hooks():
        if not hasattr(hook, "get_adapters"):
            continue
        hook.enable_gradients()
        pair = hook.get_adapters()
        adapters.extend(pair.values())
        named = hook.get_trainable_params().items()
        ranges.extend(value for name, value in named if name not in pair)
    return adapters, ranges


def _ignore(event: object) -> None:
    del event


def _model_input(window: Tensor) -> dict[str, Tensor]:
    tokens = window.unsqueeze(0)
    mask = torch.ones_like(tokens)
    return {"input_ids": tokens, "attention_mask": mask, "position_ids": mask.cumsum(-1) - 1}


def _divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean KL over positions, in the logits' dtype as NNCF's example has it."""
    size = logits.shape[-1]
    return functional.kl_div(
        functional.log_softmax(logits.view(-1, size), dim=-1),
        functional.log_softmax(wanted.view(-1, size), dim=-1),
        log_target=True,
        reduction="batchmean",
    )
