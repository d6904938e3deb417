"""A whole model's data-aware start: what is observed, and what it wins."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.initialize.data_aware import start_data_aware
from engine.initialize.moments import collect_moments
from engine.layers.head import SplitModel
from engine.layers.swap import LayerPlan, install
from engine.specs import IntegerQuantizer, NoAdapter
from tests.tiny_models import make_llama

PLAN = LayerPlan(IntegerQuantizer(bits=3, group_size=8), NoAdapter(), seed=0)


def no_progress(done: int, total: int) -> None:
    assert 0 < done <= total


def make_windows(vocabulary: int) -> Tensor:
    return torch.randint(vocabulary, (6, 24), generator=torch.Generator().manual_seed(5))


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
        for start in ("rounded", "data-aware"):
            model = make_llama()
            layers = install(model, PLAN)
            split = SplitModel(model)
            if start == "data-aware":
                start_data_aware(split, model, layers, windows, progress=no_progress)
            errors[start] = float((split.hidden(windows) - original).square().mean())
    assert errors["data-aware"] < errors["rounded"]


def test_the_head_keeps_its_weights() -> None:
    """A quantized head is rounded but not compensated: it must stay the teacher's."""
    model = make_llama()
    before = model.lm_head.weight.clone()
    everything = IntegerQuantizer(bits=3, group_size=8, exclude=())
    layers = install(model, LayerPlan(everything, NoAdapter(), seed=0))
    windows = make_windows(model.config.vocab_size)
    start_data_aware(SplitModel(model), model, layers, windows, progress=no_progress)
    assert "lm_head" in layers
    assert torch.equal(layers["lm_head"].weight, before)
