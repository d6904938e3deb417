"""Promises of the bit map benchmark: it measures the real page, on a small map."""

from __future__ import annotations

import shutil

import pytest

from tests.benchmarks import bit_map


@pytest.mark.browser
def test_clicks_and_slider_steps_are_measured() -> None:
    """Every figure is there and a positive time, and those with a target are held to it."""
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        pytest.skip("chromium is not installed")
    report = bit_map.run(rounds=3, num_blocks=3)
    assert report.figures["layers"] == 21
    assert set(report.met) == set(bit_map.TARGETS)
    assert all(value > 0 for value in report.figures.values())
