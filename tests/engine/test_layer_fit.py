"""Specs that do not fit their model are refused with what would be accepted."""

from __future__ import annotations

from typing import Any

import pytest

from engine.layer_fit import check_fit
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ExperimentSpec, ModelSpec, resolve
from tests.tiny_models import save_llama


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> ModelShapes:
    folder = save_llama(tmp_path_factory.mktemp("models") / "llama", tied=True)
    return read_shapes(ModelSpec(source=str(folder)), data_folder=folder)


def spec_of(*overrides: str, **values: Any) -> ExperimentSpec:
    return resolve({"preset": "qat-lora", **values}, overrides).spec


def problems_of(shapes: ModelShapes, *overrides: str) -> dict[str, str]:
    base = ("quantizer.group_size=32", "adapter.r=8")
    return {
        problem.field: problem.message for problem in check_fit(spec_of(*base, *overrides), shapes)
    }


def test_fitting(shapes: ModelShapes) -> None:
    """A spec that fits has no problems, and neither has the baseline."""
    assert problems_of(shapes) == {}
    assert check_fit(resolve({"preset": "baseline"}).spec, shapes) == ()


def test_group_size(shapes: ModelShapes) -> None:
    """A group size that does not divide a layer names the layer, its inputs and the choices."""
    message = problems_of(shapes, "quantizer.group_size=64")["quantizer.group_size"]
    assert message == (
        "64 does not divide the 96 inputs of model.layers.0.mlp.down_proj; choose one of 8, 16, "
        "32, or quantizer.granularity channel"
    )


def test_block_size(shapes: ModelShapes) -> None:
    """A codebook's block that does not divide a layer is told with the blocks that do."""
    values = {"quantizer": {"grid": "normal-float", "group_size": 64}, "adapter": {"r": 8}}
    (problem,) = check_fit(spec_of(**values), shapes)
    assert problem.field == "quantizer.group_size"
    assert problem.message == (
        "64 does not divide the 96 inputs of model.layers.0.mlp.down_proj; choose one of 8, 16, 32"
    )


@pytest.mark.parametrize("group_size", [8, 16, 32])
def test_accepted_group_sizes(shapes: ModelShapes, group_size: int) -> None:
    """Every group size that is named as accepted is accepted."""
    assert problems_of(shapes, f"quantizer.group_size={group_size}") == {}


def test_channels_need_no_group_size(shapes: ModelShapes) -> None:
    """The group size does not matter per channel, nor for layers that are left out."""
    bad = "quantizer.group_size=64"
    assert problems_of(shapes, bad, "quantizer.granularity=channel") == {}
    assert problems_of(shapes, bad, "quantizer.exclude=[lm_head, '*embed*', '*down_proj']") == {}


def test_a_fraction_of_too_few_blocks(shapes: ModelShapes) -> None:
    """A fraction that gives no block more bits names the nearest ones that do."""
    message = problems_of(shapes, "quantizer.bits=2.5")["quantizer.bits"]
    assert message == "2.5 of 2 blocks gives no block 4 bits; use 2, 3, or at least 3.01"
    assert problems_of(shapes, "quantizer.bits=3.01") == {}
    assert problems_of(shapes, "quantizer.bits=2.5", "quantizer.mixing.rule=sensitivity") == {}


def test_a_fraction_of_one_layer(shapes: ModelShapes) -> None:
    """By sensitivity, too, a single layer cannot have a fraction of bits."""
    one = ("quantizer.include=['*.0.self_attn.q_proj']", "quantizer.mixing.rule=sensitivity")
    message = problems_of(shapes, "quantizer.bits=2.5", *one)["quantizer.bits"]
    assert message.startswith("2.5 on the mean needs two layers or more")


def test_uniform_codebooks(shapes: ModelShapes) -> None:
    """LoftQ's uniform codebooks of a whole tensor have no block that could fail to divide."""
    values = {"quantizer": {"grid": "loftq-uniform", "group_size": 64}, "adapter": {"r": 8}}
    (problem,) = check_fit(spec_of(**values), shapes)
    assert problem.message.endswith("choose one of 8, 16, 32, or quantizer.granularity tensor")
    assert check_fit(spec_of("quantizer.granularity=tensor", **values), shapes) == ()


def test_rank(shapes: ModelShapes) -> None:
    """A rank above the smaller side of a layer names that layer and the largest rank."""
    message = problems_of(shapes, "adapter.r=33")["adapter.r"]
    assert message == (
        "33 is more than model.layers.0.self_attn.k_proj (32 × 64) allows; use at most 32"
    )
    assert problems_of(shapes, "adapter.r=32") == {}
    assert problems_of(shapes, "adapter.r=64", "adapter.target_modules=['*q_proj']") == {}


def test_patterns_without_a_layer(shapes: ModelShapes) -> None:
    """Patterns that select nothing are refused with names that would."""
    found = problems_of(shapes, "quantizer.include=['*.experts.*']")
    assert "model.layers.0.mlp.down_proj" in found["quantizer.include"]
    found = problems_of(shapes, "adapter.target_modules=[q_proj]")
    assert set(found) == {"adapter.target_modules"}


def test_all_problems_at_once(shapes: ModelShapes) -> None:
    """Several misfits are all told."""
    found = problems_of(shapes, "quantizer.group_size=64", "adapter.r=100")
    assert set(found) == {"quantizer.group_size", "adapter.r"}


def elastic_problems(shapes: ModelShapes, *overrides: str) -> dict[str, str]:
    """Return what of a training with elastic adapters does not fit."""
    base = ("quantizer.group_size=32", "adapter.rank_space=[8, 4, 2]")
    spec = resolve({"preset": "qat-nls"}, (*base, *overrides)).spec
    return {problem.field: problem.message for problem in check_fit(spec, shapes)}


def test_a_rank_space_above_a_layers_size(shapes: ModelShapes) -> None:
    """The largest rank of a space is held against the smallest layer, at the space's field."""
    assert elastic_problems(shapes) == {}
    message = elastic_problems(shapes, "adapter.rank_space=[64, 8]")["adapter.rank_space"]
    assert message.startswith("64 is more than model.layers.0.self_attn.k_proj (32 × 64) allows")


@pytest.mark.parametrize(("grouping", "num_groups"), [("block", 2), ("kind", 7), ("layer", 14)])
def test_fixed_ranks_are_one_for_each_group(
    shapes: ModelShapes, grouping: str, num_groups: int
) -> None:
    """A list of the wrong length says both lengths; the right one and none at all are accepted."""
    fixed = ("adapter.rank_policy=fixed", f"adapter.grouping={grouping}")
    message = elastic_problems(shapes, *fixed, "adapter.ranks=[8, 4, 2]")["adapter.ranks"]
    assert f"there are 3 ranks for {num_groups} groups of layers" in message
    assert elastic_problems(shapes, *fixed, f"adapter.ranks={[4] * num_groups}") == {}
    assert elastic_problems(shapes, *fixed) == {}
