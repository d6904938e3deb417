"""Whole attacks: what falls, what stands, and what makes no difference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.data.supervised_rows import Labelled
from engine.errors import StorageError
from engine.layers.layer_map import LayerSetting, apply_map, held
from engine.robustness.attack import (
    AttackedText,
    AttackScores,
    attack_classifier,
    score,
)
from engine.robustness.change_rate import change_rate
from engine.robustness.classifier import Classifier
from engine.robustness.reference import Reference
from engine.robustness.report import write_texts
from engine.specs import EvaluationSpec
from tests.engine.robustness.tiny import TEXTS, as_read, gbda, make_adder, make_victim
from tests.engine.tiny_layers import integer, lora, quantize

FREE = {"num_steps": 30, "initial_coefficient": 1.0, "num_tries": 20, "margin": 2.0}
SENTENCES = (("lists are mutable sequences",), ("a value of many",), ("the end",))


def attack(
    victim: Classifier,
    texts: Any,
    *,
    reference: Reference | None = None,
    seed: int = 1,
    told: list[tuple[int, int]] | None = None,
    **values: Any,
) -> AttackScores:
    told = [] if told is None else told
    return attack_classifier(
        victim, texts, spec=gbda(**values), reference=reference or Reference({}), seed=seed,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip


def adder_texts(victim: Classifier) -> list[Labelled]:
    return as_read(victim, *((text,) for text in TEXTS))


def test_an_easy_classifier_falls() -> None:
    """With freedom enough every text is changed until words of the other kind outweigh."""
    victim = make_adder()
    texts = adder_texts(victim)
    found = attack(victim, texts, **FREE)
    assert found.clean_accuracy.value == 1.0
    assert found.adversarial_accuracy.value == 0.0
    for example, each in zip(texts, found.texts, strict=True):
        assert each.adversarial is not None
        assert victim.read([(each.adversarial,)]) == [1 - int(example.label)]
        assert each.token_change_rate == change_rate(each.text, each.adversarial) > 0
    assert found.token_change_rate is not None
    rates = [each.token_change_rate for each in found.texts]
    assert found.token_change_rate.value == pytest.approx(sum(rates) / len(rates))
    assert found.token_change_rate.num_samples == len(texts)


def test_without_freedom_nothing_changes() -> None:
    """Where the distribution stays at the text, every text survives, however many tries."""
    victim = make_adder()
    found = attack(victim, adder_texts(victim), initial_coefficient=1000.0, learning_rate=1e-6)
    assert found.adversarial_accuracy == found.clean_accuracy
    assert found.token_change_rate is None
    assert all(each.adversarial is None and each.clean_right for each in found.texts)


def test_an_unchanged_text_is_no_success() -> None:
    """A draw of the text itself is not even tried, so that no other reading of it can count."""
    victim, passes = make_adder(), list[int]()
    texts = adder_texts(victim)
    victim.model.register_forward_pre_hook(lambda *_: passes.append(1))
    found = attack(victim, texts, num_steps=3, initial_coefficient=1000.0, learning_rate=1e-6)
    assert len(passes) == 1 + 3
    assert found.token_change_rate is None


def test_what_was_wrong_already_counts_as_wrong() -> None:
    """A text that is misread as it is gets no attack and is in neither accuracy."""
    victim = make_adder()
    wrong = [Labelled(each.texts, 1 - each.label) for each in adder_texts(victim)]
    found = attack(victim, [*wrong[:1], *adder_texts(victim)[1:]], **FREE)
    assert found.clean_accuracy.value == 0.75
    assert found.texts[0] == AttackedText(TEXTS[0], None, 0, clean_right=False)


def test_a_text_without_words_survives() -> None:
    """Where nothing may change, nothing is attacked."""
    victim = make_adder()
    found = attack(victim, as_read(victim, ("[UNK] [UNK]",), ("the film is good",)), **FREE)
    assert found.texts[0].survived
    assert not found.texts[1].survived


def test_the_second_text_of_a_pair_stays() -> None:
    """Of a pair the first text alone is changed; the second is in the report as it was."""
    victim = make_adder()
    found = attack(victim, as_read(victim, ("the film is good", "the plot")), **FREE)
    (text,) = found.texts
    assert text.companion == "the plot"
    assert text.adversarial is not None
    assert victim.read([(text.adversarial, "the plot")]) != [text.label]


def test_the_same_seed_gives_the_same_attack() -> None:
    """Texts, groups and tries follow from the seed alone; another seed draws others."""
    victim = make_adder()
    texts = adder_texts(victim)
    first, again, other = (attack(victim, texts, seed=seed, **FREE) for seed in (1, 1, 2))
    assert first == again
    assert first.texts != other.texts


def test_groups_make_no_difference() -> None:
    """A text is attacked alike alone and beside others."""
    victim = make_adder()
    texts = adder_texts(victim)
    alone = replace(victim, evaluation=EvaluationSpec(per_device_eval_batch_size=1))
    assert attack(alone, texts, **FREE) == attack(victim, texts, **FREE)


def test_progress() -> None:
    """It moves with every step of every text that is attacked; one misread already needs none."""
    victim, told = make_adder(), list[tuple[int, int]]()
    texts = adder_texts(victim)
    asked = [Labelled(texts[0].texts, 1 - texts[0].label), *texts[1:]]
    attack(victim, asked, told=told, num_steps=3)
    assert told == [(0, 9), (3, 9), (6, 9), (9, 9)]
    misread = [Labelled(each.texts, 1 - each.label) for each in texts]
    told.clear()
    attack(victim, misread, told=told)
    assert told == [(0, 0)]


def test_sixteen_bits_are_the_unquantized_model() -> None:
    """At a map of 16 bits the attack finds, word for word, what it finds on the float model."""
    plain, victim = (make_victim("bert", initializer_range=0.5) for _ in range(2))
    layers = quantize(victim.model, integer(bits=2), lora())
    apply_map(layers, dict.fromkeys(layers, LayerSetting(bits=16, rank=0)))
    texts = as_read(plain, *SENTENCES)
    free = {"initial_coefficient": 2.0, "num_tries": 20}
    with held(layers, torch.float32):
        found = attack(victim, texts, reference=Reference(layers), **free)
    assert found == attack(plain, texts, **free)
    assert any(each.adversarial for each in found.texts)


def test_rounded_weights_are_attacked() -> None:
    """At another map the attack is on the rounded model: what it finds fools that one."""
    victim = make_victim("bert", initializer_range=0.5)
    layers = quantize(victim.model, integer(bits=2))
    with held(layers, torch.float32):
        texts = as_read(victim, *SENTENCES)
        found = attack(
            victim, texts, reference=Reference(layers), initial_coefficient=2.0, num_tries=20
        )
        changed = [each for each in found.texts if each.adversarial]
        assert changed
        for each in changed:
            assert victim.read([(each.adversarial,)]) != [each.label]


def test_every_try_is_a_pass() -> None:
    """Each step and each try is one forward pass of the model, so that widths are drawn for all."""
    victim, passes = make_adder(), list[int]()
    texts = adder_texts(victim)[:2]
    victim.model.register_forward_pre_hook(
        lambda _model, _args, given: passes.append(len(given["input_ids"])), with_kwargs=True
    )
    attack(victim, texts, num_steps=3, num_tries=5, initial_coefficient=8.0, learning_rate=1e-6)
    assert passes[:4] == [2, 6, 6, 6]
    assert len(passes) <= 9
    assert set(passes[4:]) <= {1, 2}


def test_the_model_is_left_as_it_was() -> None:
    """Mode and embedding are as before, also when the attack is stopped."""
    victim = make_adder()
    texts = adder_texts(victim)
    victim.model.train()

    def stop(done: int, total: int) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        attack_classifier(
            victim, texts, spec=gbda(), reference=Reference({}), seed=0, progress=stop
        )
    assert victim.model.training
    assert adder_texts(victim) == texts


def test_inside_inference_mode() -> None:
    """Gradients are taken also where the caller has switched them off."""
    victim = make_adder()
    texts = adder_texts(victim)
    with torch.inference_mode():
        found = attack(victim, texts, **FREE)
    assert found == attack(victim, texts, **FREE)


def test_score() -> None:
    """Accuracies are shares of all texts, the change rate is of those that fell."""
    right = AttackedText("a b", None, 1, clean_right=True)
    fell = replace(right, adversarial="a c", token_change_rate=0.5)
    found = score([right, fell, replace(right, clean_right=False), right])
    assert found.clean_accuracy.value == 0.75
    assert found.adversarial_accuracy.value == 0.5
    assert found.adversarial_accuracy.standard_error == pytest.approx((0.25 / 3) ** 0.5)
    assert found.token_change_rate is not None
    assert found.token_change_rate[:] == (0.5, None, 1)


def test_texts_are_written(tmp_path: Path) -> None:
    """The report has every text with what the attack made of it, and the map's name."""
    right = AttackedText("a é", "c", 1, clean_right=True)
    fell = replace(right, adversarial="a �", token_change_rate=0.5)
    write_texts(tmp_path / "deep" / "adversarial-0.json", [right, fell], label="4 bits")
    found = json.loads((tmp_path / "deep" / "adversarial-0.json").read_text(encoding="utf-8"))
    assert found["map"] == "4 bits"
    assert [AttackedText(**each) for each in found["texts"]] == [right, fell]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["adversarial-0.json"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """A report that cannot be written is one sentence, and leaves nothing behind."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match=r"adversarial-0\.json could not be written"):
        write_texts(tmp_path / "taken" / "adversarial-0.json", [], label="")
