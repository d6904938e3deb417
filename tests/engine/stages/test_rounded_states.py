"""Whole runs with rounded inputs and caches: span heads of every kind, and a language model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import SpecError
from engine.events import Event, ScoreMeasured
from engine.experiment import Workspace, run_experiment
from engine.specs import ExperimentSpec, resolve
from tests.engine.data.mirrors import squad_row, write_squad
from tests.tiny_heads import DECODERS, save_bert, save_kind
from tests.tiny_models import save_gpt2

CACHE = {"cache": {"rounding": "layer"}}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mirror")
    asked = [squad_row("Where does it rise?", "the Alps"), squad_row("Its end?", "North Sea")]
    write_squad(folder, train=asked * 3, validation=asked)
    return folder


def spec_of(source: Path, quantizer: dict[str, Any], **values: Any) -> ExperimentSpec:
    """Return a short training at 4 bits of weights and inputs."""
    given: dict[str, Any] = {
        "model": {"source": str(source), "head": "span-qa"},
        "quantizer": {
            "grid": "integer", "bits": 4, "symmetry": "narrow", "granularity": "channel",
            "inputs": {"rounding": "layer"}, **quantizer,
        },
        "adapter": {"kind": "lora", "r": 4, "placement": "parallel"},
        "training": {
            "method": "qat", "objective": "task", "data": {"kind": "task", "task": "squad"},
            "max_length": 32, "max_steps": 3, "per_device_train_batch_size": 2,
            "learning_rate": 0.01,
        },
        "evaluation": {"max_length": 32, "benchmarks": ["squad"]},
    }  # fmt: skip
    return resolve(given | values).spec


def run(spec: ExperimentSpec, folder: Path, mirror: Path) -> list[Event]:
    events: list[Event] = []
    workspace = Workspace(folder / "run", folder / "data", mirror)
    run_experiment(spec, workspace=workspace, listener=events.append, device="cpu")
    return events


def measured(events: list[Event]) -> dict[tuple[str, str], float]:
    return {
        (each.metric, each.phase): each.value for each in events if isinstance(each, ScoreMeasured)
    }


@pytest.mark.parametrize("kind", DECODERS)
def test_span_heads_of_decoders_train_at_w4a4kv4(kind: str, mirror: Path, tmp_path: Path) -> None:
    """GPT-2 and Llama learn spans with every part at 4 bits, and are measured by F1 and EM."""
    source = save_kind(tmp_path / "model", kind, "span-qa")
    scores = measured(run(spec_of(source, CACHE), tmp_path, mirror))
    assert {metric for metric, _ in scores} >= {"f1", "exact_match"}
    assert all(0 <= value <= 1 for value in scores.values())


def test_span_heads_of_encoders_train_at_w4a4(mirror: Path, tmp_path: Path) -> None:
    """BERT learns spans with rounded inputs; a cache it does not keep is refused by its field."""
    source = save_bert(tmp_path / "bert")
    scores = measured(run(spec_of(source, {}), tmp_path, mirror))
    assert {metric for metric, _ in scores} >= {"f1", "exact_match"}
    with pytest.raises(SpecError, match=re.escape("quantizer.cache.rounding: BertModel is an")):
        run(spec_of(source, CACHE), tmp_path / "again", mirror)


@pytest.mark.parametrize("granularity", ["token", "head"])
def test_a_language_model_is_measured_as_it_was_trained(granularity: str, tmp_path: Path) -> None:
    """Fewer bits of cache give another perplexity, 16 by the layer map that of no rounding."""
    source = save_gpt2(tmp_path / "model")
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"The line {n} has {n * 7} words." for n in range(60)))
    found = {}
    caches: dict[str, dict[str, Any]] = {
        "none": {},
        "4": {"cache": {"rounding": "fixed", "bits": 4, "granularity": granularity}},
        "2": {"cache": {"rounding": "fixed", "bits": 2, "granularity": granularity}},
        "mapped": {"layer_bits": ["*=W4KV2"]},
        "16": {"cache": {"rounding": "fixed", "bits": 2}, "layer_bits": ["*=W4KV16"]},
    }
    for name, quantizer in caches.items():
        spec = spec_of(
            source,
            quantizer,
            model={"source": str(source)},
            adapter={"kind": "none"},
            training={"method": "none"},
            evaluation={"max_length": 32, "data": {"source": str(text)}},
        )
        scores = measured(run(spec, tmp_path / name, tmp_path))
        found[name] = scores["perplexity", "final"]
    assert found["none"] == found["16"]
    assert len({found["none"], found["4"], found["2"]}) == 3
    assert (found["mapped"] == found["2"]) == (granularity == "token")
    assert all(torch.tensor(value).isfinite() for value in found.values())
