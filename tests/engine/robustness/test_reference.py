"""The 16-bit judge: whose hidden states, and whose output layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine.layers.layer_map import held
from engine.models.loading import FreshHead, LoadedModel, load_model
from engine.robustness.reference import Reference, build_reference
from engine.specs import ModelSpec
from tests.engine.robustness.tiny import gbda, make_victim
from tests.engine.tiny_layers import disturb, integer, lora, quantize, some_tokens
from tests.tiny_models import save_gpt2, save_llama


def load(folder: Path) -> LoadedModel:
    spec = ModelSpec(source=str(folder), head="classification")
    return load_model(
        spec, data_folder=folder, device=torch.device("cpu"), listener=lambda _: None,
        head=FreshHead(2),
    )  # fmt: skip


def check_same(reference: Reference, loaded: LoadedModel, folder: Path) -> None:
    """Check that the judge's logits are the checkpoint's own."""
    tokens = some_tokens(2, 7)
    hidden = reference.hidden(loaded.model, {"input_ids": tokens})
    whole = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(reference.logits(hidden), whole(input_ids=tokens).logits)


@pytest.mark.parametrize("save", [save_gpt2, save_llama], ids=["tied", "untied"])
def test_a_decoder_is_its_own_language_model(tmp_path: Path, save: Any) -> None:
    """A classifier on a decoder judges fluency as the causal language model of its checkpoint."""
    loaded = load(save(tmp_path))
    reference = build_reference(loaded, {}, spec=gbda())
    assert reference.note == ""
    check_same(reference, loaded, tmp_path)
    body = {id(value) for value in loaded.model.base_model.parameters()}
    assert reference.language is not None
    assert {id(value) for value in reference.language.body.parameters()} == body


def test_an_output_layer_in_parts(tmp_path: Path) -> None:
    """The output layer is found in a checkpoint of several files, too."""
    save_llama(tmp_path)
    whole = load_file(tmp_path / "model.safetensors")
    head = {"lm_head.weight": whole.pop("lm_head.weight")}
    files = {"model-00001-of-00002.safetensors": whole, "model-00002-of-00002.safetensors": head}
    for name, tensors in files.items():
        save_file(tensors, tmp_path / name, {"format": "pt"})
    places = {tensor: name for name, tensors in files.items() for tensor in tensors}
    (tmp_path / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": places}
    (tmp_path / "model.safetensors.index.json").write_text(str(index).replace("'", '"'))
    loaded = load(tmp_path)
    check_same(build_reference(loaded, {}, spec=gbda()), loaded, tmp_path)


@pytest.mark.parametrize(
    ("kind", "why"),
    [("bert", "an encoder is no causal language model"), ("llama", "no output layer for tokens")],
)
def test_fluency_is_left_out_with_a_note(tmp_path: Path, kind: str, why: str) -> None:
    """An encoder, and a checkpoint saved with its classification head, go without and say so."""
    victim = make_victim(kind, **({"tie_word_embeddings": False} if kind == "llama" else {}))
    victim.model.save_pretrained(tmp_path)
    loaded = LoadedModel(victim.model, victim.tokenizer, torch.float32, str(tmp_path))
    reference = build_reference(loaded, {}, spec=gbda())
    assert reference.language is None
    assert why in reference.note
    assert "attack.fluency_weight" in reference.note


def test_nothing_is_said_where_nothing_was_asked(tmp_path: Path) -> None:
    """Without a weight on fluency there is no language model and no note."""
    victim = make_victim("bert")
    loaded = LoadedModel(victim.model, victim.tokenizer, torch.float32, str(tmp_path))
    assert build_reference(loaded, {}, spec=gbda(fluency_weight=0.0)) == Reference({})


def test_the_reference_is_not_rounded() -> None:
    """Hidden states are the float model's, whatever the model is set to, and it stays so."""
    plain, victim = make_victim("bert"), make_victim("bert")
    layers = quantize(victim.model, integer(bits=2), lora())
    disturb(layers)
    batch = {"input_ids": some_tokens(2, 7), "attention_mask": torch.ones(2, 7).long()}
    float_states = Reference({}).hidden(plain.model, batch)
    with held(layers, torch.float32):
        before = victim.logits(batch)
        torch.testing.assert_close(Reference(layers).hidden(victim.model, batch), float_states)
        torch.testing.assert_close(victim.logits(batch), before)
    assert not before.allclose(plain.logits(batch))


def test_the_reference_is_no_pass_of_the_model() -> None:
    """Who counts passes of the model or its body, to draw widths, does not see the reference."""
    victim, seen = make_victim("bert"), list[Any]()
    for module in (victim.model, victim.model.base_model):
        module.register_forward_pre_hook(lambda module, _: seen.append(type(module).__name__))
    batch = {"input_ids": some_tokens(1, 5)}
    Reference({}).hidden(victim.model, batch)
    assert seen == []
    victim.logits(batch)
    assert len(seen) == 2
