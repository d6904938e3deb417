"""Keys and values are rounded alike whoever runs the model, and not at all at 16 bits."""

from __future__ import annotations

import copy
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma3TextConfig,
    GPTNeoXConfig,
    MambaConfig,
    Phi3Config,
    PreTrainedModel,
    Qwen3Config,
    StaticCache,
)
from transformers.utils import logging

from engine.errors import SpecError
from engine.evaluation.likelihood import score_continuations
from engine.evaluation.token_trees import honors_trees
from engine.layers.head import SplitModel
from engine.layers.kv_cache import CacheRounding, install_cache
from engine.layers.layer_map import bypassed
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.rounding_cache import RoundingLayer, RoundingWindowLayer
from engine.models.conv1d import replace_conv1d
from engine.models.loading import load_model
from engine.quant.dynamic import round_min_max
from engine.specs import ModelSpec
from tests.engine.tiny_layers import integer, quantize, some_tokens
from tests.tiny_heads import make_kind
from tests.tiny_models import VOCAB_SIZE, make_gpt2, make_llama
from tests.tolerances import assert_near

SIZES: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
CONFIGS = {
    "qwen": lambda: Qwen3Config(**SIZES, head_dim=16),
    "gemma": lambda: Gemma3TextConfig(
        **SIZES,
        head_dim=16,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "phi": lambda: Phi3Config(**SIZES),
    "neox": lambda: GPTNeoXConfig(
        **{name: each for name, each in SIZES.items() if name != "num_key_value_heads"}
    ),
}
KINDS = ("llama", "gpt2", *CONFIGS)
Layers = dict[str, RoundedWeight]


def make(kind: str) -> PreTrainedModel:
    if kind == "llama":
        return make_llama()
    if kind == "gpt2":
        model = make_gpt2()
        replace_conv1d(model)
        return model
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[kind]()).eval()


def rounding(
    kind: str, bits: int = 4, granularity: Any = "token"
) -> tuple[PreTrainedModel, Layers, CacheRounding]:
    """Build a tiny model whose cache is rounded; its weights stay at 16 bits."""
    model = make(kind)
    layers = quantize(model, integer())
    set_widths(layers, bits)
    return model, layers, install_cache(model, layers, granularity)


def set_widths(layers: Layers, bits: int) -> None:
    for layer in layers.values():
        layer.set_bits(16)
        layer.set_cache(bits)


def write(model: PreTrainedModel, tokens: Tensor, **settings: Any) -> Tensor:
    settings = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0} | settings
    return model.generate(tokens, attention_mask=torch.ones_like(tokens), **settings)


@torch.no_grad()
def logits_of(model: PreTrainedModel, tokens: Tensor, **given: Any) -> Tensor:
    return model(input_ids=tokens, use_cache=False, **given).logits


@torch.no_grad()
def logits_one_by_one(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    """Compute logits (B, T, V) with one token at a time in a cache."""
    cache, found = DynamicCache(config=model.config), []
    for place in range(tokens.shape[1]):
        output = model(tokens[:, place : place + 1], past_key_values=cache, use_cache=True)
        found.append(output.logits)
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_16_bits_change_nothing(kind: str) -> None:
    """At 16 bits logits and written tokens are exactly those of the model without rounding."""
    model, layers, _ = rounding(kind, 16)
    plain, tokens = make(kind), some_tokens(2, 12)
    quantize(plain, integer())
    with torch.no_grad():
        for layer in quantize_free(plain):
            layer.set_bits(16)
    assert torch.equal(logits_of(model, tokens), logits_of(plain, tokens))
    assert torch.equal(write(model, tokens), write(plain, tokens))
    set_widths(layers, 3)
    assert not torch.equal(logits_of(model, tokens), logits_of(plain, tokens))
    with bypassed(layers):
        assert torch.equal(logits_of(model, tokens), logits_of(plain, tokens))


def quantize_free(model: PreTrainedModel) -> list[RoundedWeight]:
    return [module for module in model.modules() if isinstance(module, RoundedWeight)]


@pytest.mark.parametrize("granularity", ["token", "head"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_by_one_equals_all_at_once(kind: str, granularity: str) -> None:
    """Tokens written into a 4-bit cache one by one give the logits of one pass over all."""
    model, _, _ = rounding(kind, 4, granularity)
    tokens = some_tokens(2, 12)
    assert_near(logits_one_by_one(model, tokens), logits_of(model, tokens))


@pytest.mark.parametrize("kind", KINDS)
def test_writing_agrees_with_scoring(kind: str) -> None:
    """Each token `generate` writes is the likeliest of one pass over what is before it."""
    model, _, _ = rounding(kind, 3)
    tokens = some_tokens(2, 6)
    written = write(model, tokens, eos_token_id=None)
    likeliest = logits_of(model, written).argmax(dim=-1)
    assert torch.equal(written[:, 6:], likeliest[:, 5:-1])


def test_what_is_kept_is_rounded() -> None:
    """A token's keys have at most 2^b − 1 levels over all heads, or in each head of its own."""
    tokens = some_tokens(2, 5)
    plain = DynamicCache()
    make("gpt2")(tokens, past_key_values=plain, use_cache=True)
    for granularity, dims in (("token", (1, 3)), ("head", (3,))):
        model, _, _ = rounding("gpt2", 3, granularity)
        cache = model(tokens, use_cache=True).past_key_values
        keys, values = cache.layers[0].keys, cache.layers[0].values
        assert torch.equal(keys, round_min_max(plain.layers[0].keys, 3, dims))
        assert torch.equal(values, round_min_max(plain.layers[0].values, 3, dims))


def test_each_block_has_the_width_of_its_keys_layer() -> None:
    """The layer that makes the keys decides for keys and values of its block alone."""
    model, layers, _ = rounding("llama", 16)
    tokens = some_tokens(1, 6)
    before = model(tokens, use_cache=True).past_key_values
    layers["model.layers.1.self_attn.v_proj"].set_cache(2)
    same = model(tokens, use_cache=True).past_key_values
    layers["model.layers.1.self_attn.k_proj"].set_cache(2)
    after = model(tokens, use_cache=True).past_key_values
    assert torch.equal(before.layers[1].values, same.layers[1].values)
    assert torch.equal(before.layers[0].keys, after.layers[0].keys)
    for part in ("keys", "values"):
        expected = round_min_max(getattr(before.layers[1], part), 2, (1, 3))
        assert torch.equal(getattr(after.layers[1], part), expected)


def test_what_was_kept_stays() -> None:
    """A width that changes while tokens are written holds for new tokens alone."""
    model, layers, _ = rounding("llama", 2)
    tokens = some_tokens(1, 6)
    cache = model(tokens[:, :4], use_cache=True).past_key_values
    kept = cache.layers[0].keys.clone()
    set_widths(layers, 16)
    model(tokens[:, 4:], past_key_values=cache, use_cache=True)
    assert torch.equal(cache.layers[0].keys[:, :, :4], kept)
    set_widths(layers, 2)
    plain = DynamicCache(config=model.config)
    with bypassed(layers):
        model(tokens[:, :4], past_key_values=plain, use_cache=True)
    unrounded = plain.layers[0].keys.clone()
    model(tokens[:, 4:], past_key_values=plain, use_cache=True)
    assert torch.equal(plain.layers[0].keys[:, :, :4], unrounded)
    assert type(plain.layers[0]) is RoundingLayer


def test_caches_of_every_making() -> None:
    """A cache made without a config, and one of windows, become rounding ones in place."""
    tokens = some_tokens(1, 6)
    for kind in ("llama", "gemma"):
        model, _, _ = rounding(kind)
        bare = DynamicCache() if kind == "llama" else DynamicCache(config=model.config)
        output = model(tokens, past_key_values=bare, use_cache=True)
        assert output.past_key_values is bare
        assert {type(layer) for layer in bare.layers} <= {RoundingLayer, RoundingWindowLayer}
        assert_near(output.logits, logits_of(model, tokens))
        assert bare.get_seq_length() == 6


def test_gradients_pass_through() -> None:
    """What makes keys and values learns through the rounding; a step of it changes the loss."""
    model, _, _ = rounding("llama", 3)
    tokens = some_tokens(2, 10)
    inputs = model.get_input_embeddings()(tokens).requires_grad_()
    model(inputs_embeds=inputs, use_cache=False).logits.square().mean().backward()
    assert inputs.grad is not None
    plain, layers, _ = rounding("llama", 16)
    exact = plain.get_input_embeddings()(tokens).requires_grad_()
    plain(inputs_embeds=exact, use_cache=False).logits.square().mean().backward()
    cosine = torch.cosine_similarity(inputs.grad.flatten(), exact.grad.flatten(), dim=0)
    assert 0.9 < float(cosine) < 1
    weight = plain.model.layers[0].self_attn.k_proj.rounded.weight
    set_widths(layers, 3)
    weight.requires_grad_()
    plain(tokens, use_cache=False).logits.square().mean().backward()
    assert float(weight.grad.abs().max()) > 0


def test_nothing_keeps_a_cache_alive() -> None:
    """Where no cache is asked for none is handed out, as a tuple or not, and none survives."""
    model, _, _ = rounding("llama")
    tokens = some_tokens(1, 6)
    seen: list[Any] = []
    attention = model.model.layers[0].self_attn
    attention.register_forward_pre_hook(
        lambda *passed: seen.append(weakref.ref(passed[2]["past_key_values"])), with_kwargs=True
    )
    with torch.no_grad():
        for form in ({}, {"return_dict": True}):
            assert model(tokens, use_cache=False, **form).past_key_values is None
        assert len(model(tokens, use_cache=False, return_dict=False)) == 1
        assert model.model(tokens, use_cache=False).past_key_values is None
    gc.collect()
    assert [each() for each in seen] == [None] * 4


def test_removed() -> None:
    """Once taken out, the model is the unrounded one again."""
    model, layers, installed = rounding("llama", 2)
    tokens = some_tokens(1, 6)
    rounded = logits_of(model, tokens)
    installed.remove()
    assert not model.model._forward_pre_hooks
    assert not model.model._forward_hooks
    unrounded = logits_of(model, tokens)
    assert not torch.equal(rounded, unrounded)
    with bypassed(layers):
        assert torch.equal(logits_of(model, tokens), unrounded)


def test_masks_and_positions() -> None:
    """Rows that share a context are kept apart as before, and padding on either side is nothing."""
    for kind in ("llama", "gpt2"):
        model, _, _ = rounding(kind, 4)
        split = SplitModel(model)
        assert honors_trees(split)
        requests = [([5, 6, 7], [8, 9]), ([5, 6, 7], [10, 11, 12]), ([5, 6, 7], [13])]
        shared = score_continuations(split, requests, batch_tokens=64)
        alone = [score_continuations(split, [each], batch_tokens=64)[0] for each in requests]
        for one, other in zip(shared, alone, strict=True):
            assert one.log_prob == pytest.approx(other.log_prob, rel=1e-4)
        tokens = some_tokens(1, 6)
        padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), tokens], dim=1)
        mask = (torch.arange(9) >= 3).long().unsqueeze(0)
        written = write_padded(model, padded, mask)
        assert torch.equal(written[:, 9:], write(model, tokens, eos_token_id=None)[:, 6:])


def write_padded(model: PreTrainedModel, tokens: Tensor, mask: Tensor) -> Tensor:
    return model.generate(
        tokens, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=0,
        eos_token_id=None,
    )  # fmt: skip


def test_beams_and_copies() -> None:
    """Beams are reordered with their rounded keys; a copied cache shares the weights it names."""
    model, layers, _ = rounding("llama", 4)
    tokens = some_tokens(2, 6)
    beams = write(
        model, tokens, num_beams=3, output_scores=True, return_dict_in_generate=True,
        eos_token_id=None, length_penalty=0.0,
    )  # fmt: skip
    chances = logits_of(model, beams.sequences).log_softmax(-1)[:, 5:-1]
    sums = chances.gather(2, beams.sequences[:, 6:, None]).sum(dim=(1, 2))
    assert_near(beams.sequences_scores, sums)
    cache = model(tokens, use_cache=True).past_key_values
    twin = copy.deepcopy(cache)
    assert twin.layers[0].keys is not cache.layers[0].keys
    key_layer = layers["model.layers.0.self_attn.k_proj"]
    assert twin.layers[0].rounding.layer is key_layer
    assert cache.layers[0].rounding.layer is key_layer


def test_a_copied_model_rounds_by_its_own_layers() -> None:
    """Widths set on a model's copy do not move the original."""
    model, layers, _ = rounding("llama", 16)
    tokens, twin = some_tokens(1, 6), copy.deepcopy(model)
    for layer in quantize_free(twin):
        layer.set_cache(2)
    assert {layer.cache_bits for layer in layers.values()} == {16}
    assert not torch.equal(logits_of(twin, tokens), logits_of(model, tokens))


def test_inference_mode() -> None:
    """Inference mode gives what no_grad gives."""
    model, _, _ = rounding("gpt2", 4)
    tokens = some_tokens(1, 6)
    with torch.inference_mode():
        inside = model(tokens, use_cache=False).logits
    assert torch.equal(inside, logits_of(model, tokens))


def test_arguments_by_place() -> None:
    """A cache that is given by its place is found."""
    model, _, _ = rounding("gpt2", 4)
    tokens, cache = some_tokens(1, 6), DynamicCache(config=model.config)
    with torch.no_grad():
        states = model.transformer(tokens, cache, use_cache=True).last_hidden_state
        again = model.transformer(tokens, None, use_cache=False).last_hidden_state
    assert {type(layer) for layer in cache.layers} == {RoundingLayer}
    assert torch.equal(states, again)


def refusal(model: PreTrainedModel, **settings: Any) -> str:
    replace_conv1d(model)
    layers = quantize(model, integer(group_size=8).model_copy(update=settings))
    with pytest.raises(SpecError) as caught:
        install_cache(model, layers, "token")
    (problem,) = caught.value.problems
    assert problem.field == "quantizer.cache.rounding"
    assert not model.base_model._forward_pre_hooks
    return problem.message


def test_models_without_such_a_cache() -> None:
    """Encoders, two stacks, and models that keep a state are refused in one sentence each."""
    assert "is an encoder, without" in refusal(make_kind("bert", "classification"))
    assert refusal(make_kind("distilbert", "span-qa")).startswith("DistilBertModel is an encoder,")
    assert "is an encoder-decoder, without" in refusal(make_kind("bart", "seq2seq"))
    mamba = AutoModelForCausalLM.from_config(
        MambaConfig(vocab_size=VOCAB_SIZE, hidden_size=32, num_hidden_layers=1, state_size=8)
    )
    message = refusal(mamba, exclude=("*dt_proj",))
    assert message == "MambaModel takes no cache of Transformers'; use none"


def test_key_layers_that_are_not_quantized() -> None:
    """A block whose key layer keeps 16 bits is named, with what to include."""
    message = refusal(make_llama(), exclude=("lm_head", "*embed*", "*.1.self_attn.k_proj"))
    assert message == (
        "model.layers.1.self_attn.k_proj makes the keys and is not quantized; include it, or use "
        "none"
    )


def test_unknown_key_layers() -> None:
    """A block whose key layer goes by an unknown name is refused with the names that are known."""
    model = make_llama()
    for block in model.model.layers:
        block.self_attn.my_keys = block.self_attn.k_proj
        del block.self_attn.k_proj
    assert "which layer makes the keys of block 0 is not known (none is called k_proj" in refusal(
        model
    )


def test_other_caches() -> None:
    """A cache of fixed size and recomputed blocks are refused rather than left unrounded."""
    model, layers, _ = rounding("llama")
    tokens = some_tokens(1, 4)
    static = StaticCache(config=model.config, max_cache_len=8)
    with pytest.raises(SpecError, match="a StaticCache cannot be rounded"):
        model(tokens, past_key_values=static)
    model.activation_checkpointing_enable()
    model.train()
    with pytest.raises(SpecError, match="recomputed blocks cannot be rounded"):
        model(tokens, use_cache=False)
    set_widths(layers, 16)
    logging.set_verbosity_error()
    assert model(tokens, use_cache=False).logits.isfinite().all()


def test_installed_twice() -> None:
    """Putting the rounding in twice is like putting it in once."""
    model, _, _ = rounding("llama")
    install_cache(model, dict(named(model)), "token")
    tokens, once = some_tokens(1, 4), rounding("llama")[0]
    assert torch.equal(logits_of(model, tokens), logits_of(once, tokens))
    cache = model(tokens, use_cache=True).past_key_values
    assert {type(layer) for layer in cache.layers} == {RoundingLayer}


@pytest.mark.slow
def test_a_real_model(data_folder: Path) -> None:
    """SmolLM2 writes its own text at 16 bits, knows Paris at 8, and writes as it scores at 4."""
    loaded = load_model(
        ModelSpec(), data_folder=data_folder, device=torch.device("cpu"), listener=lambda _: None
    )
    prompt = loaded.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    expected = write(loaded.model, prompt, max_new_tokens=3)
    layers = quantize(loaded.model, integer(bits=8, group_size=64))
    set_widths(layers, 16)
    install_cache(loaded.model, layers, "token")
    assert torch.equal(write(loaded.model, prompt, max_new_tokens=3), expected)
    set_widths(layers, 8)
    written = write(loaded.model, prompt, max_new_tokens=3)
    assert "Paris" in loaded.tokenizer.decode(written[0])
    set_widths(layers, 4)
    assert_near(logits_one_by_one(loaded.model, prompt), logits_of(loaded.model, prompt))


def named(model: PreTrainedModel) -> list[tuple[str, RoundedWeight]]:
    return [
        (name.removesuffix(".rounded"), module)
        for name, module in model.named_modules()
        if isinstance(module, RoundedWeight)
    ]
