"""Promises of written models that classify, mark spans or summarize: heads included."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.adapter_fit import check_adapter_folder
from engine.errors import CheckpointError
from engine.export.peft_folder import export_peft
from engine.export.rebuilding import RunFiles
from engine.initialize.adapter_folder import start_adapter_folder
from engine.layers.layer_map import held
from engine.layers.swap import LayerPlan, install
from engine.models.heads import auto_class, list_trained, save_head
from engine.models.loading import FreshHead, load_model
from engine.models.shapes import read_shapes
from engine.result import save_result
from engine.specs import (
    AdapterFolder,
    EvaluationSpec,
    ExperimentSpec,
    FloatQuantizer,
    Head,
    IntegerQuantizer,
    LoraAdapter,
    ModelSpec,
    QatTraining,
    TaskData,
)
from tests.engine.peft_adapters import peft
from tests.engine.tiny_layers import disturb
from tests.tiny_heads import VOCAB_SIZE, save_bert, save_kind
from tests.tolerances import assert_near

TASKS: dict[Head, str] = {"classification": "mnli", "span-qa": "squad", "seq2seq": "xsum"}
KINDS: list[tuple[str, Head]] = [
    ("bert", "classification"),
    ("deberta-v2", "classification"),
    ("llama", "classification"),
    ("gpt2", "span-qa"),
    ("roberta", "span-qa"),
    ("bart", "seq2seq"),
    ("t5", "seq2seq"),
]


def spec_of(source: Path, head: Head, placement: str) -> ExperimentSpec:
    """Return the spec of a run on the head's task."""
    return ExperimentSpec(
        model=ModelSpec(source=str(source), head=head),
        quantizer=IntegerQuantizer(bits=3, group_size=16),
        adapter=LoraAdapter(r=4, lora_alpha=6.0, placement=placement),
        training=QatTraining(data=TaskData(task=TASKS[head]), objective="task"),
        evaluation=EvaluationSpec(benchmarks=(TASKS[head],)),
    )


@torch.no_grad()
def finish(spec: ExperimentSpec, folder: Path) -> tuple[RunFiles, Tensor]:
    """Leave what a run of this spec would; return its files and what its model says."""
    count = 3 if spec.model.head == "classification" else None
    loaded = load_model(
        spec.model,
        data_folder=folder,
        device=torch.device("cpu"),
        listener=lambda _: None,
        head=FreshHead(count, spec.seed),
    )
    layers = install(loaded.model, LayerPlan(spec.quantizer, spec.adapter, spec.seed))
    disturb(layers)
    trained = list_trained(loaded.model, spec.model.head, loaded.fresh)
    for value in trained.values():
        value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(2)) * 0.1)
    save_result(folder / "result.safetensors", layers)
    head = None
    if trained:
        head = folder / "head.safetensors"
        save_head(head, trained)
    with held(layers, torch.float32):
        answer = answer_of(loaded.model)
    return RunFiles(folder / "result.safetensors", head), answer


@torch.no_grad()
def answer_of(model: Any) -> Tensor:
    """Return what a model with any head says to some tokens, as one row per text."""
    tokens = torch.randint(4, VOCAB_SIZE, (2, 12), generator=torch.Generator().manual_seed(9))
    inputs = {"input_ids": tokens}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = tokens[:, :7]
    outputs = model(**inputs)
    if "start_logits" in outputs:
        return torch.stack((outputs.start_logits, outputs.end_logits))
    logits: Tensor = outputs.logits
    return logits


def without_head(folder: Path, head: str) -> Path:
    """Take a head out of a checkpoint, so that it starts at random; return the folder."""
    path = folder / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    kept = {name: each for name, each in load_file(path).items() if not name.startswith(head)}
    save_file(kept, path, metadata)
    return folder


def write(spec: ExperimentSpec, folder: Path, files: RunFiles) -> Any:
    return export_peft(
        spec, folder / "out", files=files, data_folder=folder, listener=lambda _: None
    )


@pytest.mark.parametrize(("kind", "head"), KINDS)
def test_other_heads_are_written_for_peft(tmp_path: Path, kind: str, head: Head) -> None:
    """Base and adapter answer as the run's own model, a trained head included."""
    spec = spec_of(save_kind(tmp_path / "model", kind, head), head, "parallel")
    files, expected = finish(spec, tmp_path)
    written = write(spec, tmp_path, files)
    assert written.difference <= 1e-5
    base = auto_class(head).from_pretrained(tmp_path / "out").eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        adapted = peft.PeftModel.from_pretrained(base, tmp_path / "out/adapter").eval()
    found = answer_of(adapted)
    assert float((found - expected).abs().max() / expected.abs().max()) <= 1e-5


@pytest.mark.parametrize(
    ("kind", "head", "top"),
    [
        ("bert", "classification", "classifier"),
        ("deberta-v2", "classification", "classifier"),
        ("gpt2", "span-qa", "qa_outputs"),
    ],
)
def test_a_written_adapter_starts_its_head_too(
    tmp_path: Path, kind: str, head: Head, top: str
) -> None:
    """A start from the adapter on its base, which lost its head, is the model that was written."""
    spec = spec_of(save_kind(tmp_path / "model", kind, head), head, "parallel")
    files, expected = finish(spec, tmp_path)
    write(spec, tmp_path, files)
    base = without_head(tmp_path / "out", top)
    start = AdapterFolder(path=str(base / "adapter"))
    again = spec.model_copy(
        update={
            "model": ModelSpec(source=str(base), head=head),
            "quantizer": FloatQuantizer(),
            "initialization": start,
        }
    )
    assert check_adapter_folder(again, read_shapes(again.model, data_folder=tmp_path)) == ()
    loaded = load_model(
        again.model,
        data_folder=tmp_path,
        device=torch.device("cpu"),
        listener=lambda _: None,
        head=FreshHead(3 if head == "classification" else None, 5),
    )
    layers = install(loaded.model, LayerPlan(FloatQuantizer(), spec.adapter, 5))
    assert float((answer_of(loaded.model) - expected).abs().max()) > 1e-2
    start_adapter_folder(loaded.model, layers, start)
    assert_near(answer_of(loaded.model), expected)


def test_a_base_alone_has_the_trained_head(tmp_path: Path) -> None:
    """With absorbed adapters the base classifies as the run did and names the task's classes."""
    spec = spec_of(save_bert(tmp_path / "model"), "classification", "absorbed")
    files, expected = finish(spec, tmp_path)
    assert write(spec, tmp_path, files).adapter is None
    base = auto_class("classification").from_pretrained(tmp_path / "out").eval()
    assert torch.allclose(answer_of(base), expected, rtol=1e-5, atol=1e-5)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["id2label"] == {"0": "entailment", "1": "neutral", "2": "contradiction"}


def test_a_lost_head_is_told(tmp_path: Path) -> None:
    """Without the trained head nothing is written."""
    spec = spec_of(save_bert(tmp_path / "model"), "classification", "absorbed")
    files, _ = finish(spec, tmp_path)
    with pytest.raises(CheckpointError, match="trained head is gone; train it again"):
        write(spec, tmp_path, RunFiles(files.result))
    assert not (tmp_path / "out").exists()
