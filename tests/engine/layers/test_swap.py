"""Promises of putting quantized layers into a model: which, shared ones once, refusals by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from engine.errors import SpecError
from engine.layers.layer_map import bypassed, held
from engine.layers.quantized_embedding import QuantizedEmbedding
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.swap import LayerPlan, find_targets, install
from engine.measured_size import measure_size
from engine.models.conv1d import replace_conv1d
from engine.specs import FloatQuantizer, IntegerQuantizer, LoraAdapter, NoAdapter
from tests.engine.tiny_layers import (
    NO_LAYER,
    disturb,
    integer,
    lora,
    quantize,
    quantized_llama,
    some_tokens,
)
from tests.tiny_models import VOCAB_SIZE, make_gpt2, make_llama
from tests.tolerances import assert_near

LLAMA_LAYERS = 2 * 7
GPT2_LAYERS = 2 * 4


def make_plain_gpt2() -> PreTrainedModel:
    """Build the tiny GPT-2 with linear layers in place of Conv1D."""
    model = make_gpt2()
    assert replace_conv1d(model) == GPT2_LAYERS
    return model


MODELS = {"llama": make_llama, "gpt2": make_plain_gpt2}
every_model = pytest.mark.parametrize("kind", MODELS)


def logits_of(model: PreTrainedModel) -> torch.Tensor:
    """Return the logits of some tokens, without gradients."""
    with torch.no_grad():
        return model(input_ids=some_tokens(2, 12), use_cache=False).logits


@every_model
def test_all_linear_layers_inside_blocks_are_replaced(kind: str) -> None:
    """By default every linear layer of every block is rounded, head and embeddings are not."""
    model = MODELS[kind]()
    layers = quantize(model, integer(), lora())
    left = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    found = {name for name, module in model.named_modules() if isinstance(module, QuantizedLinear)}
    assert left == {"lm_head"}
    assert found == set(layers)
    assert len(layers) == {"llama": LLAMA_LAYERS, "gpt2": GPT2_LAYERS}[kind]
    assert not any(isinstance(module, QuantizedEmbedding) for module in model.modules())


@every_model
def test_rounding_changes_the_model_and_bypassing_gives_it_back(kind: str) -> None:
    """Bypassed, the model is bit for bit the original, embeddings and tied head too."""
    model = MODELS[kind]()
    original = logits_of(model)
    layers = quantize(model, integer(embeddings=True), lora())
    disturb(layers)
    changed = logits_of(model)
    assert not torch.allclose(changed, original, atol=1e-3)
    with bypassed(layers):
        assert torch.equal(logits_of(model), original)
    assert torch.equal(logits_of(model), changed)


@every_model
def test_a_held_model_is_the_plain_one(kind: str) -> None:
    """Weights computed once give the logits of weights computed at every use."""
    model = MODELS[kind]()
    layers = quantize(model, integer(embeddings=True), lora())
    disturb(layers)
    slow = logits_of(model)
    with held(layers, torch.float32):
        assert_near(logits_of(model), slow)
    assert all(layer.held is None for layer in layers.values())


@pytest.mark.parametrize("exclude", [NO_LAYER, ("lm_head",), ("*embed*",)])
def test_a_tied_head_is_rounded_once_with_its_embedding(exclude: tuple[str, ...]) -> None:
    """Selected by either name, the shared weight is one layer, rounded once, without an adapter."""
    model = make_llama(tied=True)
    quantizer = IntegerQuantizer(bits=4, group_size=16, exclude=exclude)
    layers = quantize(model, quantizer, lora())
    shared = layers["model.embed_tokens"]
    assert "lm_head" not in layers
    assert len(layers) == LLAMA_LAYERS + 1
    assert shared.adapter is None
    assert model.lm_head.rounded is model.model.embed_tokens.rounded is shared
    measured = measure_size(model, layers, quantizer)
    weights = sum(layer.weight.numel() for layer in layers.values())
    norms = sum(value.numel() for name, value in model.named_parameters() if "norm" in name)
    assert measured.original_bytes == 2 * (weights + norms)
    assert measured.parts["weights"] == weights // 2


def test_an_untied_head_and_embedding_are_two_layers() -> None:
    """Without tying, head and embedding are rounded each by itself, the head with an adapter."""
    model = make_llama()
    layers = quantize(model, integer(embeddings=True), lora())
    assert layers["lm_head"].adapter is not None
    assert layers["model.embed_tokens"].adapter is None
    assert layers["lm_head"].weight.shape == (VOCAB_SIZE, 64)
    assert len(layers) == LLAMA_LAYERS + 2


def test_no_second_copy_of_a_weight_is_made() -> None:
    """A replaced layer keeps the very parameter of the layer it replaces, bias included."""
    model = make_plain_gpt2()
    weight = model.transformer.h[0].attn.c_attn.weight
    bias = model.transformer.h[0].attn.c_attn.bias
    quantize(model, integer(), lora())
    replaced = model.transformer.h[0].attn.c_attn
    assert replaced.rounded.weight is weight
    assert replaced.bias is bias
    assert not weight.requires_grad


def test_patterns_choose_layers() -> None:
    """Only included, not excluded layers are rounded; only targeted ones of them get a pair."""
    quantizer = IntegerQuantizer(group_size=16, include=("*.mlp.*",), exclude=("*.1.*",))
    adapter = LoraAdapter(r=2, target_modules=("*.up_proj",))
    layers = quantize(make_llama(), quantizer, adapter)
    names = [f"model.layers.0.mlp.{kind}_proj" for kind in ("gate", "up", "down")]
    assert list(layers) == names
    assert [layer.adapter is not None for layer in layers.values()] == [False, True, False]


def test_adapters_alone_leave_weights_unrounded() -> None:
    """With 16 bits and an adapter, adapted layers keep their weights exactly at the start."""
    model = make_llama()
    original = logits_of(model)
    layers = quantize(model, FloatQuantizer(), lora())
    assert len(layers) == LLAMA_LAYERS
    assert all(layer.ranges is None and layer.active_bits == 16 for layer in layers.values())
    assert_near(logits_of(model), original)


def test_nothing_asked_changes_nothing() -> None:
    """Without quantizer and adapter no module is touched."""
    model = make_llama()
    modules = list(model.modules())
    assert install(model, LayerPlan(FloatQuantizer(), NoAdapter(), 0)) == {}
    assert list(model.modules()) == modules


def test_a_fresh_adapter_changes_nothing_and_follows_the_seed() -> None:
    """Layers start as rounded to nearest; A depends on the seed, B is zero."""
    model, other = make_llama(), make_llama()
    layers = quantize(model, integer(), lora())
    quantize(other, integer(), NoAdapter())
    assert torch.equal(logits_of(model), logits_of(other))
    starts = [
        next(iter(install(make_llama(), LayerPlan(integer(), lora(), seed)).values())).adapter.a
        for seed in (7, 7, 8)
    ]
    assert torch.equal(starts[0], next(iter(layers.values())).adapter.a)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_a_group_size_that_does_not_divide_names_field_and_layer() -> None:
    """The refusal says which field, which layer and both numbers."""
    with pytest.raises(SpecError) as caught:
        quantize(make_llama(), integer(group_size=64))
    assert str(caught.value) == (
        "quantizer.group_size: 64 does not divide the 96 inputs of a layer "
        "(layer model.layers.0.mlp.down_proj)"
    )


def test_a_rank_too_large_names_field_layer_and_limit() -> None:
    """The refusal says which field, which layer and the largest rank."""
    with pytest.raises(SpecError) as caught:
        quantize(make_llama(), integer(), lora(r=33))
    (problem,) = caught.value.problems
    assert problem.field == "adapter.r"
    assert "use at most 32" in problem.message
    assert "model.layers.0.self_attn.k_proj" in problem.message


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (LayerPlan(IntegerQuantizer(include=("nope",)), NoAdapter(), 0), "quantizer.include"),
        (
            LayerPlan(FloatQuantizer(), LoraAdapter(target_modules=("nope",)), 0),
            "adapter.target_modules",
        ),
        (
            LayerPlan(integer(), LoraAdapter(target_modules=("nope",)), 0),
            "adapter.target_modules",
        ),
    ],
)
def test_a_pattern_that_matches_no_layer_names_its_field(plan: LayerPlan, field: str) -> None:
    """Patterns that select nothing are refused at the field that holds them."""
    with pytest.raises(SpecError) as caught:
        install(make_llama(), plan)
    assert [problem.field for problem in caught.value.problems] == [field]


class ScaledEmbedding(nn.Embedding):
    """An embedding whose forward does more than looking up, as some families have."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return super().forward(rows) * 8


def test_a_layer_that_computes_more_is_refused() -> None:
    """A selected layer whose forward is its own would be replaced wrongly, so it is refused."""
    model = nn.Sequential(ScaledEmbedding(16, 8), nn.Linear(8, 8))
    plan = LayerPlan(integer(group_size=8, embeddings=True), NoAdapter(), 0)
    with pytest.raises(SpecError, match=r"quantizer\.exclude: .*layer 0.*ScaledEmbedding"):
        install(model, plan)


def test_models_share_nothing() -> None:
    """Disturbing one model's layers leaves another of the same weights alone."""
    model, layers = quantized_llama()
    other, _ = quantized_llama()
    before = logits_of(other)
    disturb(layers)
    assert torch.equal(logits_of(other), before)
    assert not torch.equal(logits_of(model), before)


@pytest.mark.parametrize("embeddings", [False, True])
@pytest.mark.parametrize("kind", [*MODELS, "tied"])
def test_targets_are_what_is_installed(kind: str, *, embeddings: bool) -> None:
    """What is told beforehand is what is replaced, in the same order; telling changes nothing."""
    model = make_llama(tied=True) if kind == "tied" else MODELS[kind]()
    plan = LayerPlan(integer(embeddings=embeddings), NoAdapter(), seed=1)
    targets = find_targets(model, plan)
    users = [module for modules in targets.values() for module in modules.values()]
    assert users
    assert all(any(module is each for module in model.modules()) for each in users)
    layers = install(model, plan)
    assert list(targets) == list(layers)
    replaced = (QuantizedLinear, QuantizedEmbedding)
    names = {name for name, module in model.named_modules() if isinstance(module, replaced)}
    assert {alias for modules in targets.values() for alias in modules} == names
