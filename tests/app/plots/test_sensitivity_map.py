"""Promises of the map of scores that need no store."""

from __future__ import annotations

import pytest

from app.plots.sensitivity_map import draw
from app.plots.sensitivity_scores import read_sensitivity
from tasks.store.records import SensitivityScoreRecord


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        (
            (1e-4, 1e-1),
            ["10<sup>−4</sup>", "10<sup>−3</sup>", "10<sup>−2</sup>", "10<sup>−1</sup>"],
        ),
        ((0.15, 0.7), ["0.200", "0.500"]),
        ((0.3, 0.4), ["0.300", "0.400"]),
    ],
)
def test_a_logarithmic_scale_has_ticks(values: tuple[float, float], ticks: list[str]) -> None:
    """Powers of ten over decades, steps of 1, 2 and 5 within one, and else both ends."""
    scores = [
        SensitivityScoreRecord(1, f"model.layers.{at}.q", 2, "kl_divergence", value, None, 8)
        for at, value in enumerate(values)
    ]
    found = read_sensitivity(scores, "kl_divergence", unit="layer")
    bar = draw(found, 2, is_log=True)["data"][0]["colorbar"]
    assert bar["ticktext"] == ticks
    assert len(bar["tickvals"]) == len(ticks)
