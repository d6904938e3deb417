"""Promises of the figures of sampled ranks and of the rank map."""

from __future__ import annotations

import json

import pytest

from app.plots import rank_map, sampled_ranks
from app.text import ranks as text

SPACE = (16, 12, 8)
COUNTS = {
    "groups": ["block 0", "block 1"],
    "rank_space": [16, 12, 8],
    "counts": [[5, 3, 2], [1, 4, 5]],
}
MEMBERS = {
    f"block {block}": [f"model.layers.{block}.self_attn.{kind}_proj" for kind in "qk"]
    for block in range(2)
}


def test_every_group_has_a_part_per_rank() -> None:
    """The parts of a bar add up to the steps, the smallest rank at the bottom, all apart."""
    figure = sampled_ranks.draw(sampled_ranks.read_samples(COUNTS))
    assert [trace["name"] for trace in figure["data"]] == ["rank 8", "rank 12", "rank 16"]
    heights = [sum(parts) for parts in zip(*(t["y"] for t in figure["data"]), strict=True)]
    assert heights == [10, 10]
    assert len({trace["marker"]["color"] for trace in figure["data"]}) == len(SPACE)


def test_table_of_samples_says_the_same() -> None:
    """Every number of the figure is in its table."""
    table = sampled_ranks.list_table(sampled_ranks.read_samples(COUNTS))
    assert table["columns"] == ["Group", "rank 16", "rank 12", "rank 8"]
    assert table["rows"][1] == ["block 1", "1", "4", "5"]


@pytest.mark.parametrize("recorded", [None, {}, {**COUNTS, "counts": [[0, 0, 0], [0, 0, 0]]}])
def test_nothing_sampled_is_said(recorded: dict[str, object] | None) -> None:
    """Before the first step there is a sentence instead of a figure."""
    figure = sampled_ranks.draw(sampled_ranks.read_samples(recorded))
    assert figure["data"] == []
    assert figure["meta"]["empty"] == text.SAMPLED_EMPTY


def test_layers_of_a_block_are_a_column() -> None:
    """With known layers each has its cell, with its number and a color by rank."""
    found = rank_map.read_map(["block 0", "block 1"], [16, 8], SPACE, members=MEMBERS)
    assert found.kinds == ("self_attn.q_proj", "self_attn.k_proj")
    assert found.cells == ((16, 8), (16, 8))
    (trace,) = rank_map.draw(found)["data"]
    assert trace["z"][0] == [2, 0]
    assert trace["text"][0] == ["16", "8"]


def test_groups_alone_are_a_strip() -> None:
    """Where the layers are not known, a block or a kind is one cell."""
    blocks = rank_map.read_map(["block 0", "block 10", "block 2"], [16, 8, 12], SPACE)
    assert (blocks.kinds, blocks.blocks) == ((text.ALL_KINDS,), ("0", "2", "10"))
    kinds = rank_map.read_map(["self_attn.q_proj", "mlp.up_proj"], [16, 8], SPACE)
    assert kinds.kinds == ("self_attn.q_proj", "mlp.up_proj")
    assert kinds.blocks == (text.ALL_BLOCKS,)


def test_layers_without_adapter_are_gaps() -> None:
    """A layer of its own is placed by its name; what has no adapter stays empty."""
    names = ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj", "lm_head"]
    found = rank_map.read_map(names, [16, 12, 8], SPACE)
    assert found.blocks == ("0", "1", text.OUTSIDE)
    assert found.cells[0] == (16, None, None)
    (trace,) = rank_map.draw(found)["data"]
    assert trace["text"][0] == ["16", "", ""]
    assert trace["z"][2] == [None, None, 0]


def test_color_scale_has_a_step_per_rank() -> None:
    """The steps cover the scale without gaps, so that a rank has one color."""
    found = rank_map.read_map(["block 0"], [16], SPACE)
    (trace,) = rank_map.draw(found)["data"]
    scale = trace["colorscale"]
    assert [at for at, _ in scale] == [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1]
    assert scale[0][1] == scale[1][1] != scale[2][1]


def test_map_has_a_table_and_goes_over_the_wire() -> None:
    """Each group's rank is in the table; the figure is plain JSON."""
    found = rank_map.read_map(["block 0", "block 1"], [16, 8], SPACE)
    assert rank_map.list_table(found)["rows"] == [["block 0", "16"], ["block 1", "8"]]
    assert json.loads(json.dumps(rank_map.draw(found))) == rank_map.draw(found)
