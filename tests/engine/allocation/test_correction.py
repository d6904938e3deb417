"""The learned correction: honest intervals, narrower with every measurement, in order."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from scipy import stats

from engine.allocation.correction import CENTER, PRIOR, Correction, learn

NOTHING = learn(())


def draw_pairs(
    rng: np.random.Generator, count: int, *, level: float, slope: float, noise: float
) -> list[tuple[float, float]]:
    """Return predicted and measured losses as the model has them, from 0.003 to 3 nats."""
    predicted = np.exp(rng.uniform(np.log(0.003), np.log(3), count))
    place = np.maximum(0, np.log(predicted / CENTER))
    ratio = level + slope * place + noise * rng.normal(size=count)
    return list(zip(predicted.tolist(), (predicted * np.exp(ratio)).tolist(), strict=True))


def test_nothing_measured() -> None:
    """Without measurements the sum stands as it is, and may be off by a factor of 2.6."""
    found = NOTHING.predict(0.1)
    assert NOTHING.num_pairs == 0
    assert found.value == pytest.approx(0.1)
    factor = exp(stats.t.ppf(0.975, PRIOR.weight) * (PRIOR.level**2 + PRIOR.noise**2) ** 0.5)
    assert found.high / 0.1 == pytest.approx(factor, rel=0.02)
    assert 0.1 / found.low == pytest.approx(factor, rel=0.02)


@pytest.mark.parametrize("count", [0, 1, 3, 10])
def test_covers_what_it_says(count: int) -> None:
    """Of 600 further measurements of maps that follow the prior about 95 % are inside."""
    rng = np.random.default_rng(count)
    inside = 0
    for _ in range(600):
        noise = PRIOR.noise * (PRIOR.weight / rng.chisquare(PRIOR.weight)) ** 0.5
        level, slope = (PRIOR.level, PRIOR.slope) * rng.normal(size=2) * noise / PRIOR.noise
        slope += PRIOR.tendency
        *pairs, (predicted, measured) = draw_pairs(
            rng, count + 1, level=level, slope=slope, noise=noise
        )
        found = learn(pairs).predict(predicted)
        inside += found.low <= measured <= found.high
    assert 0.925 <= inside / 600 <= 0.975


def test_more_measurements_narrow_it() -> None:
    """The interval shrinks to the noise's own, and the value comes to what is measured."""
    rng = np.random.default_rng(3)
    pairs = draw_pairs(rng, 60, level=log(1.8), slope=0.1, noise=0.05)
    widths = []
    for count in (0, 2, 8, 60):
        found = learn(pairs[:count]).predict(0.1)
        widths.append(log(found.high / found.low))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 4
    assert found.value == pytest.approx(0.18, rel=0.05)


def test_one_outlier() -> None:
    """One measurement of ten that is 20 times off widens the interval and does not carry it off."""
    pairs = draw_pairs(np.random.default_rng(5), 9, level=0, slope=0, noise=0.1)
    before, after = learn(pairs), learn([*pairs, (0.1, 2.0)])
    assert before.predict(0.1).value == pytest.approx(0.1, rel=0.15)
    found, narrow = after.predict(0.1), before.predict(0.1)
    assert 0.1 < found.value < 0.15
    assert found.low < 0.1 < found.high
    assert found.high - found.low > 2 * (narrow.high - narrow.low)


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [(0.1, 0.3)],
        [(0.01, 1.0), (1.0, 0.01)],
        [(0.001, 5.0), (0.01, 0.5), (0.1, 0.05), (1.0, 0.005)] * 40,
    ],
)
def test_never_turns_the_order_around(pairs: list[tuple[float, float]]) -> None:
    """What is predicted to lose more is still said to, whatever was measured."""
    correction = learn(pairs)
    values = [correction.predict(value).value for value in np.geomspace(1e-4, 10, 50)]
    assert all(np.diff(values) >= -1e-12)
    assert all(value > 0 for value in values)


def test_nothing_to_correct() -> None:
    """A sum of nothing or less stands, with the interval of its own standard error."""
    correction = learn([(0.1, 0.3)] * 5)
    for predicted in (0.0, -0.02):
        found = correction.predict(predicted, 0.01)
        assert found.value == predicted
        ends = (predicted - 0.0196, predicted + 0.0196)
        assert (found.low, found.high) == pytest.approx(ends, abs=1e-6)
    assert learn([(0.0, 0.1), (-1.0, 0.1), (0.1, 0.0), (0.1, float("nan"))]) == NOTHING


def test_standard_error_widens() -> None:
    """Noise of the scores adds to the interval on both sides and leaves the value alone."""
    plain, noisy = NOTHING.predict(0.1), NOTHING.predict(0.1, 0.1)
    assert noisy.value == plain.value
    assert noisy.low < plain.low
    assert noisy.high > plain.high


@pytest.mark.parametrize("predicted", [1e-9, 0.01, 0.5, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.8, 10.0, 1e6])
def test_never_below_nothing(predicted: float, share: float) -> None:
    """However noisy the scores, a loss above zero is said to stay there, within a finite end."""
    found = NOTHING.predict(predicted, share * predicted)
    assert 0 <= found.low < found.value < found.high < float("inf")
    if share <= 0.8:
        assert found.low > predicted / 10


def test_small_errors_count_alike_on_both_sides() -> None:
    """Where the scores' error is all there is and is small, both ends are that far off."""
    sure = Correction(0, (0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)), 0.0, 8.0)
    found = sure.predict(0.5, 0.001)
    assert found.high - found.value == pytest.approx(0.00196, rel=0.01)
    assert found.value - found.low == pytest.approx(0.00196, rel=0.01)


@pytest.mark.parametrize("count", [0, 1, 4, 30, 1000])
def test_quantile(count: int) -> None:
    """The interval of a line that is known is Student's t, as scipy has it."""
    freedom = PRIOR.weight + count
    sure = Correction(count, (0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)), 0.5, freedom)
    assert log(sure.predict(1.0).high) == pytest.approx(
        0.5 * stats.t.ppf(0.975, freedom), rel=0.004
    )
