"""Shapes from headers: those of the model that Transformers builds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from engine.errors import ModelError
from engine.models.conv1d import replace_conv1d
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ModelSpec
from tests.tiny_models import (
    VOCAB_SIZE,
    make_gpt2,
    make_llama,
    save_gpt2,
    save_llama,
    save_llama_gguf,
)


def shapes_of(source: Path | str, data_folder: Path) -> ModelShapes:
    return read_shapes(ModelSpec(source=str(source)), data_folder=data_folder)


def check_against(shapes: ModelShapes, model: PreTrainedModel) -> None:
    """Compare with the modules of the real model."""
    replace_conv1d(model)
    expected = {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Embedding)
    }
    found = {layer.name: (layer.out_features, layer.in_features) for layer in shapes.layers}
    assert found == expected
    assert shapes.num_parameters == sum(value.numel() for value in model.parameters())
    assert shapes.vocab_size == VOCAB_SIZE
    assert (shapes.hidden_size, shapes.num_blocks) == (64, 2)
    assert shapes.layers[-1].name == "lm_head"
    embeddings = {layer.name for layer in shapes.layers if layer.is_embedding}
    assert embeddings == {
        name for name, module in model.named_modules() if isinstance(module, nn.Embedding)
    }


@pytest.mark.parametrize("tied", [False, True])
def test_llama(tmp_path: Path, data_folder: Path, tied: bool) -> None:
    """Names, sides and the parameter count of a Llama are those of its modules."""
    shapes = shapes_of(save_llama(tmp_path / "llama", tied=tied), data_folder)
    assert shapes.tied == tied
    check_against(shapes, make_llama(tied=tied))


def test_gpt2(tmp_path: Path, data_folder: Path) -> None:
    """GPT-2's transposed weights come out as (out, in), its tied head is listed."""
    shapes = shapes_of(save_gpt2(tmp_path / "gpt2"), data_folder)
    assert shapes.tied
    check_against(shapes, make_gpt2())
    sides = {layer.name: (layer.out_features, layer.in_features) for layer in shapes.layers}
    assert sides["transformer.h.0.attn.c_attn"] == (192, 64)


def test_checkpoint_without_prefix(tmp_path: Path, data_folder: Path) -> None:
    """A checkpoint of the bare model, as the hub's GPT-2 is, has the same shapes."""
    make_gpt2().transformer.save_pretrained(tmp_path / "bare")
    check_against(shapes_of(tmp_path / "bare", data_folder), make_gpt2())


def test_sharded(tmp_path: Path, data_folder: Path) -> None:
    """A checkpoint in several files has the shapes of the whole."""
    folder = tmp_path / "sharded"
    make_llama().save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    check_against(shapes_of(folder, data_folder), make_llama())


@pytest.mark.parametrize("tied", [False, True])
def test_gguf(tmp_path: Path, data_folder: Path, tied: bool) -> None:
    """A GGUF has the shapes and names it will have once converted, known before it is."""
    path = save_llama_gguf(tmp_path / "tiny.gguf", tied=tied)
    shapes = shapes_of(path, data_folder)
    assert shapes.tied == tied
    check_against(shapes, make_llama(tied=tied))
    assert list(data_folder.iterdir()) == []


def test_bundled(data_folder: Path) -> None:
    """The bundled model has 210 linear layers in 30 blocks, an embedding and a tied head."""
    shapes = shapes_of("bundled:smollm2-135m-instruct", data_folder)
    assert (len(shapes.layers), shapes.num_blocks, shapes.tied) == (212, 30, True)
    assert shapes.num_parameters == 134_515_008


def test_unknown_gguf(tmp_path: Path, data_folder: Path) -> None:
    """A GGUF of an unknown architecture says which are known before conversion."""
    path = save_llama_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes().replace(b"llama", b"lamma"))
    with pytest.raises(ModelError, match=r"architecture 'lamma'.*gemma, gemma2"):
        shapes_of(path, data_folder)


@pytest.mark.parametrize("damage", ["cut", "length", "json", "empty"])
def test_damaged_header(tmp_path: Path, data_folder: Path, damage: str) -> None:
    """A damaged weight file is refused with its name."""
    folder = save_llama(tmp_path / "llama")
    path = folder / "model.safetensors"
    content = path.read_bytes()
    damaged = {
        "cut": content[:-1],
        "length": b"\xff" * 8 + content[8:],
        "json": content[:8] + b"x" + content[9:],
        "empty": b"",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged or cut off"):
        shapes_of(folder, data_folder)


def test_missing_shard(tmp_path: Path, data_folder: Path) -> None:
    """A missing part of a sharded checkpoint is named."""
    folder = tmp_path / "sharded"
    make_llama().save_pretrained(folder, max_shard_size="100KB")
    next(folder.glob("*.safetensors")).unlink()
    with pytest.raises(ModelError, match="lacks the file"):
        shapes_of(folder, data_folder)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_bad_config(tmp_path: Path, data_folder: Path, content: str) -> None:
    """A config.json that is no JSON object is named."""
    folder = save_llama(tmp_path / "llama")
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json"):
        shapes_of(folder, data_folder)


def test_no_embedding(tmp_path: Path, data_folder: Path) -> None:
    """Weights without a token embedding are not a language model."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x"}))
    save_file({"layer.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="no token embedding"):
        shapes_of(tmp_path, data_folder)


def test_hub_cache(tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub model in the local cache has its shapes without a connection."""
    cache = tmp_path / "hub"
    folder = cache / "models--org--tiny" / "snapshots" / ("a" * 40)
    shutil.copytree(save_llama(tmp_path / "llama"), folder)
    refs = cache / "models--org--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    check_against(shapes_of("org/tiny", data_folder), make_llama())


def test_hub_out_of_reach(data_folder: Path) -> None:
    """A hub model that is nowhere is one sentence."""
    with pytest.raises(ModelError, match="not in the local cache and the hub cannot be reached"):
        shapes_of("no-such/model", data_folder)


def test_light() -> None:
    """Reading shapes loads neither torch nor transformers."""
    code = (
        "import sys; from pathlib import Path; from engine.models.shapes import read_shapes; "
        "from engine.specs import ModelSpec; read_shapes(ModelSpec(), data_folder=Path('x')); "
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
