"""Promises beside NNCF itself: equal rounded weights, equal range gradients, one known difference.

Runs where the extra `bench` is installed. The same numbers are held to a slow restatement of NNCF's
formulas in the ordinary tests of `engine.quant`. Start with
`test_rounded_weights_are_those_of_nncf`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.layers.rounded_weight import RoundedWeight
from engine.layers.swap import LayerPlan, Layers, install
from engine.layers.weight_ranges import AsymmetricRanges, SymmetricRanges
from engine.specs import IntegerQuantizer, NoAdapter
from engine.specs.quantizer import Symmetry

pytestmark = pytest.mark.skipif(
    find_spec("nncf") is None, reason="NNCF is not installed; it comes with the extra bench"
)

GROUP = 64
ROWS, COLUMNS = 48, 4 * GROUP
MODES: dict[Symmetry, str] = {"asymmetric": "INT4_ASYM", "symmetric": "INT4_SYM"}
DTYPES = (torch.float32, torch.bfloat16)
BOTH = pytest.mark.parametrize("symmetry", MODES)


def _weights() -> dict[str, Tensor]:
    """Return (ROWS, COLUMNS) weights of every kind a group can be of."""
    normal = torch.randn(ROWS, COLUMNS) * 0.05
    flat = normal.clone()
    flat[:8], flat[8:16], flat[16:24] = 0.0, 0.25, -0.25
    flat[24:32] *= 1e-9
    flat[32:40, 5] = 10.0
    ties = torch.randint(-8, 8, (ROWS, COLUMNS)) / 16 + torch.randint(0, 2, (ROWS, 1)) / 32
    return {
        "normal": normal,
        "positive": normal.abs() + 0.01,
        "negative": -normal.abs() - 0.01,
        "flat": flat,
        "ties": ties.float(),
    }


class _Net(nn.Module):
    """Layers side by side, one per kind of weight."""

    def __init__(self, weights: dict[str, Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.names = tuple(weights)
        for name, weight in weights.items():
            layer = nn.Linear(COLUMNS, ROWS, bias=False, dtype=dtype)
            layer.weight = nn.Parameter(weight.to(dtype))
            self.add_module(name, layer)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        return [self.get_submodule(name)(inputs) for name in self.names]


class _Pair:
    """The same weights under NNCF's quantizers and under ours."""

    def __init__(self, symmetry: Symmetry, dtype: torch.dtype) -> None:
        weights = _weights()
        self.weights = {name: weight.to(dtype) for name, weight in weights.items()}
        self.theirs = _nncf_quantizers(_Net(weights, dtype), MODES[symmetry], dtype)
        quantizer = IntegerQuantizer(bits=4, symmetry=symmetry, group_size=GROUP)
        plan = LayerPlan(quantizer=quantizer, adapter=NoAdapter(), seed=0)
        self.ours: Layers = install(_Net(weights, dtype), plan)

    def their_weight(self, name: str) -> Tensor:
        """Return NNCF's rounded weight, differentiable in its ranges."""
        rounded: Tensor = self.theirs[name].quantize(self.weights[name])
        return rounded


@pytest.fixture(scope="module")
def pair_of() -> Iterator[Callable[[Symmetry, torch.dtype], _Pair]]:
    """Return a maker of pairs; each is made once. NNCF runs without compiling."""
    made: dict[tuple[Symmetry, torch.dtype], _Pair] = {}

    def make(symmetry: Symmetry, dtype: torch.dtype) -> _Pair:
        key = (symmetry, dtype)
        if key not in made:
            made[key] = _Pair(symmetry, dtype)
        return made[key]

    with torch.compiler.set_stance("force_eager"):
        yield make


def _nncf_quantizers(net: nn.Module, mode: str, dtype: torch.dtype) -> dict[str, Any]:
    """Compress a net with NNCF; return its quantizers by layer, their adapters emptied."""
    os.environ["NNCF_CI"] = "1"  # no telemetry
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nncf: Any = import_module("nncf")
        wrapper: Any = import_module("nncf.torch.function_hook.wrapper")
        nncf.set_log_level("ERROR")
        net = nncf.compress_weights(
            net,
            mode=nncf.CompressWeightsMode[mode],
            group_size=GROUP,
            all_layers=True,
            compression_format=nncf.CompressionFormat.FQ_LORA,
            dataset=nncf.Dataset([torch.ones(1, COLUMNS, dtype=dtype)]),
            advanced_parameters=nncf.AdvancedCompressionParameters(lora_adapter_rank=2),
        )
    quantizers = {}
    for name, quantizer in wrapper.get_hook_storage(net).named_hooks():
        quantizer.lora_B.data.zero_()
        quantizer.enable_gradients()
        quantizers[name.removeprefix("post_hooks.").partition(":")[0]] = quantizer
    return quantizers


@BOTH
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_ranges_start_where_those_of_nncf_do(
    pair_of: Callable[[Symmetry, torch.dtype], _Pair], symmetry: Symmetry, dtype: torch.dtype
) -> None:
    """Fitted ranges equal NNCF's bit for bit, for every kind of group."""
    pair = pair_of(symmetry, dtype)
    assert set(pair.theirs) == set(pair.ours)
    for name, layer in pair.ours.items():
        theirs = pair.theirs[name]
        ranges = layer.ranges
        if isinstance(ranges, AsymmetricRanges):
            assert torch.equal(ranges.low, theirs.input_low.squeeze(-1)), name
            assert torch.equal(ranges.extent, theirs.input_range.squeeze(-1)), name
        else:
            assert isinstance(ranges, SymmetricRanges)
            assert torch.equal(ranges.scale, theirs.scale.squeeze(-1)), name


@BOTH
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rounded_weights_are_those_of_nncf(
    pair_of: Callable[[Symmetry, torch.dtype], _Pair], symmetry: Symmetry, dtype: torch.dtype
) -> None:
    """INT4_ASYM and INT4_SYM at group 64 give NNCF's weights within float32 rounding, ties too."""
    pair = pair_of(symmetry, dtype)
    for name, layer in pair.ours.items():
        theirs = pair.their_weight(name).detach()
        held = layer.hold(torch.float32, trains=False)
        assert held is not None
        ours = held.weight.to(dtype)
        layer.release()
        torch.testing.assert_close(ours, theirs, rtol=4 * torch.finfo(dtype).eps, atol=0)


def _our_gradients(layer: RoundedWeight, gradient: Tensor) -> dict[str, Tensor]:
    """Carry the gradient of the rounded weight to our ranges; return their gradients (O, G)."""
    held = layer.hold(torch.float32, trains=True)
    assert held is not None
    assert layer.ranges is not None
    held.is_last = True
    outputs = held.linear(torch.eye(COLUMNS), None)
    torch.autograd.backward(outputs, gradient.t().contiguous())
    layer.release()
    found = {}
    for name, parameter in layer.ranges.named_parameters():
        assert parameter.grad is not None
        found[name], parameter.grad = parameter.grad, None
    return found


def test_gradients_of_asymmetric_ranges_are_those_of_nncf(
    pair_of: Callable[[Symmetry, torch.dtype], _Pair],
) -> None:
    """Where weights are clipped on both sides, both ends get NNCF's gradients."""
    pair = pair_of("asymmetric", torch.float32)
    gradient = torch.randn(ROWS, COLUMNS)
    layer, theirs = pair.ours["normal"], pair.theirs["normal"]
    ranges = layer.ranges
    assert isinstance(ranges, AsymmetricRanges)
    with torch.no_grad():
        for parameter in (ranges.low, ranges.extent, theirs.input_low, theirs.input_range):
            parameter.mul_(0.7)
    torch.autograd.backward(pair.their_weight("normal"), gradient)
    ours = _our_gradients(layer, gradient)
    torch.testing.assert_close(ours["low"], theirs.input_low.grad.squeeze(-1))
    torch.testing.assert_close(ours["extent"], theirs.input_range.grad.squeeze(-1))
    with torch.no_grad():
        for parameter in (ranges.low, ranges.extent, theirs.input_low, theirs.input_range):
            parameter.div_(0.7)


def test_the_gradient_of_a_negative_scale_is_not_that_of_nncf(
    pair_of: Callable[[Symmetry, torch.dtype], _Pair],
) -> None:
    """Without clipping ours is 15/8 of NNCF's for a positive scale, and −15/8 for a negative one.

    NNCF forgets the sign of the scale; finite differences, in the tests of the projection, say that
    the sign belongs there.
    """
    pair = pair_of("symmetric", torch.float32)
    gradient = torch.randn(ROWS, COLUMNS)
    layer, theirs = pair.ours["normal"], pair.theirs["normal"]
    ranges = layer.ranges
    assert isinstance(ranges, SymmetricRanges)
    with torch.no_grad():
        ranges.scale.mul_(1.3)
        theirs.scale.mul_(1.3)
    torch.autograd.backward(pair.their_weight("normal"), gradient)
    ours = _our_gradients(layer, gradient)["scale"]
    expected = 15 / 8 * theirs.scale.grad.squeeze(-1) * ranges.scale.detach().sign()
    assert (ranges.scale < 0).any()
    assert (ranges.scale > 0).any()
    torch.testing.assert_close(ours, expected)
    with torch.no_grad():
        ranges.scale.div_(1.3)
        theirs.scale.div_(1.3)
