"""Promises of a layer's weight: held equals plain, gradients are right, 16 bits is original."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import SpecError
from engine.layers.codebook_scales import build_ranges
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import LayerPlan, install
from engine.specs import FloatQuantizer, LoraAdapter, NoAdapter
from tests.engine.tiny_layers import disturb, gradients_of, integer, lora
from tests.tolerances import assert_near

SHAPE = (24, 32)
QUANTIZERS = {
    "asymmetric": integer(),
    "symmetric": integer(symmetric=True),
    "two bits": integer(bits=2, group_size=8),
    "eight bits": integer(bits=8, group_size=32),
    "unrounded": FloatQuantizer(),
}
every_quantizer = pytest.mark.parametrize("name", QUANTIZERS)
both_adapters = pytest.mark.parametrize("adapter", [NoAdapter(), lora()], ids=["plain", "lora"])


def make_layer(
    quantizer: str, adapter: LoraAdapter | NoAdapter, dtype: torch.dtype = torch.float32
) -> QuantizedLinear:
    """Build one disturbed linear layer with a bias."""
    model = torch.nn.Sequential(torch.nn.Linear(SHAPE[1], SHAPE[0])).to(dtype)
    model.requires_grad_(requires_grad=False)
    layers = install(model, LayerPlan(QUANTIZERS[quantizer], adapter, 3))
    disturb(layers)
    layer = model[0]
    return layer if isinstance(layer, QuantizedLinear) else pytest.fail("nothing was installed")


@every_quantizer
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_held_weight_is_the_effective_one(name: str, dtype: torch.dtype) -> None:
    """The fast weight equals the differentiable one, whatever dtype the model is kept in."""
    rounded = make_layer(name, lora(), dtype).rounded
    held = rounded.hold(torch.float32, trains=False)
    assert held is not None
    assert held.weight.dtype == torch.float32
    assert_near(held.weight, rounded.effective().detach())


def gradients_through_effective(layer: QuantizedLinear, run: Callable[[], Tensor]) -> dict:
    """Return the gradients of the slow way."""
    layer.rounded.release()
    run().backward()
    return gradients_of({"layer": layer.rounded})


def gradients_through_held(layer: QuantizedLinear, runs: list[Callable[[], Tensor]]) -> dict:
    """Return the gradients of the fast way over some microbatches."""
    held = layer.rounded.hold(torch.float32, trains=True)
    assert held is not None
    for index, run in enumerate(runs):
        held.is_last = index == len(runs) - 1
        run().backward()
    assert layer.rounded.held is None, "the last use hands the gradient on and frees the weight"
    return gradients_of({"layer": layer.rounded})


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Compare gradients by name."""
    assert sorted(found) == sorted(expected)
    assert expected
    for name, value in expected.items():
        assert_near(found[name], value)


@every_quantizer
def test_gradients_through_a_held_weight_are_those_of_autograd(name: str) -> None:
    """One microbatch: adapter and ranges get the gradients autograd gives."""
    layer = make_layer(name, lora())
    inputs = torch.randn(3, 5, SHAPE[1])
    factor = torch.randn(3, 5, SHAPE[0])

    def run() -> Tensor:
        return (layer(inputs) * factor).sum()

    expected = gradients_through_effective(layer, run)
    assert_same_gradients(gradients_through_held(layer, [run]), expected)


@pytest.mark.parametrize("name", ["asymmetric", "symmetric"])
def test_several_microbatches_and_uses_add_up(name: str) -> None:
    """A layer used three times in each of four microbatches gets the sum of all gradients."""
    layer = make_layer(name, lora())
    square = torch.randn(SHAPE) * 0.2
    inputs = torch.randn(4, 6, SHAPE[1])

    def run(part: Tensor) -> Tensor:
        values = part
        for _ in range(3):
            values = torch.tanh(layer(values) @ square)
        return values.square().sum()

    expected = gradients_through_effective(layer, lambda: sum(run(part) for part in inputs))
    runs = [lambda part=part: run(part) for part in inputs]
    assert_same_gradients(gradients_through_held(layer, runs), expected)


@both_adapters
def test_the_gradient_of_the_inputs_is_that_of_autograd(adapter: LoraAdapter | NoAdapter) -> None:
    """What flows further down through a held weight equals the slow way."""
    layer = make_layer("asymmetric", adapter)
    inputs = torch.randn(2, 4, SHAPE[1], requires_grad=True)
    factor = torch.randn(2, 4, SHAPE[0])
    (layer(inputs) * factor).sum().backward()
    expected, inputs.grad = inputs.grad, None
    layer.rounded.hold(torch.float32, trains=True)
    (layer(inputs) * factor).sum().backward()
    assert_near(inputs.grad, expected)


def test_a_use_that_leads_nowhere_loses_no_gradient() -> None:
    """When one of two uses never runs backward, `finish` still hands on the other's gradient."""
    layer = make_layer("asymmetric", lora())
    inputs = torch.randn(5, SHAPE[1])
    expected = gradients_through_effective(layer, lambda: layer(inputs).square().sum())
    held = layer.rounded.hold(torch.float32, trains=True)
    assert held is not None
    held.is_last = True
    layer(inputs.neg())
    layer(inputs).square().sum().backward()
    held.finish()
    assert_same_gradients(gradients_of({"layer": layer.rounded}), expected)


def test_nothing_is_kept_where_nobody_trains() -> None:
    """A weight held for evaluation leaves no gradient on adapter and ranges."""
    layer = make_layer("asymmetric", lora())
    layer.rounded.hold(torch.float32, trains=False)
    inputs = torch.randn(5, SHAPE[1], requires_grad=True)
    layer(inputs).sum().backward()
    assert gradients_of({"layer": layer.rounded}) == {}
    assert inputs.grad is not None


@pytest.mark.parametrize(
    ("name", "adapter"),
    [*((name, lora()) for name in QUANTIZERS), ("asymmetric", NoAdapter())],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_held_layer_is_a_linear_layer_of_its_effective_weight(
    name: str, adapter: LoraAdapter | NoAdapter, dtype: torch.dtype
) -> None:
    """A plain layer that is given the effective weight has the same outputs."""
    layer = make_layer(name, adapter, dtype)
    inputs = torch.randn(7, SHAPE[1]).to(dtype)
    weight = layer.rounded.effective().detach().to(dtype)
    layer.rounded.hold(dtype, trains=False)
    assert_near(layer(inputs), functional.linear(inputs, weight, layer.bias), dtype=dtype)


@every_quantizer
def test_sixteen_bits_and_rank_zero_is_the_original(name: str) -> None:
    """Bypassed, the layer's outputs are bit for bit those of the linear layer it replaced."""
    layer = make_layer(name, lora())
    inputs = torch.randn(9, SHAPE[1])
    original = torch.nn.functional.linear(inputs, layer.weight, layer.bias)
    assert not torch.equal(layer(inputs), original)
    layer.rounded.set_bits(16)
    layer.rounded.set_rank(0)
    assert torch.equal(layer(inputs), original)
    assert layer.rounded.hold(torch.float32, trains=True) is None


def test_rank_zero_leaves_the_adapter_alone() -> None:
    """With the rank at zero only the ranges train, and the adapter gets no gradient."""
    layer = make_layer("asymmetric", lora())
    layer.rounded.set_rank(0)
    found = gradients_through_held(layer, [lambda: layer(torch.randn(4, SHAPE[1])).sum()])
    assert sorted(found) == ["layer/ranges.extent", "layer/ranges.low"]


def test_only_what_is_there_can_be_chosen() -> None:
    """Bits or ranks the layer has nothing for are refused with what it has."""
    rounded: RoundedWeight = make_layer("asymmetric", lora()).rounded
    with pytest.raises(SpecError, match=r"bits: 5 is not available here; choose one of 3, 16"):
        rounded.set_bits(5)
    with pytest.raises(SpecError, match=r"rank: 8 is not available here; choose one of \[0, 4\]"):
        rounded.set_rank(8)
    assert (rounded.active_bits, rounded.active_rank) == (3, 4)


@pytest.mark.parametrize("name", ["asymmetric", "symmetric"])
def test_ranges_take_over_a_grid(name: str) -> None:
    """`set_grid` makes the ranges stand for that grid: zero points and steps come back."""
    ranges = make_layer(name, lora()).rounded.ranges
    other = make_layer(name, lora()).rounded.ranges
    assert ranges is not None
    assert other is not None
    wanted = other.grid()
    if name == "symmetric":  # a symmetric grid keeps its sign
        wanted = wanted._replace(zero_point=ranges.grid().zero_point)
    ranges.set_grid(wanted)
    assert torch.equal(ranges.grid().zero_point, wanted.zero_point)
    assert_near(ranges.grid().step, wanted.step)


@pytest.mark.parametrize("name", ["asymmetric", "symmetric"])
def test_ranges_fit_other_weights(name: str) -> None:
    """`fit` makes the ranges those a layer of the other weights would be built with."""
    rounded = make_layer(name, lora()).rounded
    other = torch.randn(SHAPE[0], rounded.num_groups, SHAPE[1] // rounded.num_groups)
    assert rounded.ranges is not None
    rounded.ranges.fit(other)
    built = build_ranges(other, QUANTIZERS[name], int(QUANTIZERS[name].bits))
    for mine, theirs in zip(rounded.ranges.parameters(), built.parameters(), strict=True):
        assert torch.equal(mine, theirs)
