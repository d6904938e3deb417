"""Promises of LoftQ: what is left falls, the factor counts, the best iteration stays."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.initialize.loftq import start_loftq
from engine.layers.head import SplitModel
from engine.layers.layer_map import LayerSetting, apply_map
from engine.layers.swap import LayerPlan, Layers, install
from engine.specs import (
    ElasticLoraAdapter,
    LoftQ,
    LoftQUniformQuantizer,
    LoraAdapter,
    NormalFloatQuantizer,
)
from tests.engine.tiny_layers import NO_LAYER, integer
from tests.tiny_models import make_llama

GRIDS: dict[str, Any] = {
    "asymmetric": integer(bits=3),
    "symmetric": integer(bits=3, symmetric=True),
    "normal-float": NormalFloatQuantizer(bits=3, group_size=16),
    "uniform-block": LoftQUniformQuantizer(bits=3, group_size=16),
    "uniform-tensor": LoftQUniformQuantizer(bits=3, granularity="tensor"),
}
RANK = 8
every_grid = pytest.mark.parametrize("grid", GRIDS)


def lora(**values: Any) -> LoraAdapter:
    """Return a parallel adapter whose factor s is not one."""
    return LoraAdapter(**{"r": RANK, "lora_alpha": 20.0, "placement": "parallel"} | values)


def started(
    grid: str, *, adapter: Any = None, dtype: torch.dtype = torch.float32, **values: Any
) -> tuple[Layers, dict[str, Tensor], dict[str, tuple[float, ...]]]:
    """Start a tiny model; return its layers, the weights before and the errors."""
    model = make_llama().to(dtype).requires_grad_(requires_grad=False)
    layers = install(model, LayerPlan(GRIDS[grid], adapter or lora(), 0))
    before = {name: layer.weight.float().clone() for name, layer in layers.items()}
    head = SplitModel(model).head_weight
    errors = start_loftq(layers, LoftQ(**values), head=head, seed=3, progress=lambda *_: None)
    return layers, before, errors


@torch.no_grad()
def left_of(layers: Layers, before: dict[str, Tensor]) -> dict[str, float]:
    """Measure what rounded weight and adapter, as the layer uses them, leave of the weight."""
    found = {}
    for name, layer in layers.items():
        whole = layer.effective() + layer.adapter.product(layer.active_rank)
        found[name] = float((before[name] - whole).norm() / before[name].norm())
    return found


@every_grid
@pytest.mark.parametrize("variant", ["alternating", "svd-first"])
@pytest.mark.parametrize("ranges", ["extremes", "minimal-error"])
def test_the_layer_leaves_what_was_told(grid: str, variant: str, ranges: str) -> None:
    """Every layer, with its own factor s, leaves exactly the error of its best iteration."""
    layers, before, errors = started(grid, variant=variant, ranges=ranges)
    for name, left in left_of(layers, before).items():
        assert left == pytest.approx(min(errors[name]), rel=1e-3)


@every_grid
@torch.no_grad()
def test_it_leaves_less_than_rounding_and_one_iteration(grid: str) -> None:
    """Rounding leaves most, a single fit less, alternation the least."""
    rounded, before, _ = started(grid)
    plain = install(make_llama(), LayerPlan(GRIDS[grid], lora(), 0))
    rounding = {
        n: float((before[n] - x.effective()).norm() / before[n].norm()) for n, x in plain.items()
    }
    once = left_of(*started(grid, iterations=1)[:2])
    often = left_of(rounded, before)
    assert all(often[name] <= once[name] < rounding[name] for name in often)
    assert sum(often.values()) < sum(once.values())


def test_sixteen_bit_weights_keep_the_promise() -> None:
    """What is told is what the layer does where the weights are kept in 16 bits, too."""
    layers, before, errors = started("normal-float", dtype=torch.bfloat16)
    for name, left in left_of(layers, before).items():
        assert left == pytest.approx(min(errors[name]), rel=1e-4)


def test_searched_ranges_leave_less_at_two_bits() -> None:
    """Ranges of least error leave less than the extremes where levels are few."""
    two_bits = NormalFloatQuantizer(bits=2, group_size=16)
    sums = []
    for ranges in ("extremes", "minimal-error"):
        model = make_llama().requires_grad_(requires_grad=False)
        layers = install(model, LayerPlan(two_bits, lora(), 0))
        spec = LoftQ(ranges=ranges, iterations=1)
        head = SplitModel(model).head_weight
        errors = start_loftq(layers, spec, head=head, seed=3, progress=lambda *_: None)
        sums.append(sum(min(each) for each in errors.values()))
    assert sums[1] < sums[0]


@pytest.mark.parametrize("alpha", [1.0, 8.0, 64.0])
def test_the_factor_of_the_pair_changes_nothing(alpha: float) -> None:
    """Whatever alpha, s·B·A is the same product."""
    one, _, _ = started("normal-float", adapter=lora(lora_alpha=alpha))
    other, _, _ = started("normal-float", adapter=lora(lora_alpha=8.0))
    for name, layer in one.items():
        torch.testing.assert_close(
            layer.adapter.product(RANK), other[name].adapter.product(RANK), rtol=1e-4, atol=1e-5
        )


def test_every_rank_of_an_elastic_adapter_leaves_less() -> None:
    """The smaller ranks are the strongest directions: each is better than none."""
    adapter = ElasticLoraAdapter(rank_space=(8, 4, 2), placement="parallel")
    layers, before, _ = started("normal-float", adapter=adapter)
    sums = []
    for rank in (8, 4, 2, 0):
        apply_map(layers, dict.fromkeys(layers, LayerSetting(3, rank)))
        sums.append(sum(left_of(layers, before).values()))
    assert sums == sorted(sums)


@torch.no_grad()
def test_it_stays_near_the_full_decomposition() -> None:
    """The whole alternation with the full decomposition leaves at most a hundredth less."""
    layers, before, _ = started("normal-float")
    plain = install(make_llama(), LayerPlan(GRIDS["normal-float"], lora(), 0))
    ratios = []
    for name, left in left_of(layers, before).items():
        weight, ranges = before[name], plain[name].ranges
        taken = torch.zeros_like(weight)
        errors = []
        for _ in range(5):
            grouped = (weight - taken).view(len(weight), ranges.num_groups, -1)
            ranges.fit(grouped)
            rounded = ranges.reference(grouped).view_as(weight)
            u, s, v = torch.linalg.svd(weight - rounded, full_matrices=False)
            taken = (u[:, :RANK] * s[:RANK]) @ v[:RANK]
            errors.append(float((weight - rounded - taken).norm() / weight.norm()))
        ratios.append(left / min(errors))
    assert sum(ratios) / len(ratios) <= 1.01
    assert max(ratios) <= 1.03


def test_the_order_of_layers_does_not_matter() -> None:
    """A layer started alone is the same, bit for bit."""
    layers, _, _ = started("normal-float")
    model = make_llama().requires_grad_(requires_grad=False)
    others = install(model, LayerPlan(GRIDS["normal-float"], lora(), 0))
    last = list(others)[-1]
    head = SplitModel(model).head_weight
    start_loftq({last: others[last]}, LoftQ(), head=head, seed=3, progress=lambda *_: None)
    for mine, theirs in zip(layers[last].parameters(), others[last].parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_head_keeps_its_weight() -> None:
    """A quantized head is the teacher's: its pair is fitted once, its weight stays."""
    model = make_llama().requires_grad_(requires_grad=False)
    quantizer = NormalFloatQuantizer(bits=3, group_size=16, exclude=NO_LAYER)
    layers = install(model, LayerPlan(quantizer, lora(), 0))
    before = model.lm_head.weight.clone()
    head = SplitModel(model).head_weight
    errors = start_loftq(layers, LoftQ(), head=head, seed=3, progress=lambda *_: None)
    assert torch.equal(layers["lm_head"].weight, before)
    assert len(errors["lm_head"]) == 1
    assert layers["lm_head"].adapter.b.any()
    assert "model.embed_tokens" not in errors
