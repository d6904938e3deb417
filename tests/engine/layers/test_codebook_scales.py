"""Promises of a codebook as the grid of a layer: fast equals slow, gradients pass, scales stay."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.layers import codebook_scales
from engine.layers.codebook_scales import CodebookScales
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.swap import LayerPlan, install
from engine.quant.grouping import join, split
from engine.quant.normal_float import fake_quantize
from engine.specs import LoraAdapter, NoAdapter, NormalFloatQuantizer
from engine.specs.adapter import Placement
from tests.engine.tiny_layers import disturb, gradients_of
from tests.tolerances import assert_near

ROWS, COLUMNS, BLOCK = 24, 48, 16


def make_layer(
    placement: Placement | None = None, *, bits: int = 3, dtype: torch.dtype = torch.float32
) -> QuantizedLinear:
    """Build one NormalFloat layer with an adapter that is not zero."""
    torch.manual_seed(2)
    model = torch.nn.Sequential(torch.nn.Linear(COLUMNS, ROWS)).to(dtype)
    model.requires_grad_(requires_grad=False)
    adapter = NoAdapter() if placement is None else LoraAdapter(r=4, placement=placement)
    quantizer = NormalFloatQuantizer(bits=bits, group_size=BLOCK)
    disturb(install(model, LayerPlan(quantizer, adapter, 3)))
    layer = model[0]
    return layer if isinstance(layer, QuantizedLinear) else pytest.fail("nothing was installed")


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("placement", [None, "absorbed", "parallel"])
@pytest.mark.parametrize("block_weights", [1, 1 << 20])
def test_the_held_weight_is_the_effective_one(
    bits: int, placement: Placement | None, block_weights: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fast weight, row by row or all at once, equals the differentiable one."""
    monkeypatch.setattr(codebook_scales, "BLOCK_WEIGHTS", block_weights)
    rounded = make_layer(placement, bits=bits).rounded
    held = rounded.hold(torch.float32, trains=False)
    assert held is not None
    assert_near(held.weight, rounded.effective().detach())


def test_the_weight_is_rounded_to_the_codebook() -> None:
    """Without an adapter the layer multiplies with the nearest levels of its own weight."""
    layer = make_layer()
    ranges = layer.rounded.ranges
    assert isinstance(ranges, CodebookScales)
    expected = join(fake_quantize(split(layer.weight, COLUMNS // BLOCK), ranges.grid()))
    inputs = torch.randn(5, COLUMNS)
    assert_near(layer(inputs), inputs @ expected.t() + layer.bias)


@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
def test_gradients_through_a_held_weight_are_those_of_autograd(placement: Placement) -> None:
    """Adapter and inputs get the gradients autograd gives, clipped weights none."""
    layer = make_layer(placement)
    if placement == "absorbed":
        assert ((layer.rounded.unrounded()).abs() > layer.weight.abs().max()).any()
    inputs = torch.randn(6, COLUMNS, requires_grad=True)
    factor = torch.randn(6, ROWS)

    def run() -> tuple[dict[str, Tensor], Tensor]:
        inputs.grad = None
        (layer(inputs) * factor).sum().backward()
        assert inputs.grad is not None
        return gradients_of({"layer": layer.rounded}), inputs.grad

    expected, expected_inputs = run()
    held = layer.rounded.hold(torch.float32, trains=True)
    assert held is not None
    held.is_last = True
    found, found_inputs = run()
    assert sorted(found) == sorted(expected) == ["layer/adapter.a", "layer/adapter.b"]
    for name, value in expected.items():
        assert_near(found[name], value)
    assert_near(found_inputs, expected_inputs)


def test_no_gradient_of_the_weight_is_kept_where_nothing_learns_from_it() -> None:
    """A parallel adapter beside frozen scales needs no weight-sized gradient."""
    held = make_layer("parallel").rounded.hold(torch.float32, trains=True)
    assert held is not None
    assert not held.trains


def test_scales_do_not_train() -> None:
    """An optimizer finds nothing to train on a codebook, and its scales are kept in its state."""
    ranges = make_layer("parallel").rounded.ranges
    assert isinstance(ranges, CodebookScales)
    assert list(ranges.parameters()) == []
    assert list(ranges.state_dict()) == ["scale"]


def test_fitting_takes_the_scales_of_new_weights() -> None:
    """`fit` takes over the largest magnitudes of other weights."""
    ranges = make_layer().rounded.ranges
    assert ranges is not None
    other = torch.randn(ROWS, COLUMNS // BLOCK, BLOCK)
    ranges.fit(other)
    assert torch.equal(ranges.state_dict()["scale"], other.abs().amax(dim=-1))
