"""A whole model's data-aware start: what is observed, and what it wins."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import ModelError
from engine.initialize import moment_size
from engine.initialize.data_aware import start_data_aware
from engine.initialize.error_report import Errors
from engine.initialize.loftq import start_loftq
from engine.initialize.moments import collect_moments
from engine.layers.head import SplitModel
from engine.layers.headed import HeadedModel
from engine.layers.swap import LayerPlan, Layers, install
from engine.specs import (
    DataAware,
    IntegerQuantizer,
    LoftQ,
    LoftQUniformQuantizer,
    LoraAdapter,
    NoAdapter,
    NormalFloatQuantizer,
)
from engine.specs.adapter import Placement
from tests.tiny_heads import make_kind
from tests.tiny_models import make_llama

PLAN = LayerPlan(IntegerQuantizer(bits=3, group_size=8), NoAdapter(), seed=0)


def no_progress(done: int, total: int) -> None:
    assert 0 < done <= total


def make_windows(vocabulary: int) -> Tensor:
    return torch.randint(vocabulary, (6, 24), generator=torch.Generator().manual_seed(5))


def start(split: SplitModel, model: Any, layers: Layers, windows: Tensor, **values: Any) -> Errors:
    """Start a model from calibration text; return the errors of its adapted layers."""
    spec = DataAware(**values)
    return start_data_aware(split, model, layers, windows, spec=spec, seed=3, progress=no_progress)


def test_moments_are_those_of_the_inputs() -> None:
    """Moments equal x·xᵀ summed over every token; layers that share an input share them."""
    model = make_llama()
    windows = make_windows(model.config.vocab_size)
    names = [f"model.layers.0.{name}" for name in ("self_attn.q_proj", "self_attn.k_proj")]
    modules = {name: model.get_submodule(name) for name in names}
    split = SplitModel(model)
    seen: list[Tensor] = []
    hook = modules[names[0]].register_forward_pre_hook(
        lambda _, args: seen.append(args[0].reshape(-1, args[0].shape[-1]).double())
    )
    moments = collect_moments(split, modules, windows, progress=no_progress)
    hook.remove()
    inputs = torch.cat(seen)
    assert len(inputs) == windows.numel()
    torch.testing.assert_close(
        moments[names[0]].double(), inputs.t() @ inputs, rtol=1e-4, atol=1e-4
    )
    assert moments[names[0]] is moments[names[1]]


def test_the_model_changes_less_than_by_rounding() -> None:
    """On its calibration text the data-aware model's hidden states are nearer to the original's."""
    windows = make_windows(make_llama().config.vocab_size)
    with torch.no_grad():
        original = SplitModel(make_llama()).hidden(windows)
        errors = {}
        for way in ("rounded", "data-aware"):
            model = make_llama()
            layers = install(model, PLAN)
            split = SplitModel(model)
            if way == "data-aware":
                start(split, model, layers, windows)
            errors[way] = float((split.hidden(windows) - original).square().mean())
    assert errors["data-aware"] < errors["rounded"]


def test_the_head_keeps_its_weights() -> None:
    """A quantized head is rounded but not compensated: it must stay the teacher's."""
    model = make_llama()
    before = model.lm_head.weight.clone()
    everything = IntegerQuantizer(bits=3, group_size=8, exclude=())
    layers = install(model, LayerPlan(everything, NoAdapter(), seed=0))
    windows = make_windows(model.config.vocab_size)
    start(SplitModel(model), model, layers, windows)
    assert "lm_head" in layers
    assert torch.equal(layers["lm_head"].weight, before)


@torch.no_grad()
def hidden_error(grid: Any, *, placement: Placement | None, start_with: Any) -> float:
    """Return how far a started model's hidden states are from the original's, squared."""
    windows = make_windows(make_llama().config.vocab_size)
    original = SplitModel(make_llama()).hidden(windows)
    model = make_llama().requires_grad_(requires_grad=False)
    adapter = NoAdapter()
    if placement is not None:
        adapter = LoraAdapter(r=4, lora_alpha=20.0, placement=placement)
    layers = install(model, LayerPlan(grid, adapter, seed=0))
    split = SplitModel(model)
    start_with(split, model, layers, windows)
    return float((split.hidden(windows) - original).square().mean())


def by_loftq(split: SplitModel, model: Any, layers: Layers, windows: Tensor) -> None:
    del model, windows
    head = split.head_weight
    start_loftq(layers, LoftQ(iterations=5), head=head, seed=3, progress=no_progress)


GRIDS = [
    IntegerQuantizer(bits=3, group_size=8),
    IntegerQuantizer(bits=3, group_size=8, symmetry="symmetric"),
    NormalFloatQuantizer(bits=3, group_size=8),
    LoftQUniformQuantizer(bits=3, group_size=8),
]
every_grid = pytest.mark.parametrize(
    "grid", GRIDS, ids=["asymmetric", "symmetric", "normal-float", "uniform"]
)


@every_grid
@pytest.mark.parametrize("compensation", [True, False], ids=["compensated", "searched"])
def test_parallel_adapters_by_outputs_beat_those_by_weights(grid: Any, compensation: bool) -> None:
    """On its calibration text a model started by outputs is nearer to the original than LoftQ's."""

    def by_data(split: SplitModel, model: Any, layers: Layers, windows: Tensor) -> None:
        start(split, model, layers, windows, iterations=2, compensation=compensation)

    by_outputs = hidden_error(grid, placement="parallel", start_with=by_data)
    assert by_outputs < hidden_error(grid, placement="parallel", start_with=by_loftq)


@every_grid
def test_parallel_adapters_win_something_back(grid: Any) -> None:
    """Beside the same rounding, a pair leaves less than none; an absorbed one stays at zero."""
    alone = hidden_error(grid, placement=None, start_with=start)
    absorbed = hidden_error(grid, placement="absorbed", start_with=start)
    assert absorbed == pytest.approx(alone, rel=1e-5)
    assert hidden_error(grid, placement="parallel", start_with=start) < alone


def test_every_iteration_is_told() -> None:
    """Layers with a parallel adapter tell the error of each iteration, falling until the last."""
    model = make_llama().requires_grad_(requires_grad=False)
    adapter = LoraAdapter(r=4, placement="parallel")
    layers = install(model, LayerPlan(GRIDS[2], adapter, seed=0))
    windows = make_windows(model.config.vocab_size)
    errors = start(SplitModel(model), model, layers, windows, iterations=4)
    assert list(errors) == list(layers)
    for told in errors.values():
        assert 1 <= len(told) <= 4
        assert list(told[:-1]) == sorted(told[:-1], reverse=True)
        assert 0 < min(told) < 1


@torch.no_grad()
def test_moments_too_large_to_hold_are_collected_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Part by part every layer is started, the first as ever, and the model is as near."""
    windows = make_windows(make_llama().config.vocab_size)
    found, near, told = [], [], []
    original = SplitModel(make_llama()).hidden(windows)
    for most in (moment_size.MOMENT_BYTES, 3 * 4 * 64**2):
        monkeypatch.setattr(moment_size, "MOMENT_BYTES", most)
        model = make_llama().requires_grad_(requires_grad=False)
        adapter = LoraAdapter(r=4, placement="parallel")
        layers = install(model, LayerPlan(GRIDS[0], adapter, seed=0))
        split = SplitModel(model)
        steps: list[tuple[int, int]] = []
        told.append(steps)
        errors = start_data_aware(
            split,
            model,
            layers,
            windows,
            spec=DataAware(),
            seed=3,
            progress=lambda done, total, steps=steps: steps.append((done, total)),
        )
        assert set(errors) == set(layers)
        assert all(layer.held is None for layer in layers.values())
        found.append({name: layer.effective() for name, layer in layers.items()})
        near.append(float((split.hidden(windows) - original).square().mean()))
    whole, parts = found
    first, *_, last = whole
    assert torch.equal(whole[first], parts[first])
    assert not torch.equal(whole[last], parts[last])
    assert max(near) < 1.5 * min(near)
    for steps in told:
        assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))
    assert len(told[0]) == len(windows) + len(whole) < len(told[1])


@torch.no_grad()
def test_a_layer_called_twice_has_moments_of_its_own() -> None:
    """DeBERTa's keys read relative positions, too; the values beside them do not."""
    model = make_kind("deberta-v2", "classification")
    windows = make_windows(model.config.vocab_size)
    modules = {
        name: module
        for name, module in model.base_model.encoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    seen: dict[str, Tensor] = {}

    def slow(name: str) -> Any:
        def hook(_: Any, args: tuple[Tensor]) -> None:
            rows = args[0].reshape(-1, args[0].shape[-1]).double()
            seen[name] = seen.get(name, 0) + rows.t() @ rows

        return hook

    hooks = [module.register_forward_pre_hook(slow(name)) for name, module in modules.items()]
    moments = collect_moments(HeadedModel(model), modules, windows, progress=no_progress)
    for hook in hooks:
        hook.remove()
    assert set(moments) == set(modules)
    for name, expected in seen.items():
        torch.testing.assert_close(moments[name].double(), expected, rtol=1e-3, atol=1e-3)


def test_inputs_that_overflow_are_told_with_their_layer() -> None:
    """A model whose inputs are not finite is refused with the formats that have the range."""
    model = make_llama().requires_grad_(requires_grad=False)
    layers = install(model, PLAN)
    layers["model.layers.0.mlp.up_proj"].weight.fill_(float("inf"))
    windows = make_windows(model.config.vocab_size)
    with pytest.raises(ModelError, match=r"down_proj are not finite .* choose float32") as caught:
        start(SplitModel(model), model, layers, windows)
    assert caught.value.field == "model.dtype"
