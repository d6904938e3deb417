"""Groups of layers that share a rank, from shapes alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.estimates.rank_space import count_groups, list_groups
from engine.models.shapes import ModelShapes, read_shapes
from engine.specs import ExperimentSpec, ModelSpec, resolve
from tests.tiny_models import save_llama

KINDS = 7


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> ModelShapes:
    """Return the sizes of a Llama of two blocks."""
    folder: Path = save_llama(tmp_path_factory.mktemp("models") / "llama", tied=True)
    return read_shapes(ModelSpec(source=str(folder)), data_folder=folder)


def spec_of(*overrides: str) -> ExperimentSpec:
    """Return the elastic preset with these changes."""
    return resolve({"preset": "qat-nls"}, overrides).spec


@pytest.mark.parametrize(
    ("grouping", "named", "per_block"),
    [
        ("block", "block 0", 1),
        ("layer", "model.layers.0.self_attn.q_proj", KINDS),
    ],
)
def test_groups_by_block_and_layer(
    shapes: ModelShapes, grouping: str, named: str, per_block: int
) -> None:
    """One group per block, or one per adapted layer, block by block."""
    groups = list_groups(spec_of(f"adapter.grouping={grouping}"), shapes)
    assert named in [group.name for group in groups[:per_block]]
    assert len(groups) == per_block * shapes.num_blocks
    assert sum(len(group.layers) for group in groups) == KINDS * shapes.num_blocks


def test_groups_by_kind(shapes: ModelShapes) -> None:
    """Each kind is one group with a layer of every block, whatever their number."""
    groups = list_groups(spec_of("adapter.grouping=kind"), shapes)
    assert len(groups) == KINDS
    assert {len(group.layers) for group in groups} == {shapes.num_blocks}
    assert "self_attn.q_proj" in {group.name for group in groups}


def test_only_adapted_layers_count(shapes: ModelShapes) -> None:
    """A block whose layers are all left out has no rank."""
    only_last = "adapter.target_modules=['*.1.*_proj']"
    assert [group.name for group in list_groups(spec_of(only_last), shapes)] == ["block 1"]


def test_other_adapters_have_no_groups(shapes: ModelShapes) -> None:
    """Neither a fixed rank nor no adapter spans a rank space."""
    for preset in ("qat-lora", "rtn"):
        assert count_groups(resolve({"preset": preset}).spec, shapes) == 0
