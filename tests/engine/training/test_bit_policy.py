"""Promises of the choice of widths: a function of seed and step, and what each policy says."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from pydantic import TypeAdapter

from engine.errors import SpecError
from engine.specs.bit_policy import BitPolicySpec, CyclicBits
from engine.training.bit_policy import BitPolicy, build_bit_policy, cyclic_width
from engine.training.configuration import Configuration
from tests.engine.tiny_layers import integer, quantize
from tests.tiny_models import make_llama

WIDTHS = (8, 6, 4)


@pytest.fixture(scope="module")
def layers() -> Any:
    """Return layers that know every width from 2 to 8."""
    return quantize(make_llama(), integer(bits=4), widths=tuple(range(8, 1, -1)))


def policy_of(
    layers: Any, name: str, *, steps: int = 12, seed: int = 5, adapted: bool = True, **values: Any
) -> Any:
    """Return a policy over the tiny Llama's layers."""
    if name not in ("cyclic", "fixed"):
        values = {"widths": WIDTHS} | values
    spec: Any = TypeAdapter(BitPolicySpec).validate_python({"policy": name} | values)
    return build_bit_policy(
        spec, layers, integer(bits=4), total_steps=steps, seed=seed, trains_unrounded=adapted
    )


def widths_of(policy: BitPolicy, step: int) -> list[int | None]:
    """Return the width of each configuration of a step."""
    return [each.width for each in policy.configurations(step)]


def bits_of(configuration: Configuration) -> list[int | None]:
    """Return the width of each layer."""
    return [setting.bits for setting in configuration.settings.values()]


def test_fixed_widths_have_no_policy(layers: Any) -> None:
    """A training at the quantizer's own widths applies no layer map at all."""
    assert policy_of(layers, "fixed") is None


@pytest.mark.parametrize("order", ["high-to-low", "low-to-high", "sandwich"])
def test_a_width_without_anything_to_train_is_followed_alone(layers: Any, order: str) -> None:
    """Without adapters 16 bits is what the others follow, and no configuration of its own."""
    values = {"widths": (16, 6, 4), "order": order}
    whole = policy_of(layers, "switchable", **values)
    policy = policy_of(layers, "switchable", adapted=False, **values)
    expected = [each for each in whole.configurations(1) if each.width != 16]
    assert [each.width for each in expected] in ([6, 4], [4, 6])
    assert list(policy.configurations(1)) == expected
    assert all({setting.bits for setting in each.follows[0].values()} == {16} for each in expected)
    assert policy.mean_bits(1) == 5


def test_high_to_low_and_low_to_high_train_every_width(layers: Any) -> None:
    """Both train the same configurations in every step, each following all that are higher."""
    down, up = (policy_of(layers, "switchable", order=f"{o}") for o in
                ("high-to-low", "low-to-high"))  # fmt: skip
    for step in (1, 12):
        assert widths_of(down, step) == [8, 6, 4]
        assert up.configurations(step) == tuple(reversed(down.configurations(step)))
    highest, middle, lowest = down.configurations(1)
    assert highest.follows == ()
    assert middle.follows == (highest.settings,)
    assert lowest.follows == (highest.settings, middle.settings)
    assert set(bits_of(middle)) == {6}
    assert all(each.trains_head for each in down.configurations(1))


def test_without_a_cascade_nobody_is_followed(layers: Any) -> None:
    """A cascade weight of 0 leaves every width to itself, in every order."""
    for order in ("high-to-low", "low-to-high", "sandwich", "one-after-another"):
        policy = policy_of(layers, "switchable", order=order, cascade_weight=0)
        assert not any(each.follows for step in (1, 12) for each in policy.configurations(step))


def test_a_sandwich_draws_between_the_extremes(layers: Any) -> None:
    """Highest, a drawn one and lowest, in this order, each following those of its own step."""
    policy = policy_of(layers, "switchable", widths=(8, 7, 6, 5, 4), order="sandwich")
    steps = [policy.configurations(step) for step in range(1, 301)]
    assert {(each[0].width, each[2].width) for each in steps} == {(8, 4)}
    drawn = Counter(each[1].width for each in steps)
    assert set(drawn) == {7, 6, 5}
    assert min(drawn.values()) > 60
    assert all(each[2].follows == (each[0].settings, each[1].settings) for each in steps)
    two = policy_of(layers, "switchable", widths=(8, 4), order="sandwich")
    assert widths_of(two, 3) == [8, 4]


@pytest.mark.parametrize(("steps", "expected"), [(12, [4, 4, 4]), (10, [4, 3, 3]), (3, [1, 1, 1])])
@pytest.mark.parametrize("name", ["curriculum", "switchable"])
def test_widths_in_turn_have_equal_parts(
    layers: Any, name: str, steps: int, expected: list[int]
) -> None:
    """Curriculum and one-after-another go down through the widths, in parts that differ by one."""
    values = {"order": "one-after-another"} if name == "switchable" else {}
    policy = policy_of(layers, name, steps=steps, **values)
    trained = [widths_of(policy, step) for step in range(1, steps + 1)]
    assert trained == sorted(trained, reverse=True)
    assert [trained.count([width]) for width in WIDTHS] == expected


def test_finished_widths_are_followed_and_keep_their_head(layers: Any) -> None:
    """One after another, a width follows all before it, and only the first moves a shared head."""
    policy = policy_of(layers, "switchable", order="one-after-another")
    found = [policy.configurations(step)[0] for step in (1, 5, 9)]
    assert [each.trains_head for each in found] == [True, False, False]
    assert [len(each.follows) for each in found] == [0, 1, 2]
    assert found[2].follows == (found[0].settings, found[1].settings)


@pytest.mark.parametrize(("steps", "cycles"), [(64, 2), (100, 32), (100, 7), (5, 5), (33, 1)])
@pytest.mark.parametrize("bounds", [(4, 8), (3, 8), (5, 5)])
def test_the_cyclic_width_is_the_published_formula(
    layers: Any, steps: int, cycles: int, bounds: tuple[int, int]
) -> None:
    """At every step b(t) = rint(b_min + ½(b_max − b_min)(1 + cos(π·(t mod P)/P + π)))."""
    lowest, highest = bounds
    policy = policy_of(
        layers, "cyclic", steps=steps, lowest=lowest, highest=highest, num_cycles=cycles
    )
    period = int(steps / cycles)
    for t in range(steps):
        wave = 1 + math.cos(math.pi * (t % period) / period + math.pi)
        assert widths_of(policy, t + 1) == [round(lowest + 0.5 * (highest - lowest) * wave)]


@pytest.mark.parametrize("period", [2, 3, 5, 8, 40])
def test_a_cycle_rises_from_the_lowest_to_near_the_highest(period: int) -> None:
    """Every cycle begins at the lowest width and never falls; long ones end at the highest.

    The last step is at (P − 1)/P of the cosine, as published, so a cycle of three ends a bit below.
    """
    spec = CyclicBits(lowest=4, highest=8, num_cycles=4)
    for cycle in range(4):
        steps = range(cycle * period + 1, (cycle + 1) * period + 1)
        widths = [cyclic_width(spec, step, 4 * period) for step in steps]
        assert widths[0] == 4
        assert widths == sorted(widths)
        assert widths[-1] == {2: 6, 3: 7}.get(period, 8)


def test_random_widths_follow_from_seed_and_step_alone(layers: Any) -> None:
    """Two policies of one seed agree at any step in any order; another seed draws others."""
    first, second = (policy_of(layers, "random", scope="layer") for _ in range(2))
    later = [second.choices(step) for step in (9, 3, 7)]
    assert [first.choices(step) for step in (9, 3, 7)] == later
    other = policy_of(layers, "random", scope="layer", seed=6)
    assert [first.choices(step) for step in (1, 2, 3)] != [other.choices(s) for s in (1, 2, 3)]


@pytest.mark.parametrize(
    ("weights", "expected"), [((), (1000, 1000, 1000)), ((3, 2, 1), (1500, 1000, 500))]
)
def test_widths_are_as_likely_as_asked(
    layers: Any, weights: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    """Over 3,000 steps each width comes up as often as its weight says, within 5 sd."""
    policy = policy_of(layers, "random", weights=weights)
    counts = Counter(widths_of(policy, step)[0] for step in range(1, 3001))
    for width, count in zip(WIDTHS, expected, strict=True):
        assert abs(counts[width] - count) < 140


@pytest.mark.parametrize(("scope", "groups"), [("model", 1), ("block", 2), ("layer", 14)])
def test_a_draw_is_shared_by_its_scope(layers: Any, scope: str, groups: int) -> None:
    """One width for the model, for each block, or for each layer."""
    policy = policy_of(layers, "random", scope=scope)
    assert len(policy.members) == groups
    (drawn,) = policy.configurations(2)
    for names in policy.members:
        assert len({drawn.settings[name].bits for name in names}) == 1
    assert [drawn.settings[name].bits for names in policy.members for name in names[:1]] == list(
        policy.choices(2)[0].widths
    )
    assert (drawn.width is None) == (len(set(bits_of(drawn))) > 1)


def test_the_mean_width_counts_weights(layers: Any) -> None:
    """The mean is over weights and configurations: larger layers count more."""
    assert policy_of(layers, "switchable").mean_bits(1) == 6.0
    policy = policy_of(layers, "random", scope="layer")
    (drawn,) = policy.configurations(3)
    sizes = {name: layer.weight.numel() for name, layer in layers.items()}
    expected = sum(drawn.settings[name].bits * size for name, size in sizes.items())
    assert policy.mean_bits(3) == pytest.approx(expected / sum(sizes.values()))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("cyclic", {"num_cycles": 6}, r"num_cycles: 6 cycles need at least as many .* at most 5"),
        ("curriculum", {"widths": (8, 7, 6, 5, 4, 3)}, r"widths: 6 widths one after another need"),
        (
            "switchable",
            {"widths": (8, 7, 6, 5, 4, 3), "order": "one-after-another"},
            r"training\.bit_policy\.widths: 6 widths one after another .* raise training.max_steps",
        ),
    ],
)
def test_too_few_steps_are_refused(
    layers: Any, name: str, values: dict[str, Any], message: str
) -> None:
    """Five steps have no place for six cycles or six widths in turn, and say so at the field."""
    with pytest.raises(SpecError, match=message):
        policy_of(layers, name, steps=5, **values)
