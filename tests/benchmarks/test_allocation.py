"""The benchmark of allocation compares like with like; on a small problem."""

from __future__ import annotations

from tests.benchmarks import allocation


def test_every_figure_is_told() -> None:
    """On 28 layers every target has its figure, and the map is near what the MILP proves."""
    report = allocation.measure(bits=(2.75, 4.0), num_seeds=1, num_blocks=4)
    assert set(report.targets) <= set(report.figures)
    assert 0 <= report.figures["largest_gap_percent"] <= 0.5
    assert report.figures["largest_gap_percent"] <= report.figures["largest_bound_percent"]
    assert report.environment["problems"] == 4
    assert report.environment["layers"] == 28


def test_scores_are_as_real_ones() -> None:
    """Layers have few sizes, and noise puts some scores out of order and below zero."""
    choices = allocation.draw_choices(0, noise=0.02)
    assert len(choices) == 448
    assert len({each.stored_bits for each in choices}) == 3
    assert any(min(each.losses) < 0 for each in choices)
    assert any(list(each.losses) != sorted(each.losses, reverse=True) for each in choices)
