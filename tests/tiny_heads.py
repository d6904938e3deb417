"""Tiny encoders and encoder-decoders built from a config, with a tokenizer that knows pairs.

Beside `tiny_models`, which has the decoders. Sizes differ from each other so that a mixed-up side
shows. Start with `save_kind` and `save_bert`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    MPNetConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    T5Config,
)

from engine.data.python_docs import load_python_docs

VOCAB_SIZE = 320
PAD, CLASS, SEPARATOR, UNKNOWN = "[PAD]", "[CLS]", "[SEP]", "[UNK]"
CLASSES = {
    "classification": AutoModelForSequenceClassification,
    "span-qa": AutoModelForQuestionAnswering,
    "seq2seq": AutoModelForSeq2SeqLM,
}
_SIZES: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 96,
    "pad_token_id": 0,
}
_ENDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def make_config(kind: str, **values: Any) -> PreTrainedConfig:
    """Return the config of a tiny model of that kind."""
    return _CONFIGS[kind](**values)


def _deberta(**values: Any) -> PreTrainedConfig:
    return DebertaV2Config(
        **_SIZES, relative_attention=True, position_buckets=16, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], type_vocab_size=0,
        position_biased_input=False, **values,
    )  # fmt: skip


def _bart(**values: Any) -> PreTrainedConfig:
    sizes = {"encoder_layers": 2, "decoder_layers": 3, "max_position_embeddings": 96}
    return BartConfig(
        vocab_size=VOCAB_SIZE, d_model=32, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=48, decoder_ffn_dim=64, decoder_start_token_id=2, forced_eos_token_id=2,
        **_ENDS, **sizes | values,
    )  # fmt: skip


def _t5(**values: Any) -> PreTrainedConfig:
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 3}
    return T5Config(
        vocab_size=VOCAB_SIZE, num_heads=2, pad_token_id=0, eos_token_id=2,
        decoder_start_token_id=0, **sizes | values,
    )  # fmt: skip


_CONFIGS: dict[str, Any] = {
    "bert": lambda **values: BertConfig(**_SIZES | values),
    "roberta": lambda **values: RobertaConfig(**_SIZES | values),
    "electra": lambda **values: ElectraConfig(**_SIZES, embedding_size=16, **values),
    "mpnet": lambda **values: MPNetConfig(**_SIZES | values),
    "distilbert": lambda **values: DistilBertConfig(
        vocab_size=VOCAB_SIZE, dim=32, hidden_dim=48, n_layers=2, n_heads=2,
        max_position_embeddings=96, **values,
    ),
    "deberta-v2": _deberta,
    "llama": lambda **values: LlamaConfig(**_SIZES, num_key_value_heads=1, **values),
    "gpt2": lambda **values: GPT2Config(
        vocab_size=VOCAB_SIZE, n_embd=32, n_layer=2, n_head=2, n_positions=96, bos_token_id=1,
        eos_token_id=2, **values,
    ),
    "bart": _bart,
    "t5": _t5,
    "t5 gated": lambda **values: _t5(
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, **values
    ),
}  # fmt: skip
ENCODERS = ("bert", "roberta", "electra", "mpnet", "distilbert", "deberta-v2")
DECODERS = ("llama", "gpt2")
ENCODER_DECODERS = ("bart", "t5", "t5 gated")


def make_pair_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer of `VOCAB_SIZE` tokens that frames texts and pairs."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, CLASS, SEPARATOR, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(load_python_docs("validation"), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLASS} $A {SEPARATOR}",
        pair=f"{CLASS} $A {SEPARATOR} $B:1 {SEPARATOR}:1",
        special_tokens=[(CLASS, 1), (SEPARATOR, 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, cls_token=CLASS, sep_token=SEPARATOR,
        unk_token=UNKNOWN, eos_token=SEPARATOR, model_max_length=96,
    )  # fmt: skip


def make_kind(kind: str, head: str, *, seed: int = 0, **values: Any) -> PreTrainedModel:
    """Build a tiny model of that kind with that head."""
    torch.manual_seed(seed)
    return CLASSES[head].from_config(make_config(kind, **values)).eval()


def save_with_tokenizer(model: PreTrainedModel, folder: Path) -> Path:
    """Write a model and the tokenizer for pairs as a checkpoint folder; return the folder."""
    model.save_pretrained(folder)
    make_pair_tokenizer().save_pretrained(folder)
    return folder


def save_kind(folder: Path, kind: str, head: str, **values: Any) -> Path:
    """Write a tiny model of that kind with that head to a folder."""
    return save_with_tokenizer(make_kind(kind, head, **values), folder)


def save_bert(folder: Path, *, masked: bool = False, seed: int = 0) -> Path:
    """Write a bare tiny BERT to a folder, or one for masked words."""
    torch.manual_seed(seed)
    model = BertForMaskedLM if masked else BertModel
    return save_with_tokenizer(model(make_config("bert")).eval(), folder)
