"""Loading: what comes out is frozen, linear, and the same whatever the source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel
from transformers.pytorch_utils import Conv1D

from engine.errors import ModelError
from engine.events import Event, Logged
from engine.models.loading import LoadedModel, choose_dtype, load_model
from engine.models.naming import list_linear_names
from engine.specs import ModelSpec
from tests.tiny_models import make_gpt2, make_llama, make_tokenizer, save_gpt2, save_llama

CPU = torch.device("cpu")
TOKENS = torch.arange(24).view(2, 12)


def load(source: Path | str, data_folder: Path, dtype: str = "auto") -> LoadedModel:
    spec = ModelSpec.model_validate({"source": str(source), "dtype": dtype})
    events: list[Event] = []
    return load_model(spec, data_folder=data_folder, device=CPU, listener=events.append)


@pytest.mark.parametrize("tied", [False, True])
def test_llama_folder(tmp_path: Path, data_folder: Path, tied: bool) -> None:
    """A folder loads to the model that was saved, its tie kept."""
    loaded = load(save_llama(tmp_path / "llama", tied=tied), data_folder)
    with torch.no_grad():
        expected = make_llama(tied=tied)(TOKENS).logits
        assert torch.equal(loaded.model(TOKENS).logits, expected)
    is_shared = loaded.model.lm_head.weight is loaded.model.model.embed_tokens.weight
    assert is_shared == tied
    assert loaded.tokenizer.eos_token == make_tokenizer().eos_token


def test_gpt2_folder(tmp_path: Path, data_folder: Path) -> None:
    """Every Conv1D of a GPT-2 becomes an nn.Linear and the logits stay the same."""
    loaded = load(save_gpt2(tmp_path / "gpt2"), data_folder)
    assert not any(isinstance(module, Conv1D) for module in loaded.model.modules())
    assert "transformer.h.1.mlp.c_proj" in list_linear_names(loaded.model)
    with torch.no_grad():
        expected = make_gpt2()(TOKENS).logits
        torch.testing.assert_close(loaded.model(TOKENS).logits, expected)


def test_frozen_and_evaluating(tmp_path: Path, data_folder: Path) -> None:
    """No parameter asks for a gradient and dropout is off."""
    loaded = load(save_gpt2(tmp_path / "gpt2"), data_folder)
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert not any(module.training for module in loaded.model.modules())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_asked_dtype(tmp_path: Path, data_folder: Path, dtype: str) -> None:
    """Weights are kept in the number format that was asked for."""
    loaded = load(save_llama(tmp_path / "llama"), data_folder, dtype)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {getattr(torch, dtype)}
    assert loaded.dtype == getattr(torch, dtype)


def test_auto_dtype_follows_device() -> None:
    """Auto takes float32 on a CPU and bfloat16 on a GPU."""
    spec = ModelSpec()
    assert choose_dtype(spec, CPU) == torch.float32
    assert choose_dtype(spec, torch.device("cuda", 0)) == torch.bfloat16


def test_missing_weights_are_refused(tmp_path: Path, data_folder: Path) -> None:
    """A checkpoint that lacks weights is refused by name rather than filled with noise."""
    folder = save_llama(tmp_path / "llama")
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"lacks 9 of its weights, such as model\.layers\.2"):
        load(folder, data_folder)


def test_unused_weights_are_mentioned(tmp_path: Path, data_folder: Path) -> None:
    """Weights the model has no use for are a warning in the log."""
    folder = save_llama(tmp_path / "llama")
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    events: list[Event] = []
    load_model(
        ModelSpec(source=str(folder)), data_folder=data_folder, device=CPU, listener=events.append
    )
    assert [event for event in events if isinstance(event, Logged) and event.level == "warning"]


def test_no_tokenizer(tmp_path: Path, data_folder: Path) -> None:
    """A folder without a tokenizer is refused with the files it lacks."""
    make_llama().save_pretrained(tmp_path / "llama")
    with pytest.raises(ModelError, match="holds no tokenizer"):
        load(tmp_path / "llama", data_folder)


def test_damaged_weights(tmp_path: Path, data_folder: Path) -> None:
    """A weight file cut in half is refused with the model's name."""
    folder = save_llama(tmp_path / "llama")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="llama cannot be read"):
        load(folder, data_folder)


def test_not_a_language_model(tmp_path: Path, data_folder: Path) -> None:
    """A model that does not generate text is refused as such."""
    config = BertConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    BertModel(config).save_pretrained(tmp_path / "bert")
    path = tmp_path / "bert" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "vit"}))
    with pytest.raises(ModelError, match="not a causal language model"):
        load(tmp_path / "bert", data_folder)


def test_own_code_is_never_run(tmp_path: Path, data_folder: Path) -> None:
    """A model that brings its own code is refused and the code is not run."""
    folder = save_llama(tmp_path / "llama")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "foreign", "auto_map": {"AutoModelForCausalLM": "foreign.Model",
                                                     "AutoConfig": "foreign.Config"}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "foreign.py").write_text("raise SystemExit('foreign code was run')")
    with pytest.raises(ModelError, match="code of its own"):
        load(folder, data_folder)


def test_hub_out_of_reach(data_folder: Path) -> None:
    """A hub model that is not cached is one sentence when there is no network."""
    with pytest.raises(ModelError, match="no-such/model is not in the local cache"):
        load("no-such/model", data_folder)


def test_linear_names_are_in_order(tmp_path: Path) -> None:
    """Linear layers are listed block by block with the head last."""
    names = list_linear_names(make_llama())
    assert len(names) == 15
    assert names[0] == "model.layers.0.self_attn.q_proj"
    assert names[-1] == "lm_head"
    assert list_linear_names(nn.ReLU()) == ()
