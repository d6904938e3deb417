"""Promises of heads: what a checkpoint lacks starts by the seed, and nothing else is made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, BertModel

from engine.errors import CheckpointError, ModelError
from engine.events import Event, Logged
from engine.models.heads import list_trained, load_head, save_head
from engine.models.loading import FreshHead, LoadedModel, load_model
from engine.specs import ModelSpec
from tests.engine.tiny_layers import integer, lora, quantize
from tests.tiny_heads import (
    make_config,
    make_kind,
    save_bert,
    save_kind,
    save_with_tokenizer,
)
from tests.tiny_models import save_gpt2, save_llama

CPU = torch.device("cpu")


def load(
    folder: Path, head: str, *, labels: int | None = 2, seed: int = 0, dtype: str = "auto",
    events: list[Event] | None = None, classes: tuple[str, ...] = (),
) -> LoadedModel:  # fmt: skip
    spec = ModelSpec.model_validate({"source": str(folder), "head": head, "dtype": dtype})
    listener = ([] if events is None else events).append
    fresh = FreshHead(labels, seed, classes)
    return load_model(spec, data_folder=folder, device=CPU, listener=listener, head=fresh)


@pytest.mark.parametrize("masked", [False, True])
def test_an_encoder_with_any_head_or_none_loads(tmp_path: Path, masked: bool) -> None:
    """A bare BERT and one for masked words give the same body under a fresh head."""
    events: list[Event] = []
    loaded = load(save_bert(tmp_path, masked=masked), "classification", labels=3, events=events)
    saved = load_file(tmp_path / "model.safetensors")
    name = ("bert." if masked else "") + "encoder.layer.1.output.dense.weight"
    assert torch.equal(loaded.model.bert.encoder.layer[1].output.dense.weight, saved[name])
    pooler = ("bert.pooler.dense.weight", "bert.pooler.dense.bias") if masked else ()
    assert loaded.fresh == (*pooler, "classifier.weight", "classifier.bias")
    assert loaded.model.classifier.out_features == 3
    assert any(isinstance(e, Logged) and "starts at random" in e.message for e in events)
    assert not any(value.requires_grad for value in loaded.model.parameters())


def test_a_fresh_head_follows_from_the_seed_alone(tmp_path: Path) -> None:
    """Whatever was drawn before, the same seed gives the same head and another seed another."""
    save_bert(tmp_path, masked=True)
    first = load(tmp_path, "classification", seed=1)
    torch.rand(7)
    again, other = (load(tmp_path, "classification", seed=seed) for seed in (1, 2))
    for name in ("classifier.weight", "bert.pooler.dense.weight"):
        one, two, three = (each.model.get_parameter(name) for each in (first, again, other))
        assert torch.equal(one, two)
        assert not torch.equal(one, three)
        assert 0.01 < float(one.std()) < 0.03
    assert not first.model.classifier.bias.any()


def test_a_head_of_the_checkpoint_is_kept_where_it_fits(tmp_path: Path) -> None:
    """A head of the same classes stays; of other classes it starts fresh."""
    save_kind(tmp_path, "roberta", "classification", num_labels=3)
    saved = load_file(tmp_path / "model.safetensors")
    kept = load(tmp_path, "classification", labels=3)
    assert kept.fresh == ()
    assert torch.equal(kept.model.classifier.out_proj.weight, saved["classifier.out_proj.weight"])
    fresh = load(tmp_path, "classification", labels=1)
    assert fresh.fresh == ("classifier.out_proj.weight", "classifier.out_proj.bias")
    assert fresh.model.config.problem_type == "regression"


CLASSES = ("entailment", "neutral", "contradiction")
OTHERWISE = {"CONTRADICTION": 0, "neutral": 1, "Entailment": 2}
NAMES = {place: name for name, place in OTHERWISE.items()}
TOLD = "The head's classes are put into the task's order: entailment, neutral, contradiction."


def save_mnli(folder: Path, kind: str) -> Path:
    """Write a classifier of MNLI whose classes are in the order of roberta-large-mnli."""
    return save_kind(folder, kind, "classification", id2label=NAMES, label2id=OTHERWISE)


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta-v2", "distilbert", "llama", "gpt2"])
def test_classes_are_put_into_the_order_asked_for(tmp_path: Path, kind: str) -> None:
    """A checkpoint's head gives the same answers at the places of the task's classes, by name."""
    save_mnli(tmp_path, kind)
    events: list[Event] = []
    left, put = (
        load(tmp_path, "classification", labels=3, classes=classes, events=events)
        for classes in ((), CLASSES)
    )
    tokens = torch.arange(4, 12).view(2, 4)
    with torch.no_grad():
        before, after = (each.model(input_ids=tokens).logits for each in (left, put))
    torch.testing.assert_close(after, before[:, [2, 1, 0]])
    assert put.model.config.id2label == dict(enumerate(CLASSES))
    assert put.model.config.label2id == {name: place for place, name in enumerate(CLASSES)}
    told = [event.message for event in events if isinstance(event, Logged)]
    assert told.count(TOLD) == 1


def test_only_known_classes_of_the_checkpoint_change_places(tmp_path: Path) -> None:
    """Classes of other names stay where they are; a fresh head follows from the seed alone."""
    save_mnli(tmp_path / "mnli", "bert")
    other = load(tmp_path / "mnli", "classification", labels=3, classes=("a", "b", "c"))
    saved = load_file(tmp_path / "mnli" / "model.safetensors")["classifier.weight"]
    assert torch.equal(other.model.classifier.weight, saved)
    body = AutoModelForMaskedLM.from_config(make_config("bert", id2label=NAMES, label2id=OTHERWISE))
    save_with_tokenizer(body, tmp_path / "body")
    events: list[Event] = []
    plain, named = (
        load(tmp_path / "body", "classification", labels=3, classes=classes, events=events)
        for classes in ((), CLASSES)
    )
    assert torch.equal(plain.model.classifier.weight, named.model.classifier.weight)
    assert named.model.config.id2label == dict(enumerate(CLASSES))
    assert TOLD not in [event.message for event in events if isinstance(event, Logged)]


@pytest.mark.parametrize(
    ("kind", "values", "limit"),
    [
        ("bert", {}, 96),
        ("roberta", {"pad_token_id": 1, "max_position_embeddings": 34}, 32),
        ("mpnet", {}, 94),
        ("bart", {}, 96),
        ("gpt2", {}, 96),
        ("t5", {}, None),
    ],
)
def test_the_tokenizer_knows_what_the_model_reads(
    tmp_path: Path, kind: str, values: dict[str, int], limit: int | None
) -> None:
    """Where a folder does not say it, the limit is the model's: that many tokens work."""
    head = "seq2seq" if kind in ("bart", "t5") else "classification"
    save_kind(tmp_path, kind, head, **values)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["model_max_length"]
    path.write_text(json.dumps(config))
    loaded = load(tmp_path, head, labels=None if head == "seq2seq" else 2)
    found = loaded.tokenizer.model_max_length
    if limit is None:
        assert found > 10**9
        return
    assert found == limit
    with torch.no_grad():
        loaded.model(input_ids=torch.full((1, limit), 7))
        with pytest.raises((IndexError, RuntimeError)):
            loaded.model(input_ids=torch.full((1, limit + 1), 7))


@pytest.mark.parametrize("head", ["classification", "span-qa"])
@pytest.mark.parametrize("save", [save_llama, save_gpt2])
def test_a_decoder_takes_other_heads(tmp_path: Path, save: object, head: str) -> None:
    """A causal checkpoint keeps its body under a fresh head, and is padded with its end of text."""
    loaded = load(save(tmp_path), head)
    body = AutoModelForCausalLM.from_pretrained(tmp_path).base_model
    tokens = torch.arange(8).view(1, 8)
    with torch.no_grad():
        expected = body.eval()(tokens).last_hidden_state
        found = loaded.model.base_model(tokens).last_hidden_state
        torch.testing.assert_close(found, expected)
        loaded.model(input_ids=tokens.repeat(2, 1))
    assert loaded.tokenizer.pad_token == loaded.tokenizer.eos_token
    assert loaded.model.config.pad_token_id == loaded.tokenizer.eos_token_id
    assert {name.partition(".")[0] for name in loaded.fresh} <= {"score", "qa_outputs"}


@pytest.mark.parametrize("kind", ["bart", "t5", "t5 gated"])
def test_an_encoder_decoder_loads_whole(tmp_path: Path, kind: str) -> None:
    """What was saved is what writes; nothing of it starts fresh and nothing is trained whole."""
    loaded = load(save_kind(tmp_path, kind, "seq2seq"), "seq2seq", labels=None)
    tokens = torch.arange(4, 12).view(1, 8)
    with torch.no_grad():
        expected = make_kind(kind, "seq2seq")(input_ids=tokens, decoder_input_ids=tokens).logits
        found = loaded.model(input_ids=tokens, decoder_input_ids=tokens).logits
    assert torch.equal(found, expected)
    assert loaded.fresh == ()
    assert list_trained(loaded.model, "seq2seq", loaded.fresh) == {}


@pytest.mark.parametrize(
    ("kind", "head", "built_for", "sentence"),
    [
        ("t5", "causal-lm", "seq2seq", r"encoder-decoder \(T5\); choose model.head seq2seq"),
        ("bert", "causal-lm", "span-qa", r"encoder \(BERT\); choose model.head classification"),
        ("llama", "seq2seq", "span-qa", r"decoder \(LLAMA\); choose model.head causal-lm"),
    ],
)  # fmt: skip
def test_a_head_that_does_not_fit_is_refused(
    tmp_path: Path, kind: str, head: str, built_for: str, *, sentence: str
) -> None:
    """Transformers would build a BERT that writes; here one sentence says which head to choose."""
    save_kind(tmp_path, kind, built_for)
    with pytest.raises(ModelError, match=sentence) as caught:
        load(tmp_path, head)
    assert caught.value.field == "model.head"


def test_a_body_with_a_hole_is_refused(tmp_path: Path) -> None:
    """Only a head may be missing: a checkpoint without a block's weights is not made up."""
    save_bert(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"lacks 1 of its weights, such as bert\.encoder\.layer\.1"
    ):
        load(tmp_path, "classification")


def test_a_tokenizer_without_any_end_is_refused(tmp_path: Path) -> None:
    """Rows cannot be filled up with nothing: one sentence says what to name."""
    save_gpt2(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    for key in ("eos_token", "bos_token"):
        config.pop(key, None)
    path.write_text(json.dumps(config))
    (tmp_path / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="neither a padding token nor an end of text"):
        load(tmp_path, "classification")


@pytest.mark.parametrize(
    ("kind", "head", "parts"),
    [
        ("bert", "classification", {"classifier", "bert.pooler.dense"}),
        ("bert", "span-qa", {"qa_outputs"}),
        ("roberta", "classification", {"classifier.dense", "classifier.out_proj"}),
        ("deberta-v2", "classification", {"classifier", "pooler.dense"}),
        ("distilbert", "classification", {"pre_classifier", "classifier"}),
    ],
)
def test_the_head_and_what_started_fresh_is_trained(
    tmp_path: Path, kind: str, head: str, parts: set[str]
) -> None:
    """A pretrained encoder's trained parameters are its head and a pooler it came without."""
    model = AutoModelForMaskedLM.from_config(make_config(kind))
    loaded = load(save_with_tokenizer(model, tmp_path), head)
    quantize(loaded.model, integer(), lora())
    trained = list_trained(loaded.model, head, loaded.fresh)
    assert {name.rpartition(".")[0] for name in trained} == parts


def test_a_pooler_that_came_along_stays_as_it_is(tmp_path: Path) -> None:
    """A bare BERT's own pooler belongs to its body."""
    loaded = load(save_bert(tmp_path), "classification")
    trained = list_trained(loaded.model, "classification", loaded.fresh)
    assert list(trained) == ["classifier.weight", "classifier.bias"]


def test_a_quantized_head_is_not_trained_whole(tmp_path: Path) -> None:
    """What is rounded learns through its adapter and ranges like any other layer."""
    loaded = load(save_bert(tmp_path), "classification")
    quantize(loaded.model, integer().model_copy(update={"exclude": ("*embed*",)}), lora(r=2))
    assert list_trained(loaded.model, "classification", loaded.fresh) == {}


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "roberta", "llama"])
def test_the_head_of_a_16_bit_model_is_float32(tmp_path: Path, kind: str) -> None:
    """In bfloat16 the trained parameters and the logits are float32, the body is not."""
    save_kind(tmp_path, kind, "classification")
    loaded = load(tmp_path, "classification", dtype="bfloat16")
    trained = list_trained(loaded.model, "classification", loaded.fresh)
    assert {value.dtype for value in trained.values()} == {torch.float32}
    assert loaded.model.get_input_embeddings().weight.dtype == torch.bfloat16
    tokens = torch.arange(8).view(1, 8)
    with torch.no_grad():
        assert loaded.model(input_ids=tokens).logits.dtype == torch.float32


def test_a_saved_head_comes_back(tmp_path: Path) -> None:
    """What was trained is written by name and read into a model with another start."""
    save_bert(tmp_path, masked=True)
    first, second = (load(tmp_path, "classification", seed=seed) for seed in (1, 2))
    trained = [list_trained(each.model, "classification", each.fresh) for each in (first, second)]
    save_head(tmp_path / "head.safetensors", trained[0])
    load_head(tmp_path / "head.safetensors", trained[1])
    assert len(trained[0]) == 4
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())


def test_a_head_of_other_classes_is_refused(tmp_path: Path) -> None:
    """A head file of another task, a damaged one and any other file change nothing."""
    save_bert(tmp_path)
    models = [load(tmp_path, "classification", labels=labels) for labels in (3, 2)]
    heads = [list_trained(each.model, "classification", each.fresh) for each in models]
    path = tmp_path / "head.safetensors"
    save_head(path, heads[0])
    before = heads[1]["classifier.weight"].clone()
    with pytest.raises(CheckpointError, match=r"lacks classifier\.weight in shape \(2, 32\)"):
        load_head(path, heads[1])
    with pytest.raises(CheckpointError, match="is not a head"):
        load_head(tmp_path / "model.safetensors", heads[1])
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load_head(path, heads[1])
    assert torch.equal(heads[1]["classifier.weight"], before)


def test_a_bare_encoder_has_no_head_to_write_with(tmp_path: Path) -> None:
    """A BERT asked to write is refused although Transformers would build it."""
    save_with_tokenizer(BertModel(make_config("bert")), tmp_path)
    with pytest.raises(ModelError, match=r"choose model\.head classification or"):
        load(tmp_path, "causal-lm")
