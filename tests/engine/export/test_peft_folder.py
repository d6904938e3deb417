"""Promises of a run as a base model with a PEFT adapter: the same logits, or nothing at all."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from engine.errors import CheckpointError, ExportError, SpecError, StorageError
from engine.export import peft_folder, verifying
from engine.export.peft_folder import ABSORBED, UNCHECKED, WEIGHTS_ALONE, export_peft
from engine.export.rebuilding import RunFiles, rebuild
from engine.initialize.adapter_folder import start_adapter_folder
from engine.layers.swap import LayerPlan, install
from engine.models.conv1d import replace_conv1d
from engine.result import iter_weights
from engine.specs import (
    AdapterFolder,
    AdapterSpec,
    ElasticLoraAdapter,
    FixedCache,
    FixedInputs,
    FloatQuantizer,
    IntegerQuantizer,
    LayerCache,
    LayerInputs,
    LoraAdapter,
    LoraBankAdapter,
    ModelSpec,
    NoAdapter,
    NormalFloatQuantizer,
    QuantizerSpec,
)
from engine.specs.adapter import Placement
from tests.engine.export.finished_runs import Finished, finish_run
from tests.engine.peft_adapters import adapted_logits, probe_tokens
from tests.engine.tiny_layers import integer
from tests.tiny_models import make_llama, save_gpt2, save_llama
from tests.tolerances import assert_near

FIXED = LoraAdapter(r=4, lora_alpha=6.0, placement="parallel")
ELASTIC = ElasticLoraAdapter(
    rank_space=(4, 2, 1), rank_policy="fixed", ranks=(1, 4), lora_alpha=6.0, placement="parallel"
)
NORMAL = NormalFloatQuantizer(bits=3, group_size=32)
SAVERS: dict[str, Callable[[Path], Path]] = {"llama": save_llama, "gpt2": save_gpt2}


def load_base(folder: Path) -> PreTrainedModel:
    """Load a folder as anybody would."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def logits_of(model: Any) -> Tensor:
    logits: Tensor = model(probe_tokens()).logits
    return logits


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the largest expected value."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("quantizer", "adapter"),
    [(integer(bits=3), FIXED), (NORMAL, ELASTIC), (FloatQuantizer(), FIXED)],
    ids=["integer, fixed", "normal float, elastic", "16 bits, fixed"],
)
def test_peft_loads_the_same_logits(
    tmp_path: Path, family: str, quantizer: QuantizerSpec, adapter: AdapterSpec
) -> None:
    """Base and adapter, loaded by Transformers and PEFT, answer as the run's own model."""
    run = finish_run(SAVERS[family](tmp_path / "model"), quantizer, adapter)
    written = run.export(tmp_path / "out")
    found = adapted_logits(load_base(tmp_path / "out"), tmp_path / "out/adapter")
    assert relative(found, run.logits) <= 1e-5
    assert relative(logits_of(load_base(tmp_path / "out")), run.logits) > 1e-3
    assert written.difference <= 1e-5
    assert written.adapter == str(tmp_path / "out/adapter")
    assert written.ranks == ((4, 1) if adapter is ELASTIC else (4,))
    assert written.notes == ()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_base_holds_the_rounded_weights(tmp_path: Path, family: str) -> None:
    """Weights of the folder are those of the codes, in the layout and dtype of the family."""
    run = finish_run(SAVERS[family](tmp_path / "model"), integer(bits=3), FIXED)
    run.export(tmp_path / "out")
    before = load_file(tmp_path / "model/model.safetensors")
    after = load_file(tmp_path / "out/model.safetensors")
    assert {name: (each.shape, each.dtype) for name, each in after.items()} == {
        name: (each.shape, each.dtype) for name, each in before.items()
    }
    base = load_base(tmp_path / "out")
    replace_conv1d(base)
    for name, weight in iter_weights(run.result):
        assert torch.equal(base.get_submodule(name).weight, weight)
    rounded = {f"{name}.weight" for name in run.layers}
    kept = before.keys() - rounded
    assert kept
    assert all(torch.equal(before[name], after[name]) for name in kept)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.decode(tokenizer("a fox")["input_ids"]) == "a fox"


def test_mixed_widths_are_read_from_the_result(tmp_path: Path) -> None:
    """Layers of different widths are written as their own codes have them."""
    names = [name for name, _ in make_llama().named_modules() if name.endswith("_proj")]
    bits = {name: 4 if ".0." in name else 2 for name in names}
    quantizer = IntegerQuantizer(bits=3.0, group_size=16)
    run = finish_run(save_llama(tmp_path / "model"), quantizer, FIXED, bits=bits)
    run.export(tmp_path / "out")
    found = adapted_logits(load_base(tmp_path / "out"), tmp_path / "out/adapter")
    assert relative(found, run.logits) <= 1e-5


PARTLY = IntegerQuantizer(bits=3, group_size=16, layer_bits=("*.down_proj=16",))


@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
@pytest.mark.parametrize("kind", ["lora", "lora-bank", "elastic-lora"])
def test_layers_that_a_map_leaves_at_16_bits_keep_their_pairs(
    tmp_path: Path, kind: str, placement: Placement
) -> None:
    """A rebuilt model has the run's own effective weights, rounded or not, and its answers."""
    adapter = {
        "lora": LoraAdapter(r=4, lora_alpha=6.0, placement=placement),
        "lora-bank": LoraBankAdapter(r=4, lora_alpha=6.0, placement=placement),
        "elastic-lora": ELASTIC.model_copy(update={"placement": placement}),
    }[kind]
    run = finish_run(save_llama(tmp_path / "model"), PARTLY, adapter)
    rebuilt = rebuild(
        run.spec,
        RunFiles(run.result),
        data_folder=tmp_path,
        device=torch.device("cpu"),
        listener=lambda _: None,
    )
    assert {name for name, layer in rebuilt.layers.items() if layer.ranges is not None} == {
        name for name in run.layers if "down_proj" not in name
    }
    with torch.no_grad():
        for name, layer in run.layers.items():
            assert_near(rebuilt.layers[name].effective(), layer.effective())
    assert relative(logits_of(rebuilt.loaded.model), run.logits) <= 1e-5
    run.export(tmp_path / "out")
    if placement == "absorbed":
        assert relative(logits_of(load_base(tmp_path / "out")), run.logits) <= 1e-5


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"inputs": FixedInputs()}, "the layers' inputs"),
        ({"cache": LayerCache()}, "keys and values"),
        (
            {"inputs": LayerInputs(), "cache": FixedCache()},
            "the layers' inputs and keys and values",
        ),
        ({"layer_bits": ("*.mlp.*=W4A8",)}, "the layers' inputs"),
        ({"layer_bits": ("*.k_proj=W4KV4",)}, "keys and values"),
        ({"inputs": FixedInputs(), "layer_bits": ("*=W4A16",)}, None),
    ],
)
def test_a_folder_says_that_it_holds_weights_alone(
    tmp_path: Path, given: dict[str, Any], what: str | None
) -> None:
    """Where a run rounds inputs or cache, the report says what the written model does not."""
    quantizer = IntegerQuantizer(bits=4, group_size=16, **given)
    run = finish_run(save_llama(tmp_path / "model"), quantizer, NoAdapter())
    written = run.export(tmp_path / "out")
    assert written.notes == (() if what is None else (WEIGHTS_ALONE.format(what=what),))


def test_ranks_that_a_search_chose_are_kept(tmp_path: Path) -> None:
    """A result that was cut to its ranks is written with them."""
    run = finish_run(save_llama(tmp_path / "model"), NORMAL, ELASTIC, extracted_ranks=(2, 1))
    assert run.export(tmp_path / "out").ranks == (2, 1)
    found = adapted_logits(load_base(tmp_path / "out"), tmp_path / "out/adapter")
    assert relative(found, run.logits) <= 1e-5
    config = json.loads((tmp_path / "out/adapter/adapter_config.json").read_text())
    assert sorted({config["r"], *config["rank_pattern"].values()}) == [1, 2]


@pytest.mark.parametrize("quantizer", [integer(bits=3), FloatQuantizer()], ids=["3", "16"])
def test_an_absorbed_adapter_vanishes(tmp_path: Path, quantizer: QuantizerSpec) -> None:
    """With an absorbed adapter the base alone is the run's model, and the report says so."""
    adapter = LoraAdapter(r=4, lora_alpha=6.0, placement="absorbed")
    run = finish_run(save_llama(tmp_path / "model"), quantizer, adapter)
    written = run.export(tmp_path / "out")
    assert (written.adapter, written.num_pairs, written.notes) == (None, 0, (ABSORBED,))
    assert not (tmp_path / "out/adapter").exists()
    assert relative(logits_of(load_base(tmp_path / "out")), run.logits) <= 1e-5


def test_tied_and_rounded_tables_stay_tied(tmp_path: Path) -> None:
    """An embedding that was rounded with its tied head is one tensor in the folder."""
    source = save_llama(tmp_path / "model", tied=True)
    run = finish_run(source, integer(bits=4, embeddings=True), NoAdapter())
    run.export(tmp_path / "out")
    assert "lm_head.weight" not in load_file(tmp_path / "out/model.safetensors")
    base = load_base(tmp_path / "out")
    assert base.get_output_embeddings().weight is base.get_input_embeddings().weight
    assert relative(logits_of(base), run.logits) <= 1e-5


@pytest.mark.parametrize("adapter", [FIXED, ELASTIC], ids=["fixed", "elastic"])
def test_a_written_adapter_is_a_start(tmp_path: Path, adapter: AdapterSpec) -> None:
    """A start from the written adapter on the written base is the model that was written."""
    run = finish_run(save_gpt2(tmp_path / "model"), integer(bits=3), adapter)
    run.export(tmp_path / "out")
    again = load_base(tmp_path / "out")
    replace_conv1d(again)
    again.requires_grad_(requires_grad=False)
    plan = LayerPlan(FloatQuantizer(), LoraAdapter(r=4, placement="parallel"), 0)
    layers = install(again, plan)
    start_adapter_folder(again, layers, AdapterFolder(path=str(tmp_path / "out/adapter")))
    assert_near(logits_of(again), run.logits)


def test_another_number_format_can_be_chosen(tmp_path: Path) -> None:
    """Asked for bfloat16, the base is kept in it and still answers alike."""
    run = finish_run(save_llama(tmp_path / "model"), integer(bits=3), FIXED)
    written = export_peft(
        run.spec,
        tmp_path / "out",
        files=RunFiles(run.result),
        data_folder=tmp_path,
        listener=lambda _: None,
        dtype="bfloat16",
    )
    assert written.dtype == "bfloat16"
    kept = load_file(tmp_path / "out/model.safetensors")
    assert {value.dtype for value in kept.values()} == {torch.bfloat16}
    found = adapted_logits(load_base(tmp_path / "out"), tmp_path / "out/adapter")
    assert relative(found, run.logits) <= verifying.TOLERANCES[torch.bfloat16]


@pytest.fixture
def run(tmp_path: Path) -> Finished:
    """A finished run with rounded weights and a parallel adapter."""
    return finish_run(save_llama(tmp_path / "model"), integer(bits=3), FIXED)


def test_nothing_is_overwritten(tmp_path: Path, run: Finished) -> None:
    """A folder that holds something, and a file, are refused; an empty folder is filled."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(SpecError, match="out is not empty; name a new or an empty folder"):
        run.export(tmp_path / "out")
    with pytest.raises(SpecError, match="is a file; name a new"):
        run.export(tmp_path / "out/mine.txt")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    (tmp_path / "out/mine.txt").unlink()
    run.export(tmp_path / "out")
    assert (tmp_path / "out/config.json").is_file()


def test_what_is_written_is_for_everybody(tmp_path: Path, run: Finished) -> None:
    """Files can be read by whoever may read a new folder, whichever library wrote them."""
    run.export(tmp_path / "out")
    (tmp_path / "new").mkdir()
    readable = (tmp_path / "new").stat().st_mode & 0o666
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) >= 6
    assert {path.stat().st_mode & 0o777 for path in files} == {readable}


def test_a_folder_that_answers_otherwise_is_removed(
    tmp_path: Path, run: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When what is read back answers otherwise, an error says so and nothing is left."""
    kept = peft_folder.write_adapter

    def write_wrong(folder: Path, pairs: Any, **values: Any) -> None:
        kept(folder, {name: pair._replace(scaling=9.0) for name, pair in pairs.items()}, **values)

    monkeypatch.setattr(peft_folder, "write_adapter", write_wrong)
    with pytest.raises(ExportError, match="answers otherwise than the run and was removed"):
        run.export(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "result.safetensors"]


def test_the_run_s_model_is_gone_when_the_folder_is_read(
    tmp_path: Path, run: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is read back when the model it came from is no longer in memory."""
    models: list[weakref.ref[Any]] = []
    rebuild, check = peft_folder.rebuild, peft_folder.check_folder

    def rebuild_seen(*args: Any, **values: Any) -> Any:
        rebuilt = rebuild(*args, **values)
        models.append(weakref.ref(rebuilt.loaded.model))
        return rebuilt

    def check_alone(*args: Any, **values: Any) -> float:
        assert [each() for each in models] == [None]
        return check(*args, **values)

    monkeypatch.setattr(peft_folder, "rebuild", rebuild_seen)
    monkeypatch.setattr(peft_folder, "check_folder", check_alone)
    assert run.export(tmp_path / "out").difference <= 1e-5


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, run: Finished) -> None:
    """A place where no folder can be made is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"folder: .*file/out cannot be written: "):
        run.export(tmp_path / "file/out")


def test_a_result_of_another_model_is_refused(tmp_path: Path, run: Finished) -> None:
    """A result that lacks a layer, or is gone, says so, and nothing is written."""
    other = ModelSpec(source=str(save_gpt2(tmp_path / "gpt2")))
    foreign = replace(run, spec=run.spec.model_copy(update={"model": other}))
    with pytest.raises(CheckpointError, match=r"does not have transformer\.h\.0\.attn\.c_attn"):
        foreign.export(tmp_path / "out")
    run.result.unlink()
    with pytest.raises(CheckpointError, match="missing or damaged"):
        run.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_peft_is_not_needed(tmp_path: Path, run: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PEFT the same files are written, and the report says what was not checked."""
    first = run.export(tmp_path / "with")
    monkeypatch.setattr(peft_folder, "has_peft", lambda: False)
    second = run.export(tmp_path / "without")
    assert (first.notes, second.notes) == ((), (UNCHECKED,))
    pairs = [
        load_file(tmp_path / name / "adapter/adapter_model.safetensors")
        for name in ("with", "without")
    ]
    assert pairs[0].keys() == pairs[1].keys()
    assert all(torch.equal(pairs[0][name], pairs[1][name]) for name in pairs[0])
