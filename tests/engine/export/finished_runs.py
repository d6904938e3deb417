"""Results of runs on tiny models, with layers away from their start. Start with `finish_run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.export.peft_folder import Exported, export_peft
from engine.export.rebuilding import RunFiles
from engine.layers.layer_map import apply_map, held
from engine.layers.rank_groups import group_adapters
from engine.layers.swap import LayerPlan, Layers, install
from engine.models.loading import load_model
from engine.result import save_extracted, save_result
from engine.specs import (
    AdapterSpec,
    ElasticLoraAdapter,
    ExperimentSpec,
    ModelSpec,
    QuantizerSpec,
    Subject,
)
from tests.engine.peft_adapters import probe_tokens
from tests.engine.tiny_layers import disturb


@dataclass(frozen=True)
class Finished:
    """A run that ended: what was asked, its result, and what its model says.

    Attributes:
        logits: (2, 12, V) for `probe_tokens`, parallel adapters included.
        layers: Its layers, by name.
    """

    spec: Subject
    result: Path
    logits: Tensor
    layers: Layers

    def export(self, folder: Path) -> Exported:
        """Write it to a folder."""
        return export_peft(
            self.spec,
            folder,
            files=RunFiles(self.result),
            data_folder=self.result.parent,
            listener=lambda _: None,
        )


def finish_run(
    source: Path,
    quantizer: QuantizerSpec,
    adapter: AdapterSpec,
    *,
    extracted_ranks: tuple[int, ...] | None = None,
    bits: Mapping[str, int] | None = None,
) -> Finished:
    """Install layers in a saved model, disturb them, and save them as a run would.

    Args:
        source: Folder of the model; the result is written beside it.
        quantizer: As asked.
        adapter: As asked; an elastic one stands at the ranks the run reports.
        extracted_ranks: A search's: the result is cut to them.
        bits: Width of each layer by name, where the quantizer's is none.
    """
    spec = ExperimentSpec(model=ModelSpec(source=str(source)), quantizer=quantizer, adapter=adapter)
    loaded = load_model(
        spec.model,
        data_folder=source.parent,
        device=torch.device("cpu"),
        listener=lambda _: None,
    )
    layers = install(loaded.model, LayerPlan(quantizer, adapter, 0, bits or {}))
    disturb(layers)
    if isinstance(adapter, ElasticLoraAdapter):
        groups = group_adapters(layers, adapter)
        ranks = extracted_ranks or adapter.reported_ranks(len(groups.members))
        apply_map(layers, groups.layer_map(layers, ranks))
    result = source.parent / "result.safetensors"
    save = save_result if extracted_ranks is None else save_extracted
    save(result, layers)
    asked = spec if extracted_ranks is None else Subject(**spec.model_dump(exclude={"kind"}))
    with held(layers, torch.float32), torch.no_grad():
        logits: Tensor = loaded.model(probe_tokens()).logits
    return Finished(asked, result, logits, layers)
