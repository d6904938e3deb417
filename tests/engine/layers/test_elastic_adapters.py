"""Promises of adapters that work at every rank of a rank space, and of those beside the weight."""

from __future__ import annotations

import pytest
import torch

from engine.errors import SpecError
from engine.layers.adapters import LoraPair
from engine.layers.layer_map import LayerSetting, apply_map, held
from engine.layers.rank_groups import group_adapters
from engine.specs import ElasticLoraAdapter, LoraAdapter, NormalFloatQuantizer
from tests.engine.tiny_layers import integer, quantized_llama, some_tokens
from tests.tolerances import assert_near

SPACE = (8, 5, 2)
ELASTIC = ElasticLoraAdapter(rank_space=SPACE, lora_alpha=6.0)


def pair_of(spec: ElasticLoraAdapter | LoraAdapter) -> LoraPair:
    """Return a pair of a 12 × 20 layer with a B that does something."""
    generator = torch.Generator().manual_seed(1)
    pair = LoraPair(torch.Size((12, 20)), spec, generator=generator)
    torch.nn.init.normal_(pair.b, generator=generator)
    return pair


def test_an_elastic_pair_starts_as_the_pair_of_its_largest_rank() -> None:
    """A, B and the factor are those of a plain pair of rank 8 with the same seed."""
    elastic, plain = pair_of(ELASTIC), pair_of(LoraAdapter(r=8, lora_alpha=6.0))
    assert torch.equal(elastic.a, plain.a)
    assert torch.equal(elastic.b, plain.b)
    assert elastic.scaling == plain.scaling == 0.75
    assert (elastic.max_rank, elastic.rank_space) == (8, SPACE)


@pytest.mark.parametrize("rank", SPACE)
def test_a_smaller_rank_is_the_first_rows_and_columns(rank: int) -> None:
    """The product at rank r is that of the first r rows of A and columns of B, same factor."""
    pair = pair_of(ELASTIC)
    low = pair.low_rank(rank)
    assert (low.a.shape, low.b.shape) == ((rank, 20), (12, rank))
    assert low.a.data_ptr() == pair.a.data_ptr()
    expected = 0.75 * sum(torch.outer(pair.b[:, i], pair.a[i]) for i in range(rank))
    assert_near(pair.product(rank).detach(), expected.detach())
    inputs = torch.randn(3, 20, generator=torch.Generator().manual_seed(2))
    assert_near(pair.output(inputs, rank).detach(), (inputs @ expected.t()).detach())


def test_the_parts_cover_the_pair_and_share_its_memory() -> None:
    """Stretches [0, 2), [2, 5), [5, 8) of A and B are what is trained; a change shows in both."""
    pair = pair_of(ELASTIC)
    parts = pair.named_parts()
    assert list(parts) == ["a[0:2]", "b[0:2]", "a[2:5]", "b[2:5]", "a[5:8]", "b[5:8]"]
    assert sum(part.numel() for part in parts.values()) == pair.a.numel() + pair.b.numel()
    with torch.no_grad():
        parts["b[2:5]"].fill_(7.0)
        parts["a[5:8]"].fill_(9.0)
    assert (pair.b[:, 2:5] == 7).all()
    assert (pair.a[5:] == 9).all()
    assert pair.named_parts()["b[2:5]"] is parts["b[2:5]"]
    assert len(list(pair.parameters())) == 2


@pytest.mark.parametrize("rank", SPACE)
def test_gradients_reach_the_active_parts_alone(rank: int) -> None:
    """At rank r the gradients equal autograd's; parts above r have none, not zeros."""
    pair = pair_of(ELASTIC)
    gradient = torch.randn(12, 20, generator=torch.Generator().manual_seed(3))
    pair.product(rank).backward(gradient)
    expected = (pair.a.grad, pair.b.grad)
    pair.clear_gradients()
    assert pair.a.grad is None
    pair.named_parts()
    pair.trained_rank = rank
    pair.add_gradients(gradient, rank)
    pair.share_gradients()
    for whole, wanted in zip((pair.a, pair.b), expected, strict=True):
        assert whole.grad is not None
        assert wanted is not None
        assert_near(whole.grad, wanted)
    for name, part in pair.named_parts().items():
        low = int(name[2 : name.index(":")])
        assert (part.grad is None) == (low >= rank), name


def test_layers_are_grouped_by_block_kind_or_each(request: pytest.FixtureRequest) -> None:
    """Two blocks of seven layers are two, seven or fourteen groups, in the model's order."""
    _, layers = quantized_llama(adapter=ELASTIC)
    found = {}
    for grouping in ("block", "kind", "layer"):
        spec = ELASTIC.model_copy(update={"grouping": grouping})
        groups = group_adapters(layers, spec)
        found[grouping] = groups.space.groups
        assert sorted(name for names in groups.members for name in names) == sorted(layers)
        sides = sum(sum(layer.weight.shape) for layer in layers.values())
        assert sum(groups.space.parameters_per_rank) == sides
    assert found["block"] == ("block 0", "block 1")
    assert found["kind"][:2] == ("self_attn.q_proj", "self_attn.k_proj")
    assert len(found["kind"]) == 7
    assert found["layer"] == tuple(layers)


def test_a_configuration_sets_every_layer_of_a_group() -> None:
    """Block 0 at rank 2 and block 1 at rank 5 is what the layers then stand at; bits stay."""
    _, layers = quantized_llama(adapter=ELASTIC)
    groups = group_adapters(layers, ELASTIC)
    apply_map(layers, groups.layer_map(layers, (2, 5)))
    ranks = {name: layer.active_rank for name, layer in layers.items()}
    assert set(ranks.values()) == {2, 5}
    assert all((rank == 2) == (".0." in name) for name, rank in ranks.items())
    assert {layer.active_bits for layer in layers.values()} == {3}
    with pytest.raises(SpecError, match="there are 3 ranks for 2 groups of layers"):
        groups.layer_map(layers, (2, 5, 8))
    with pytest.raises(SpecError, match="7 is not in the rank space; choose from 8, 5, 2"):
        groups.layer_map(layers, (7, 5))
    with pytest.raises(SpecError, match="choose one of"):
        apply_map(layers, {next(iter(layers)): LayerSetting(3, 7)})


@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
def test_a_rank_inside_the_super_adapter_is_a_fixed_adapter_of_that_rank(placement: str) -> None:
    """Logits at rank 5 equal those of a plain adapter made of the first five rows and columns."""
    spec = ElasticLoraAdapter(rank_space=SPACE, lora_alpha=6.0, placement=placement)
    model, layers = quantized_llama(adapter=spec)
    groups = group_adapters(layers, spec)
    apply_map(layers, groups.layer_map(layers, (5, 5)))
    fixed = LoraAdapter(r=5, lora_alpha=6.0 * 5 / 8, placement=placement)
    other, others = quantized_llama(adapter=fixed)
    for name, layer in others.items():
        source = layers[name]
        assert layer.adapter is not None
        assert source.adapter is not None
        layer.adapter.a.data.copy_(source.adapter.a[:5])
        layer.adapter.b.data.copy_(source.adapter.b[:, :5])
        for mine, theirs in zip(layer.ranges.parameters(), source.ranges.parameters(), strict=True):
            mine.data.copy_(theirs)
    tokens = some_tokens(2, 12)
    with torch.no_grad():
        slow = model(input_ids=tokens).logits
        assert torch.equal(slow, other(input_ids=tokens).logits)
        with held(layers, torch.float32), held(others, torch.float32):
            fast = model(input_ids=tokens).logits
            assert torch.equal(fast, other(input_ids=tokens).logits)
    assert_near(fast, slow)


def test_a_parallel_adapter_stands_beside_the_rounded_weight() -> None:
    """The output is x·FQ(W)ᵀ + s·(x·Aᵀ)·Bᵀ, held or not."""
    spec = LoraAdapter(r=4, lora_alpha=6.0, placement="parallel")
    model, layers = quantized_llama(quantizer=integer(bits=2), adapter=spec)
    name = "model.layers.0.mlp.down_proj"
    module, layer = model.get_submodule(name), layers[name]
    assert layer.adapter is not None
    inputs = torch.randn(3, 96, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        rounded = layer.effective()
        expected = inputs @ rounded.t() + 1.5 * (inputs @ layer.adapter.a.t()) @ layer.adapter.b.t()
        assert_near(module(inputs), expected)
        layer.hold(torch.float32, trains=False)
        assert_near(module(inputs), expected)
        layer.release()
        layer.set_rank(0)
        assert_near(module(inputs), inputs @ rounded.t())


def test_a_weight_that_learns_nothing_is_not_saved_for_the_backward_pass() -> None:
    """Beside a parallel adapter with still ranges autograd keeps inputs, no copy of the weight."""
    spec = LoraAdapter(r=4, lora_alpha=6.0, placement="parallel")
    model, layers = quantized_llama(quantizer=NormalFloatQuantizer(group_size=16), adapter=spec)
    name = "model.layers.0.mlp.down_proj"
    module, layer = model.get_submodule(name), layers[name]
    layer.weight.data = layer.weight.data.bfloat16()
    layer.hold(torch.bfloat16, trains=True)
    saved: list[torch.Size] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.shape)
        return tensor

    inputs = torch.randn(3, 96, generator=torch.Generator().manual_seed(4), requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = module(inputs)
    outputs.sum().backward()
    assert layer.weight.shape not in saved
    assert layer.weight.shape[::-1] not in saved
    assert inputs.grad is not None
    with torch.no_grad():
        expected = layer.effective().float() + layer.parallel.product(4)
    assert torch.allclose(inputs.grad, expected.sum(dim=0).expand(3, -1), atol=2e-2)
