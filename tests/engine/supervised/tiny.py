"""Tiny tokenizers of each kind, models from a config, and specs of one task."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from engine.specs import ExperimentSpec
from engine.specs.resolve import resolve
from engine.supervised.catalogue import load_family
from engine.supervised.family import Family

HEADS = {"squad": "span-qa", "cnn_dailymail": "seq2seq", "xsum": "seq2seq"}


def make_encoder_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Build a tokenizer of the words and marks of `texts`, which frames texts as BERT does."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = dict.fromkeys(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text))
    vocab = {word: place for place, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def make_decoder_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level tokenizer that puts nothing around texts or between them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")


def make_t5_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Build a tokenizer of whole words that ends texts and knows T5's sentinel."""
    special = ["<pad>", "</s>", "<unk>", "<extra_id_0>"]
    words = dict.fromkeys(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text))
    vocab = {word: place for place, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def bert_config(vocab_size: int, **values: Any) -> BertConfig:
    """Return the config of a BERT of two blocks."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertConfig(
        vocab_size=vocab_size, intermediate_size=24, max_position_embeddings=256, pad_token_id=0,
        **sizes, **values,
    )  # fmt: skip


def make_classifier(vocab_size: int, num_labels: int) -> BertForSequenceClassification:
    """Build a BERT that tells classes."""
    torch.manual_seed(0)
    return BertForSequenceClassification(bert_config(vocab_size, num_labels=num_labels)).eval()


def make_span_model(vocab_size: int) -> BertForQuestionAnswering:
    """Build a BERT that points at answers."""
    torch.manual_seed(0)
    return BertForQuestionAnswering(bert_config(vocab_size)).eval()


def make_t5(vocab_size: int) -> T5ForConditionalGeneration:
    """Build a T5 of one block on each side."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=vocab_size, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    return T5ForConditionalGeneration(config).eval()


def make_spec(
    task: str, *measured: str, data: dict[str, Any] | None = None, **evaluation: Any
) -> ExperimentSpec:
    """Return a spec that measures tasks and, where `data` is given, trains on the first."""
    values: dict[str, Any] = {
        "model": {"source": "org/name", "head": HEADS.get(task, "classification")},
        "evaluation": {"benchmarks": list(measured), "divergence": False, **evaluation},
    }
    if data is not None:
        values |= {
            "quantizer": {"grid": "integer", "bits": 4},
            "adapter": {"kind": "lora"},
            "training": {
                "method": "qat",
                "objective": "task",
                "data": {"kind": "task", "task": task, **data},
            },
        }
    return resolve(values).spec


def load(
    mirror: Path, task: str, *measured: str, data: dict[str, Any] | None = None, **evaluation: Any
) -> tuple[ExperimentSpec, Family]:
    """Return such a spec with its family, read from a mirror."""
    spec = make_spec(task, *measured, data=data, **evaluation)
    return spec, load_family(spec, data_folder=mirror, mirror=mirror)
