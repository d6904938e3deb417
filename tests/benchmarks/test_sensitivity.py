"""Promises of the sensitivity benchmark: it measures real runs, on a model made for a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.layers.layer_map import read_map
from engine.specs import IntegerQuantizer
from tests.benchmarks import sensitivity
from tests.engine.tiny_layers import some_tokens
from tests.tiny_models import make_llama


def test_ways_of_scoring_are_timed_and_compared(tmp_path: Path) -> None:
    """Every target has its figure, and both ablations find the same scores."""
    model = sensitivity.install_all(make_llama(), IntegerQuantizer(bits=4, group_size=16))
    report = sensitivity.run(model, some_tokens(5, 12), num_layers=9, folder=tmp_path)
    assert set(report.targets) <= set(report.figures)
    assert report.figures["largest_difference"] <= 1e-3
    assert report.figures["gradient_speed"] > 0
    assert "18 pairs" in report.environment["ablation"]
    obvious = report.figures["obvious_seconds"]
    speed = obvious / report.figures["ablation_with_reuse_seconds"]
    assert report.figures["obvious_speed"] == pytest.approx(speed)


def test_the_obvious_loop_finds_the_same_scores() -> None:
    """A map applied and evaluated loses what both ablations measured, at pairs of both widths."""
    model = sensitivity.install_all(make_llama(), IntegerQuantizer(bits=4, group_size=16))
    before = read_map(model.start.layers)
    pairs = sensitivity.choose_pairs(model, 9)
    found = sensitivity.measure_ablations(model, some_tokens(5, 12), pairs)
    kept, whole, obvious = (each.scores for each in found)
    assert [each.num_scores for each in found] == [18, 18, sensitivity.NUM_OBVIOUS]
    assert {bits for scores in obvious.values() for bits in scores} == set(sensitivity.MEASURED)
    for unit, scores in obvious.items():
        for bits, value in scores.items():
            assert value == pytest.approx(kept[unit][bits], rel=1e-2, abs=1e-7)
            assert value == pytest.approx(whole[unit][bits], rel=1e-2, abs=1e-7)
    assert read_map(model.start.layers) == before


def test_layers_are_spread_over_the_model() -> None:
    """The chosen layers lie in all blocks; asking for more than there are takes all."""
    model = sensitivity.install_all(make_llama(), IntegerQuantizer(bits=4, group_size=16))
    few = sensitivity.choose_pairs(model, 4)
    assert len(few) == 4 * len(sensitivity.MEASURED)
    assert {unit.split(".")[2] for unit, _ in few} == {"0", "1"}
    assert len(sensitivity.choose_pairs(model, 99)) == 14 * 2


def test_a_wrong_count_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """No layers at all cannot be measured; the sentence says what can."""
    with pytest.raises(SystemExit):
        sensitivity.main(["--layers", "0"])
    assert "from 1" in capsys.readouterr().err
