"""Promises of how numbers are written."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.quantities import (
    NOTHING,
    unit_of,
    write_bytes,
    write_count,
    write_large_count,
    write_number,
    write_score,
    write_seconds,
    write_span,
)

THIN = "\u202f"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.14159, "3.14"),
        (-0.5, "−0.500"),
        (12345.6, f"12{THIN}346"),
        (4.2e9, "4.20 × 10⁹"),
        (1e-5, "1.00 × 10⁻⁵"),
        (math.inf, "∞"),
        (math.nan, NOTHING),
        (None, NOTHING),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    """A number has three significant digits; far ones are powers of ten."""
    assert write_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.7, "1 h 00 min"),
        (90_000, "1 d 1 h"),
        (None, NOTHING),
        (math.inf, NOTHING),
    ],
)
def test_times_roll_over_at_their_units(seconds: float | None, text: str) -> None:
    """No time ever reads 60 s or 60 min."""
    assert write_seconds(seconds) == text


@given(st.integers(min_value=0, max_value=2**50))
def test_sizes_stay_below_the_next_unit(size: int) -> None:
    """A size is written with at most four digits before its unit."""
    number, unit = write_bytes(size).rsplit(" ", 1)
    assert unit in ("B", "KiB", "MiB", "GiB", "TiB")
    assert float(number.replace(THIN, "")) <= 1024


@pytest.mark.parametrize(
    ("metric", "value", "error", "text"),
    [
        ("perplexity", 18.4189, 0.2149, "18.42 ± 0.21"),
        ("perplexity", 412_512.3, 5156.4, f"412{THIN}512 ± 5{THIN}156"),
        ("perplexity", math.inf, None, "∞"),
        ("kl_divergence", 0.1714, 0.0043, "171 ± 4"),
        ("kl_divergence", 0.00041, 0.00001, "0.41 ± 0.01"),
        ("top1_agreement", 0.84283, 0.0057, "84.28 ± 0.57 %"),
        ("top1_agreement", 1.0, None, "100.00 %"),
        ("f1", 0.886, 0.011, "88.60 ± 1.10 %"),
        ("f1", 88.6, 1.1, "88.6 ± 1.1"),
        ("HasAns_f1", 45.25, None, "45.2"),
        ("rougeLsum", 0.3568, None, "35.68 %"),
        ("rougeL", 35.68, None, "35.7"),
        ("rouge1_max", 45.3, None, "45.3"),
        ("rouge1_diff", -0.9, None, "−0.90"),
        ("loss", 2.5, None, "2.50"),
    ],
)
def test_scores_follow_the_habit_of_their_metric(
    metric: str, value: float, error: float | None, text: str
) -> None:
    """Perplexity has two decimals, divergence is in thousandths, shares are in percent."""
    assert write_score(metric, value, error) == text


def test_scores_that_stand_together_have_one_unit() -> None:
    """A small score of a column that counts to 100 is no share either."""
    assert write_score("f1", 0.8) == "80.00 %"
    assert write_score("f1", 0.8, beside=(45.3, None)) == "0.80"
    assert unit_of("f1", (0.8, 0.1)) == "%"
    assert unit_of("f1", (0.8, 45.3)) == ""


def test_counts_and_spans() -> None:
    """Thousands are set apart, and a span needs both ends."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert write_count(1234567) == f"1{THIN}234{THIN}567"
    assert write_span(start, start + timedelta(seconds=75)) == "1 min 15 s"
    assert write_span(start, None) == NOTHING


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999_999, f"999{THIN}999"),
        (3**30, "2.1 × 10¹⁴"),
        (99_999_999, "1.0 × 10⁸"),
        (5**1000, "9.3 × 10⁶⁹⁸"),
    ],
)
def test_whole_numbers_of_any_size(value: int, text: str) -> None:
    """Small ones are exact, far ones have two digits and a power, however long they are."""
    assert write_large_count(value) == text
