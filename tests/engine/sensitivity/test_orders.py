"""What is known without torch: units, pairs, problems, agreement and the file of facts."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from engine.errors import SpecError
from engine.sensitivity.agreement import compare
from engine.sensitivity.checks import check_sensitivity, iter_layer_problems, list_pairs
from engine.sensitivity.layer_facts import (
    Histogram,
    LayerFact,
    LayerFacts,
    read_layer_facts,
    write_layer_facts,
)
from engine.sensitivity.units import list_units
from engine.specs import SensitivitySpec
from engine.specs.resolve import resolve_sensitivity

LLAMA = tuple(
    f"model.layers.{block}.{kind}"
    for block in range(2)
    for kind in ("self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj")
)


def test_units_are_layers_blocks_and_kinds() -> None:
    """Layers keep their names, blocks that of the block, kinds the last part; order is kept."""
    names = ("model.embed_tokens", *LLAMA, "lm_head")
    assert list_units(names, "layer") == {name: (name,) for name in names}
    blocks = list_units(names, "block")
    assert list(blocks) == ["model.embed_tokens", "model.layers.0", "model.layers.1", "lm_head"]
    assert blocks["model.layers.1"] == LLAMA[3:]
    kinds = list_units(names, "kind")
    assert kinds["q_proj"] == (LLAMA[0], LLAMA[3])
    assert kinds["lm_head"] == ("lm_head",)


def test_kinds_of_one_name_in_a_block_are_told_apart() -> None:
    """GPT-2's two c_proj are two kinds; an encoder has kinds of its own."""
    names = ("h.0.attn.c_attn", "h.0.attn.c_proj", "h.0.mlp.c_proj", "h.1.attn.c_proj")
    assert list(list_units(names, "kind")) == ["c_attn", "attn.c_proj", "mlp.c_proj"]
    stacks = ("encoder.block.0.layer.0.q", "decoder.block.0.layer.0.q")
    assert list(list_units(stacks, "kind")) == ["encoder q", "q"]
    assert list(list_units(stacks, "block")) == ["encoder.block.0", "decoder.block.0"]


def spec_of(**asked: Any) -> SensitivitySpec:
    """Return a complete spec."""
    return resolve_sensitivity(asked)


def test_pairs_leave_out_the_start() -> None:
    """A unit is scored where any of its layers changes, the lowest width of all units first."""
    spec = spec_of(
        widths=[8, 4],
        start_bits=8,
        start_map=["model.layers.1.*=4"],
        method={"method": "ablation"},
        unit="block",
    )
    pairs = list_pairs(spec, list_units(LLAMA, "block"))
    assert pairs == (("model.layers.0", 4), ("model.layers.1", 8))
    kinds = list_pairs(spec, list_units(LLAMA, "kind"))
    assert [bits for _, bits in kinds] == [4, 4, 4, 8, 8, 8]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "float": ({"quantizer": {"grid": "float"}}, "quantizer.grid"),
    "mixed": ({"quantizer": {"grid": "integer", "bits": 2.5}}, "quantizer.bits"),
    "low start": ({"start_bits": 2}, "start_bits"),
    "start map": ({"start_map": ["*=4"]}, "start_map"),
    "nothing to do": ({"widths": [16]}, "widths"),
    "no tasks": (
        {"method": {"method": "ablation", "measured_on": "tasks"}},
        "evaluation.benchmarks",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_scored_is_refused(case: str) -> None:
    """Each is refused in one sentence at the field that has to change."""
    values, field = REFUSED[case]
    with pytest.raises(SpecError) as caught:
        check_sensitivity(spec_of(**values))
    assert [problem.field for problem in caught.value.problems] == [field]


def test_other_heads_need_tasks_and_a_parent() -> None:
    """A classifier is scored by ablation on its tasks, once it is trained."""
    values = {
        "model": {"source": "x/y", "head": "classification"},
        "evaluation": {"benchmarks": ["sst2"]},
    }
    with pytest.raises(SpecError) as caught:
        check_sensitivity(spec_of(**values))
    assert [problem.field for problem in caught.value.problems] == ["method.method", "parent"]
    asked = {"method": {"method": "ablation", "measured_on": "tasks"}, "parent": 3}
    assert check_sensitivity(spec_of(**values, **asked)).grid == "integer"


def test_a_start_map_must_name_layers() -> None:
    """A line that names none is told at the start map, and so is a width without its weights."""
    spec = spec_of(method={"method": "ablation"}, start_map=["*.wrong=4"])
    assert [each.field for each in iter_layer_problems(spec, LLAMA)] == ["start_map"]
    fixed = spec_of(initialization={"method": "data-aware"}, widths=[8, 4])
    assert [each.field for each in iter_layer_problems(fixed, LLAMA)] == ["widths"]
    own = spec_of(initialization={"method": "data-aware"}, widths=[4])
    assert list(iter_layer_problems(own, LLAMA)) == []


def scores_of(seed: int, count: int) -> dict[str, dict[int, float]]:
    """Draw scores with ties."""
    draws = random.Random(seed)
    return {
        f"layer {place}": {2: float(draws.randint(0, 12)), 4: draws.random()}
        for place in range(count)
    }


@pytest.mark.parametrize("count", [4, 7, 40])
def test_agreement_is_spearmans(count: int) -> None:
    """Correlations are scipy's, ties included; the interval is Bonett and Wright's."""
    first, second = scores_of(1, count), scores_of(2, count)
    found = compare(first, second)
    assert [each.bits for each in found] == [4, 2, None]
    for each in found[:2]:
        assert each.bits is not None
        values = [[scores[name][each.bits] for name in first] for scores in (first, second)]
        expected = stats.spearmanr(*values).statistic
        assert each.correlation == pytest.approx(expected)
        error = 1.959964 * math.sqrt((1 + expected**2 / 2) / (count - 3))
        assert each.low == pytest.approx(math.tanh(math.atanh(expected) - error))
        assert each.high == pytest.approx(math.tanh(math.atanh(expected) + error))
        assert each.num_units == count


def test_equal_orders_have_an_interval() -> None:
    """The same order is 1, with a lower end below it; a reversed one −1 with an upper end."""
    first = {f"layer {place}": {2: float(place)} for place in range(10)}
    back = {name: {2: -scores[2]} for name, scores in first.items()}
    same, turned = compare(first, first)[0], compare(first, back)[0]
    assert (same.correlation, same.high) == (pytest.approx(1), pytest.approx(1))
    assert same.low is not None
    assert 0.8 < same.low < 1
    assert turned.high == pytest.approx(-same.low)


def test_no_agreement_has_a_reason() -> None:
    """Fewer than four units, or scores that are all the same, give no number but a reason."""
    few = compare(scores_of(1, 3), scores_of(2, 3))
    assert all(each.correlation is None and "at least 4" in each.reason for each in few)
    flat = {name: {2: 1.0} for name in scores_of(1, 9)}
    (found, _) = compare(flat, scores_of(1, 9))
    assert found.correlation is None
    assert "the same" in found.reason
    assert compare({"a": {2: 1.0}}, {"a": {3: 1.0}}) == ()


def test_what_is_not_finite_or_not_in_both_does_not_count() -> None:
    """Only units that both have scored with numbers are compared."""
    first, second = scores_of(1, 9), scores_of(2, 9)
    first["layer 0"][2] = math.nan
    del second["layer 1"]
    assert [each.num_units for each in compare(first, second)] == [8, 7, 8]


def test_facts_come_back(tmp_path: Path) -> None:
    """What is written is read; a missing or damaged file is None."""
    fact = LayerFact(
        shape=(2, 3),
        num_weights=6,
        minimum=-1.0,
        maximum=1.0,
        mean_absolute=0.5,
        standard_deviation=0.6,
        histogram=Histogram(edges=tuple(range(33)), counts=(1,) * 32),
        relative_error={2: 0.5, 8: 0.001},
        rank=None,
    )
    path = tmp_path / "layer-facts.json"
    assert read_layer_facts(path) is None
    write_layer_facts(path, LayerFacts(layers={"a.0.b": fact}))
    assert read_layer_facts(path) == LayerFacts(layers={"a.0.b": fact})
    path.write_text(path.read_text()[:-9])
    assert read_layer_facts(path) is None
