"""Two-layer models built from a config, with a tokenizer trained in memory: nothing is downloaded.

`save_llama`, `save_gpt2` and `save_llama_gguf` write one to a folder or file; `make_llama` and
`make_gpt2` keep it in memory. Sizes differ from each other so that a mixed-up side shows.
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from engine.data.python_docs import load_python_docs

VOCAB_SIZE = 320
END = "<|endoftext|>"


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer of `VOCAB_SIZE` tokens, the end of text first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(load_python_docs("validation"), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, bos_token=END)


def make_llama(*, tied: bool = False, seed: int = 0) -> LlamaForCausalLM:
    """Build a Llama of two blocks with grouped queries."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def make_gpt2(*, seed: int = 0) -> GPT2LMHeadModel:
    """Build a GPT-2 of two blocks; its head is tied, its layers are Conv1D."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCAB_SIZE,
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=256,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config).eval()


def save(model: PreTrainedModel, folder: Path) -> Path:
    """Write a model and the tiny tokenizer as a checkpoint folder; return the folder."""
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def save_llama(folder: Path, *, tied: bool = False, seed: int = 0) -> Path:
    """Write the tiny Llama to a folder."""
    return save(make_llama(tied=tied, seed=seed), folder)


def save_gpt2(folder: Path, *, seed: int = 0) -> Path:
    """Write the tiny GPT-2 to a folder."""
    return save(make_gpt2(seed=seed), folder)


def save_llama_gguf(path: Path, *, tied: bool = False, seed: int = 0) -> Path:
    """Write the tiny Llama as a GGUF of float32 weights, as llama.cpp's converter would."""
    model = make_llama(tied=tied, seed=seed)
    writer = gguf.GGUFWriter(path, "llama")
    _add_metadata(writer, model.config)
    _add_tokens(writer)
    for name, weight in model.state_dict().items():
        if not (tied and name == "lm_head.weight"):
            writer.add_tensor(_gguf_name(name), _permuted(name, weight, model.config).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_metadata(writer: gguf.GGUFWriter, config: LlamaConfig) -> None:
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)


def _add_tokens(writer: gguf.GGUFWriter) -> None:
    described = json.loads(make_tokenizer().backend_tokenizer.to_str())["model"]
    vocab = sorted(described["vocab"], key=described["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocab)
    writer.add_token_types([3 if token == END else 1 for token in vocab])
    writer.add_token_merges([" ".join(pair) for pair in described["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def _gguf_name(name: str) -> str:
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "model.layers": "blk",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    for module, short in names.items():
        name = name.replace(module, short)
    return name


def _permuted(name: str, weight: torch.Tensor, config: LlamaConfig) -> torch.Tensor:
    """Interleave the halves of each head's rows, which is how llama.cpp rotates positions."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    num_heads = next((count for kind, count in heads.items() if kind in name), None)
    if num_heads is None:
        return weight
    rows = weight.view(num_heads, 2, -1, weight.shape[1])  # (H, half, D/2, I)
    return rows.transpose(1, 2).reshape(weight.shape)
