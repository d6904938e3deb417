"""Promises of heads that PEFT saved beside the pairs: read into the model's, or one sentence."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.adapter_fit import check_adapter_folder
from engine.errors import SpecError
from engine.initialize.adapter_folder import start_adapter_folder
from engine.layers.swap import LayerPlan, install
from engine.models.heads import list_trained
from engine.models.loading import FreshHead, LoadedModel, load_model
from engine.models.shapes import read_shapes
from engine.specs import (
    AdapterFolder,
    EvaluationSpec,
    ExperimentSpec,
    IntegerQuantizer,
    LoraAdapter,
    ModelSpec,
)
from tests.engine.peft_adapters import edit_tensors, peft
from tests.tiny_heads import VOCAB_SIZE, make_kind, save_bert, save_kind
from tests.tolerances import assert_near


@torch.no_grad()
def answer_of(model: Any) -> Tensor:
    tokens = torch.randint(4, VOCAB_SIZE, (2, 12), generator=torch.Generator().manual_seed(9))
    tokens[:, -1] = 2  # an end, which BART's head looks for
    logits: Tensor = model(input_ids=tokens).logits
    return logits


def save_classifier(
    model: Any, folder: Path, *, target: str = "query", whole: str = "classifier"
) -> Tensor:
    """Let PEFT put a LoRA and a head of its own into a classifier; return its logits."""
    config = peft.LoraConfig(
        task_type="SEQ_CLS", r=4, target_modules=[target], modules_to_save=[whole]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks Transformers the old way
        adapted = peft.get_peft_model(model, config).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in adapted.parameters():
            if value.requires_grad:
                value.normal_(0, 0.2, generator=generator)
    adapted.save_pretrained(folder)
    return answer_of(adapted)


def spec_of(source: Path, folder: Path, **values: Any) -> ExperimentSpec:
    """Return the spec of a classifier that starts from a folder, on a task of three classes."""
    return ExperimentSpec.model_validate(
        {
            "model": ModelSpec(source=str(source), head="classification"),
            "adapter": LoraAdapter(r=4, placement="parallel"),
            "initialization": AdapterFolder(path=str(folder)),
            "evaluation": EvaluationSpec(benchmarks=("mnli",)),
        }
        | values
    )


def start(spec: ExperimentSpec, *, classes: int = 3) -> LoadedModel:
    """Load a spec's model, install its layers and start them."""
    loaded = load_model(
        spec.model,
        data_folder=Path(),
        device=torch.device("cpu"),
        listener=lambda _: None,
        head=FreshHead(classes if spec.model.head == "classification" else None, 5),
    )
    layers = install(loaded.model, LayerPlan(spec.quantizer, spec.adapter, 5))
    assert isinstance(spec.initialization, AdapterFolder)
    start_adapter_folder(loaded.model, layers, spec.initialization)
    return loaded


def sentence_of(spec: ExperimentSpec, *, classes: int = 3) -> str:
    """Return the one sentence of the door; the run's own is the same."""
    (problem,) = check_adapter_folder(spec, read_shapes(spec.model, data_folder=Path()))
    with pytest.raises(SpecError) as refused:
        start(spec, classes=classes)
    assert refused.value.problems == (problem,)
    return str(problem)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_classifier_of_pefts_is_a_start(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Pairs and head are PEFT's own, the head is one that goes on training, and the log says so."""
    source = save_kind(tmp_path / "model", kind, "classification", num_labels=3)
    model = make_kind(kind, "classification", num_labels=3)
    expected = save_classifier(model, tmp_path / "adapter")
    spec = spec_of(source, tmp_path / "adapter")
    assert check_adapter_folder(spec, read_shapes(spec.model, data_folder=tmp_path)) == ()
    with caplog.at_level("INFO"):
        loaded = start(spec)
    assert_near(answer_of(loaded.model), expected)
    assert "the head is read, too: classifier." in caplog.text
    trained = list_trained(loaded.model, "classification", loaded.fresh)
    assert float(trained[next(iter(trained))].std()) == pytest.approx(0.2, rel=0.25)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An adapter and a head of three classes for the tiny BERT beside it."""
    save_bert(tmp_path / "model")
    model = make_kind("bert", "classification", num_labels=3)
    save_classifier(model, tmp_path / "adapter")
    return tmp_path


def test_a_head_of_other_classes_is_refused(saved: Path) -> None:
    """A task with two classes does not take a head of three, before launch and in the run."""
    spec = spec_of(saved / "model", saved / "adapter", evaluation={"benchmarks": ["sst2"]})
    said = sentence_of(spec, classes=2)
    assert "whose classifier.weight is of 3 × 32, this model's is of 2 × 32" in said
    assert said.endswith("choose a task with as many classes")


def test_a_model_without_such_a_head_is_refused(tmp_path: Path) -> None:
    """A model that writes has no place for a classification head."""
    source = save_kind(tmp_path / "model", "bart", "seq2seq")
    classifier = make_kind("bart", "classification")
    save_classifier(classifier, tmp_path / "adapter", target="q_proj", whole="classification_head")
    model = ModelSpec(source=str(source), head="seq2seq")
    said = sentence_of(spec_of(source, tmp_path / "adapter", model=model, evaluation={}))
    assert "of a trained head, which this model has not or rounds; choose the model.head" in said


def test_a_rounded_head_is_not_read(saved: Path) -> None:
    """A head whose layer is rounded is named with the field that leaves it alone."""
    quantizer = IntegerQuantizer(bits=4, group_size=16, exclude=("*embed*", "*pooler*"))
    adapter = LoraAdapter(r=4, placement="parallel", target_modules=("*query",))
    spec = spec_of(saved / "model", saved / "adapter", quantizer=quantizer, adapter=adapter)
    said = sentence_of(spec)
    assert "holds classifier.weight of a trained head" in said
    assert "let quantizer.exclude name the head" in said


def test_a_trained_part_of_the_body_is_refused(saved: Path) -> None:
    """What lies in the body is no head: a run would not keep it."""
    edit_tensors(saved / "adapter", **{"model.classifier": "model.bert.pooler.dense"})
    spec = spec_of(saved / "model", saved / "adapter")
    (problem,) = check_adapter_folder(spec, read_shapes(spec.model, data_folder=saved))
    assert "bert.pooler.dense" in problem.message
    assert "accepted are plain LoRA pairs and a head's modules (classifier, " in problem.message
