"""Promises of the benchmark of solved maps: equal sizes, and real measurements of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.allocation.choices import LayerChoices, Table, build_table
from engine.specs import IntegerQuantizer
from tests.benchmarks import sensitivity, solved_maps
from tests.engine.tiny_layers import some_tokens
from tests.tiny_models import make_llama

WIDTHS = (2, 3, 4, 6, 8)


def make_table(num_layers: int = 12) -> Table:
    """Return layers of two sizes, named in order."""
    sizes = [100 + 50 * (place % 2) for place in range(num_layers)]
    return build_table(
        LayerChoices(
            f"layer{place:02}", size, WIDTHS, (5.0, 4.0, 3.0, 2.0, 1.0),
            tuple(size * width + 8 for width in WIDTHS),
        )
        for place, size in enumerate(sizes)
    )  # fmt: skip


def test_every_map_is_measured(tmp_path: Path) -> None:
    """Every target has its figure, every map its divergence, perplexity and size, within budget."""
    quantizer = IntegerQuantizer(bits=4, granularity="channel")
    model = sensitivity.install_all(make_llama(), quantizer)
    texts = solved_maps.Texts(some_tokens(4, 12), some_tokens(5, 12), "made up")
    report = solved_maps.run(model, texts, quantizer, num_random=2, folder=tmp_path)
    assert set(report.targets) <= set(report.figures)
    for budget in ("3", "2.5"):
        for name in ("solved", "first-layers", "random-0", "random-1"):
            assert report.figures[f"kl.{budget}.{name}"] > 0
            assert report.figures[f"perplexity.{budget}.{name}"] > 1
            assert 2 < report.figures[f"effective_bits.{budget}.{name}"] <= float(budget)
    assert all(layer.active_bits == 16 for layer in model.start.layers.values())


@pytest.mark.parametrize("limit", [3100, 3700, 4300, 6200])
def test_others_use_the_room_there_is(limit: int) -> None:
    """No map is over the budget, and none leaves room that a further step would fit into."""
    table = make_table()
    for found, widths in (
        (solved_maps.promote_first(table, limit), (2, 4)),
        (solved_maps.draw_map(table, limit, 1), (2, 3, 4)),
    ):
        stored = round(solved_maps.count_bits(table, found) * table.num_weights)
        assert stored <= limit
        assert set(found.values()) == {4} or limit - stored < 150 * (widths[1] - widths[0])


def test_the_rule_promotes_the_first_layers() -> None:
    """The higher width is that of the first layers; maps of other seeds differ."""
    table = make_table()
    found = list(solved_maps.promote_first(table, 4400).values())
    assert found[:4] == [4, 4, 4, 4]
    assert found[-4:] == [2, 2, 2, 2]
    drawn = [solved_maps.draw_map(table, 4000, seed) for seed in range(4)]
    assert drawn[0] == solved_maps.draw_map(table, 4000, 0)
    assert any(each != drawn[0] for each in drawn)


def test_a_wrong_count_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """One window has no spread, and no random map is none to compare with; the sentence says so."""
    for wrong in (["--windows", "1"], ["--random", "0"]):
        with pytest.raises(SystemExit):
            solved_maps.main(wrong)
        assert "--windows is a whole number from 2" in capsys.readouterr().err
