"""Which model, what it puts out, and in which number format. Start with `ModelSpec`."""

from __future__ import annotations

from typing import Literal

from engine.specs.base import Spec, option

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Head = Literal["causal-lm", "classification", "span-qa", "seq2seq"]


class ModelSpec(Spec):
    """Where the model comes from."""

    source: str = option(
        "bundled:smollm2-135m-instruct",
        "Model",
        "A hub id (ORG/NAME), a folder with config.json and safetensors, a .gguf file, "
        "or a bundled model (bundled:NAME).",
        min_length=1,
        max_length=500,
    )
    revision: str | None = option(
        None,
        "Revision",
        "Branch, tag or commit of a hub model; the newest where empty.",
        advanced=True,
        max_length=200,
    )
    head: Head = option(
        "causal-lm",
        "Head",
        "What the model puts out: causal-lm the next token (Llama, Qwen, Mistral, Phi, GPT-2 "
        "kinds), classification a class and span-qa a stretch of the context (BERT, DeBERTa kinds "
        "and decoders), seq2seq a text from a text (BART, T5 kinds). A head the checkpoint lacks "
        "starts at random and is trained whole.",
    )
    dtype: Dtype = option(
        "auto",
        "Number format",
        "Format the base weights are kept and multiplied in: auto takes float32 on a CPU and "
        "bfloat16 on a GPU. Adapters, ranges and every divergence are float32 whatever is chosen.",
        advanced=True,
    )
