"""Promises of the maps of layers: the error a start leaves, and widths."""

from __future__ import annotations

import json

import pytest

from app.plots import initialization_error, layer_widths, rank_map
from app.plots.layer_map import arrange_layers, shorten
from app.text import starts as text
from tests.start_samples import KINDS, LAYERS, NUM_BLOCKS, make_errors, make_widths

ERRORS = {
    "model.layers.0.mlp.up_proj": (0.4, 0.3, 0.35),
    "model.layers.1.mlp.up_proj": (0.2,),
    "lm_head": (0.5, 0.4, 0.3),
}
MEAN = (0.3667, 0.3, 0.2667)


def test_a_model_is_a_map_of_kinds_and_blocks() -> None:
    """Every layer has its cell, in the order in which a block computes, blocks by number."""
    found = arrange_layers(LAYERS)
    assert found.blocks == tuple(map(str, range(NUM_BLOCKS)))
    assert found.kinds[:4] == tuple(f"self_attn.{each}_proj" for each in "qkvo")
    assert {name for row in found.names for name in row} == set(LAYERS)
    assert set(found.kinds) == set(KINDS)


@pytest.mark.parametrize(
    ("names", "kinds", "blocks"),
    [
        (
            ("bert.encoder.layer.0.attention.self.query", "bert.pooler.dense"),
            ("attention.self.query", "bert.pooler.dense"),
            ("0", "outside"),
        ),
        (
            (
                "model.decoder.layers.0.self_attn.q_proj",
                "model.encoder.layers.0.self_attn.q_proj",
            ),
            ("encoder self_attn.q_proj", "self_attn.q_proj"),
            ("0",),
        ),
        (
            (
                "encoder.block.1.layer.0.SelfAttention.q",
                "decoder.block.1.layer.0.SelfAttention.q",
            ),
            ("encoder layer.0.SelfAttention.q", "layer.0.SelfAttention.q"),
            ("1",),
        ),
    ],
)
def test_every_family_finds_its_places(
    names: tuple[str, ...], kinds: tuple[str, ...], blocks: tuple[str, ...]
) -> None:
    """Encoders and encoder-decoders have a cell for each layer, none over another."""
    found = arrange_layers(names)
    assert (found.kinds, found.blocks) == (kinds, blocks)
    assert {name for row in found.names for name in row if name} == set(names)


def test_groups_of_an_encoder_decoder_are_apart() -> None:
    """Ranks by block of an encoder stand beside those of its decoder."""
    found = rank_map.read_map(["encoder block 0", "block 0"], [16, 8], (16, 8))
    assert found.kinds == ("encoder all layers", "all layers")
    assert found.cells == ((16,), (8,))


def test_long_names_keep_their_end() -> None:
    """An axis shows what tells layers apart; the whole name is there on hovering."""
    name = "a_part_that_goes_on_and_on." * 3 + "attention.output.dense"
    assert shorten(name).endswith("attention.output.dense")
    assert len(shorten(name)) == 30
    figure = initialization_error.draw_map(
        initialization_error.read_errors({f"m.layers.0.{name}": [0.1]}, [0.1])
    )
    assert figure["data"][0]["y"] == [name]
    assert figure["layout"]["yaxis"]["ticktext"] == [shorten(name)]
    assert name in figure["data"][0]["customdata"][0][0]


def test_names_are_shown_as_they_are() -> None:
    """What Plotly would read as a link or bold text reaches the figure escaped, whole or cut."""
    kind = 'a_part_that_goes_on.<a href="//elsewhere">q</a>&<b>'
    name = f"m.layers.0.{kind}"
    error = initialization_error.draw_map(initialization_error.read_errors({name: [0.1]}, [0.1]))
    widths = layer_widths.draw(layer_widths.read_widths({name: 2}))
    ranks = rank_map.draw(rank_map.read_map([kind], [8], (8,)))
    for figure in (error, widths, ranks):
        [trace], axis = figure["data"], figure["layout"]["yaxis"]
        assert trace["y"] == axis["tickvals"]
        drawn = json.dumps([trace["y"], trace.get("customdata"), axis["ticktext"]])
        assert "<" not in drawn
        assert "&lt;/a&gt;&amp;&lt;b&gt;" in drawn


def test_layers_without_a_cell_are_counted() -> None:
    """Two layers of one place share a cell; the label says that one is in the table alone."""
    names = ("m.layers.0.q_proj", "m.layers.0.k_proj", "n.layers.0.q_proj")
    errors = initialization_error.read_errors({name: [0.1] for name in names}, [0.1])
    for figure in (
        initialization_error.draw_map(errors),
        layer_widths.draw(layer_widths.read_widths(dict.fromkeys(names, 2))),
    ):
        assert "without a cell of their own: 1" in figure["meta"]["aria"]
    apart = layer_widths.draw(layer_widths.read_widths(dict.fromkeys(names[:2], 2)))
    assert "without a cell" not in apart["meta"]["aria"]


def test_a_layer_counts_with_its_best_error() -> None:
    """A later, worse iteration changes nothing; a layer that stopped keeps what it had."""
    cells = {}
    for iteration in (1, 2, 3):
        found = initialization_error.read_errors(ERRORS, MEAN, iteration=iteration)
        cells[iteration] = [found.best(name) for name in ERRORS]
    assert cells == {1: [0.4, 0.2, 0.5], 2: [0.3, 0.2, 0.4], 3: [0.3, 0.2, 0.3]}


@pytest.mark.parametrize(("asked", "shown"), [(None, 3), (0, 1), (2, 2), (99, 3)])
def test_an_iteration_is_one_that_was_made(asked: int | None, shown: int) -> None:
    """Whatever is asked, the map stands after an iteration there was; the last one unasked."""
    found = initialization_error.read_errors(ERRORS, MEAN, iteration=asked)
    assert found.iteration == shown


def test_colors_mean_the_same_after_every_iteration() -> None:
    """The scale spans every iteration, so that moving on shows what fell."""
    maps = [
        initialization_error.draw_map(
            initialization_error.read_errors(ERRORS, MEAN, iteration=iteration)
        )["data"][0]
        for iteration in (1, 3)
    ]
    assert {(each["zmin"], each["zmax"]) for each in maps} == {(20.0, 50.0)}
    assert maps[0]["z"] != maps[1]["z"]


def test_the_mean_is_a_line_over_iterations() -> None:
    """The line falls; a single iteration needs none."""
    found = initialization_error.read_errors(ERRORS, MEAN)
    [line] = initialization_error.draw_mean(found)["data"]
    assert line["x"] == [1, 2, 3]
    assert line["y"] == sorted(line["y"], reverse=True)
    once = initialization_error.read_errors({"a": [0.1]}, [0.1])
    assert initialization_error.draw_mean(once)["data"] == []


def test_table_of_errors_says_the_same() -> None:
    """Best and every iteration of every layer are in the table, the mean first."""
    table = initialization_error.list_table(initialization_error.read_errors(ERRORS, MEAN))
    assert table["columns"] == ["Layer", "Best", "1.", "2.", "3."]
    assert table["rows"][0] == [text.MEAN, "26.7 %", "36.7 %", "30.0 %", "26.7 %"]
    assert table["rows"][1] == [
        "model.layers.0.mlp.up_proj",
        "30.0 %",
        "40.0 %",
        "30.0 %",
        "35.0 %",
    ]
    assert table["rows"][2][2:] == ["20.0 %", "", ""]


def test_maps_speak_to_screen_readers_and_are_plain_json() -> None:
    """The label says how many layers, the mean and the worst; nothing but JSON is in a figure."""
    errors = make_errors(2)
    found = initialization_error.read_errors(errors, [0.3, 0.2, 0.2, 0.2, 0.2])
    figure = initialization_error.draw_map(found)
    json.dumps([figure, initialization_error.draw_mean(found)], allow_nan=False)
    assert "210 layers" in figure["meta"]["aria"]
    assert "after 5 of 5" in figure["meta"]["aria"]
    widths = layer_widths.draw(layer_widths.read_widths(make_widths().layers))
    json.dumps(widths, allow_nan=False)
    assert "40 with 4 bits" in widths["meta"]["aria"]


def test_widths_are_colored_steps_with_numbers() -> None:
    """Each width has one color and stands in its cells; the table has its sensitivity."""
    widths = {"m.layers.0.a": 4, "m.layers.1.a": 2, "m.layers.2.a": 2}
    found = layer_widths.read_widths(widths, {"m.layers.0.a": {4: 0.001, 2: 0.5}})
    [trace] = layer_widths.draw(found)["data"]
    assert trace["text"] == [["4", "2", "2"]]
    assert trace["z"] == [[1, 0, 0]]
    assert len({color for _, color in trace["colorscale"]}) == 2
    assert layer_widths.list_table(found)["rows"] == [
        ["m.layers.0.a", "4", "0.00100"],
        ["m.layers.1.a", "2", "–"],
        ["m.layers.2.a", "2", "–"],
    ]
    assert layer_widths.list_table(layer_widths.read_widths(widths))["columns"] == ["Layer", "Bits"]
