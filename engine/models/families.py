"""Kinds of models by `model_type`: which are encoders, which encoder-decoders, how heads are named.

Light, so that a request can be refused before anything is loaded. Names are those of the modules
Transformers builds. Start with `check_head`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from engine.errors import ModelError
from engine.specs.model import Head

FIELD = "model.head"
Build = Literal["decoder", "encoder", "encoder-decoder"]


@dataclass(frozen=True)
class EncoderKind:
    """How Transformers names the parts of an encoder with a head.

    Attributes:
        prefix: The encoder inside a model with a head.
        classification: The linear layers of a classification head; the last puts out the classes.
        has_pooler: Whether the encoder under a classification head ends in a pooler.
    """

    prefix: str
    classification: tuple[str, ...]
    has_pooler: bool = False


_DENSE = ("classifier.dense", "classifier.out_proj")
ENCODER_KINDS: Mapping[str, EncoderKind] = MappingProxyType(
    {
        "bert": EncoderKind("bert", ("classifier",), has_pooler=True),
        "roberta": EncoderKind("roberta", _DENSE),
        "xlm-roberta": EncoderKind("roberta", _DENSE),
        "camembert": EncoderKind("roberta", _DENSE),
        "electra": EncoderKind("electra", _DENSE),
        "mpnet": EncoderKind("mpnet", _DENSE),
        "deberta": EncoderKind("deberta", ("pooler.dense", "classifier")),
        "deberta-v2": EncoderKind("deberta", ("pooler.dense", "classifier")),
        "distilbert": EncoderKind("distilbert", ("pre_classifier", "classifier")),
    }
)
"""The encoders whose layer names are known before they are loaded."""
RENAMED_FOR_SPANS = frozenset(
    {
        "llama", "seed_oss", "nemotron", "ministral", "qwen2", "qwen3", "qwen3_moe", "qwen3_next",
        "diffllama", "smollm3", "exaone4", "arcee",
    }
)  # fmt: skip
"""Decoders whose body is called "transformer" under a span head and "model" under any other."""
_ENCODERS = frozenset(ENCODER_KINDS) | {
    "albert", "big_bird", "convbert", "data2vec-text", "ernie", "esm", "eurobert", "flaubert",
    "fnet", "funnel", "gte", "ibert", "longformer", "luke", "megatron-bert", "mobilebert",
    "modernbert", "mra", "nomic_bert", "nystromformer", "rembert", "roberta-prelayernorm",
    "roc_bert", "roformer", "squeezebert", "xlm-roberta-xl", "xmod", "yoso",
}  # fmt: skip
T5_TYPES = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})
_ENCODER_DECODERS = T5_TYPES | {
    "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "encoder-decoder", "fsmt", "led",
    "m2m_100", "marian", "mbart", "mvp", "pegasus", "pegasus_x", "plbart", "prophetnet", "t5gemma",
}  # fmt: skip
_TITLES = MappingProxyType({"roberta": "RoBERTa", "deberta": "DeBERTa", "deberta-v2": "DeBERTa"})
_REMEDY: Mapping[Build, str] = MappingProxyType(
    {
        "decoder": "choose model.head causal-lm",
        "encoder": "choose model.head classification or span-qa",
        "encoder-decoder": "choose model.head seq2seq",
    }
)
_ARTICLES: Mapping[Build, str] = MappingProxyType(
    {
        "decoder": "a decoder",
        "encoder": "an encoder",
        "encoder-decoder": "an encoder-decoder",
    }
)


def find_build(config: Mapping[str, Any]) -> Build:
    """Return how a model is built, from its config.json; an unknown kind counts as a decoder."""
    model_type = config.get("model_type")
    if config.get("is_encoder_decoder") or model_type in _ENCODER_DECODERS:
        return "encoder-decoder"
    if model_type in _ENCODERS and not config.get("is_decoder"):
        return "encoder"
    return "decoder"


def check_head(config: Mapping[str, Any], head: Head, *, name: str) -> None:
    """Refuse a head that does not fit how the model is built.

    Raises:
        ModelError: At `model.head`, with the head to choose.
    """
    build = find_build(config)
    fits = {"causal-lm": build == "decoder", "seq2seq": build == "encoder-decoder"}
    if fits.get(head, True):
        return
    model_type = str(config.get("model_type", "unknown"))
    title = _TITLES.get(model_type, model_type.upper())
    raise ModelError(f"{name} is {_ARTICLES[build]} ({title}); {_REMEDY[build]}", field=FIELD)
