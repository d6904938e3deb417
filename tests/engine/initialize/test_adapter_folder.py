"""Promises of adapters that PEFT has saved: the same product, or one sentence that says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.adapter_fit import check_adapter_folder
from engine.errors import BitdialError, ModelError, SpecError
from engine.events import Event, ScoreMeasured
from engine.experiment import Workspace, run_experiment
from engine.initialize.adapter_folder import start_adapter_folder
from engine.layers.swap import LayerPlan, Layers, install
from engine.models.adapter_header import FIRST, PREFIX, SECOND
from engine.models.conv1d import replace_conv1d
from engine.models.shapes import read_shapes
from engine.specs import AdapterFolder, ExperimentSpec, FloatQuantizer, LoraAdapter, QuantizerSpec
from tests.engine.peft_adapters import (
    adapted_logits,
    edit_config,
    edit_tensors,
    probe_tokens,
    save_adapter,
)
from tests.engine.tiny_layers import integer
from tests.tiny_models import make_gpt2, make_llama, save_llama
from tests.tolerances import assert_near

LLAMA = ("q_proj", "down_proj")
PAIR = "model.layers.0.self_attn.q_proj"


def start(
    model: nn.Module,
    folder: Path,
    *,
    quantizer: QuantizerSpec | None = None,
    target_modules: tuple[str, ...] = ("*",),
    **adapter: Any,
) -> Layers:
    """Install layers in a frozen model and start their adapters from a folder."""
    replace_conv1d(model)
    model.requires_grad_(requires_grad=False)
    spec = LoraAdapter(**{"r": 4, "target_modules": target_modules} | adapter)
    layers = install(model, LayerPlan(quantizer or FloatQuantizer(), spec, 0))
    start_adapter_folder(model, layers, AdapterFolder(path=str(folder)))
    return layers


@torch.no_grad()
def logits_of(model: Any) -> Tensor:
    logits: Tensor = model(probe_tokens()).logits
    return logits


@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
@pytest.mark.parametrize(
    "options",
    [
        {"lora_alpha": 4},
        {"lora_alpha": 13, "use_rslora": True},
        {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"down_proj": 5}, "lora_alpha": 8},
    ],
    ids=["alpha is rank", "rank-stabilized", "patterns"],
)
def test_a_16_bit_start_is_what_peft_has(
    tmp_path: Path, placement: str, options: dict[str, Any]
) -> None:
    """At 16 bits the model with a read adapter gives the logits that PEFT's gives."""
    expected = save_adapter(make_llama(), tmp_path, r=4, target_modules=list(LLAMA), **options)
    model = make_llama()
    start(model, tmp_path, placement=placement, lora_alpha=6.0)
    assert not torch.allclose(expected, logits_of(make_llama()), rtol=1e-2)
    assert_near(logits_of(model), expected)


def test_gpt2_adapters_are_read(tmp_path: Path) -> None:
    """Pairs beside GPT-2's Conv1D are those of the linear layers that replace them."""
    options = {"target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True}
    expected = save_adapter(make_gpt2(), tmp_path, r=4, lora_alpha=8, **options)
    model = make_gpt2()
    start(model, tmp_path, placement="parallel")
    assert_near(logits_of(model), expected)


def test_a_rounded_model_carries_the_adapter_beside_it(tmp_path: Path) -> None:
    """At 4 bits in parallel the logits are those of the rounded weights and the same pairs."""
    save_adapter(make_llama(), tmp_path, r=4, lora_alpha=8, target_modules=list(LLAMA))
    model, rounded = make_llama(), make_llama()
    layers = start(model, tmp_path, quantizer=integer(bits=4), placement="parallel")
    for name, layer in layers.items():
        rounded.get_submodule(name).weight.data.copy_(layer.effective())
    assert_near(logits_of(model), adapted_logits(rounded, tmp_path))


def test_layers_without_a_saved_pair_start_at_zero(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the folder lacks changes nothing, and the log says how many layers that are."""
    save_adapter(make_llama(), tmp_path, r=4, target_modules=["q_proj"])
    with caplog.at_level("INFO"):
        layers = start(make_llama(), tmp_path)
    assert "2 of 14 adapters are read; 12 have no saved pair and start at zero" in caplog.text
    filled = {name for name, layer in layers.items() if layer.adapter.b.any()}
    assert filled == {name for name in layers if name.endswith("q_proj")}


def test_a_run_starts_from_a_folder(tmp_path: Path) -> None:
    """A run that only starts from a folder ends with its pairs, and is measured with them."""
    source = save_llama(tmp_path / "model")
    save_adapter(make_llama(), tmp_path / "adapter", r=4, target_modules=list(LLAMA))
    (tmp_path / "text.txt").write_text("The quick brown fox jumps over the lazy dog. " * 40)
    spec = ExperimentSpec(
        model={"source": str(source)},
        adapter=LoraAdapter(r=4, lora_alpha=8.0, placement="parallel"),
        initialization=AdapterFolder(path=str(tmp_path / "adapter")),
        evaluation={
            "data": {"source": str(tmp_path / "text.txt"), "split": "train"},
            "max_length": 16,
            "limit": 2,
        },
    )
    events: list[Event] = []
    run_experiment(spec, workspace=Workspace(tmp_path / "run", tmp_path), listener=events.append)
    saved = load_file(tmp_path / "adapter/adapter_model.safetensors")
    result = load_file(tmp_path / "run/result.safetensors")
    assert torch.equal(result[f"{PAIR}/adapter.a"], saved[f"{PREFIX}{PAIR}{FIRST}"])
    assert torch.equal(result[f"{PAIR}/adapter.b"], saved[f"{PREFIX}{PAIR}{SECOND}"])
    scores = {each.metric: each.value for each in events if isinstance(each, ScoreMeasured)}
    assert scores["kl_divergence"] > 1e-5


def sentence_of(folder: Path, **adapter: Any) -> str:
    """Return the one sentence of the door; the run's own is the same."""
    model = save_llama(folder.parent / "model")
    spec = ExperimentSpec(
        model={"source": str(model)},
        adapter=LoraAdapter(**{"r": 4} | adapter),
        initialization=AdapterFolder(path=str(folder)),
    )
    shapes = read_shapes(spec.model, data_folder=folder.parent)
    (problem,) = check_adapter_folder(spec, shapes)
    with pytest.raises(BitdialError) as refused:
        start(make_llama(), folder, **adapter)
    if isinstance(refused.value, SpecError):
        assert refused.value.problems == (problem,)
    else:
        assert str(refused.value) == str(problem)
    return str(problem)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An adapter of the tiny Llama, of rank 4."""
    save_adapter(make_llama(), tmp_path / "adapter", r=4, target_modules=list(LLAMA))
    return tmp_path / "adapter"


def test_another_rank_is_named(saved: Path) -> None:
    """A spec with another rank is told the adapter's."""
    said = sentence_of(saved, r=8)
    assert said.startswith("adapter.r: is 8, and the adapter")
    assert said.endswith("has rank 4; set adapter.r to 4")


def test_pairs_that_find_no_adapter_are_named(saved: Path) -> None:
    """A pair of a layer that is not adapted is refused with the fields that leave it out."""
    said = sentence_of(saved, target_modules=("*q_proj",))
    assert "has a pair for model.layers.0.mlp.down_proj (and 1 more)" in said
    assert "adapter.target_modules" in said


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    """Names that are not there and shapes that differ are told beside the model's own."""
    (tmp_path / "a").mkdir()
    save_adapter(
        make_gpt2(), tmp_path / "a/gpt2", r=4, target_modules=["c_fc"], fan_in_fan_out=True
    )
    said = sentence_of(tmp_path / "a/gpt2")
    assert "its transformer.h.0.mlp.c_fc (and 1 more) is not a layer of this one" in said
    assert "named like model.layers.0." in said
    save_adapter(make_llama(), tmp_path / "a/llama", r=4, target_modules=["q_proj"])
    edit_tensors(tmp_path / "a/llama", q_proj="k_proj")
    said = sentence_of(tmp_path / "a/llama")
    assert "k_proj (and 1 more) is of a layer of 64 × 64, this model's is 32 × 64" in said


def test_a_folder_that_is_no_adapter_is_refused(tmp_path: Path) -> None:
    """A missing folder, one without config and one with another format say what is accepted."""
    assert "there is no folder" in sentence_of(tmp_path / "nowhere")
    (tmp_path / "adapter").mkdir()
    assert "holds no adapter_config.json; accepted is" in sentence_of(tmp_path / "adapter")
    (tmp_path / "adapter/adapter_config.json").write_text("{}")
    (tmp_path / "adapter/adapter_model.bin").write_bytes(b"")
    assert "holds no adapter_model.safetensors" in sentence_of(tmp_path / "adapter")
    (tmp_path / "adapter/adapter_model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    assert "of PEFT's kind None; accepted is LORA" in sentence_of(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "trained biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4"),
        ({"lora_alpha": None}, "lora_alpha is None"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "names of layers"),
    ],
)
def test_what_is_more_than_pairs_is_refused(
    saved: Path, values: dict[str, Any], words: str
) -> None:
    """Adapters that change more than s·B·A adds are refused, each with what they are."""
    edit_config(saved, **values)
    said = sentence_of(saved)
    assert said.startswith("initialization.path: ")
    assert words in said
    assert "accepted" in said


def test_halves_and_strangers_are_refused(saved: Path) -> None:
    """A pair that lost its other half, or a tensor that is none, is named."""
    edit_tensors(saved, **{"0.self_attn.q_proj.lora_B": None})
    assert f"the pair of {PAIR} is not whole" in sentence_of(saved)
    edit_tensors(saved, lora_A="lora_embedding_A")
    assert "lora_embedding_A" in sentence_of(saved)


def test_a_damaged_file_is_refused(saved: Path) -> None:
    """A file that was cut off is told before a run begins."""
    path = saved / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    assert "damaged or cut off" in sentence_of(saved)
    with pytest.raises(ModelError, match="damaged"):
        start(make_llama(), saved)
