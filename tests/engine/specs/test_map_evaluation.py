"""Promises of specs that measure one model at many layer maps."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SpecError
from engine.specs import MapEvaluationSpec, load_spec, resolve, resolve_child


def ask(maps: Any) -> MapEvaluationSpec:
    return resolve_child(
        MapEvaluationSpec, resolve({"preset": "rtn"}).spec, {"parent": 1, "maps": maps}
    )


def test_every_map_has_a_name_of_its_own_kind() -> None:
    """Uniform ones by their width, named ones by their name, drawn ones by what is drawn."""
    spec = ask(
        [
            {"map": "uniform", "bits": 4},
            {"map": "layers", "name": "mine", "layer_bits": {"*.mlp.*": "W4A8"}},
            {"map": "random", "widths": [4, 8], "weights": [3, 1], "scope": "layer"},
        ]
    )
    assert [each.label for each in spec.maps] == ["4 bits", "mine", "random 8, 4 (1, 3) by layer"]
    assert load_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("maps", "field", "words"),
    [
        ([{"map": "uniform", "bits": 9}], "maps.0.bits", "9 is no width; choose 2 to 8, or 16"),
        ([{"map": "uniform", "bits": 4}, {"map": "random"}, {}], "maps.2.map", "is missing"),
        ([{"map": "unform"}], "maps.0.map", "is not one of 'uniform', 'layers', 'random'"),
        ([{"map": "random", "weights": [1]}], "maps.0.weights", "3 numbers above 0"),
        ([{"map": "layers", "name": "a", "layer_bits": ["x"]}], "maps.0.layer_bits", "LAYER=WIDTH"),
        ([], "maps", "must be not empty"),
        ("4", "maps", "must be a list, such as [{map: uniform, bits: 4}], not '4'"),
        (3, "maps", "must be a list, such as [{map: uniform, bits: 4}], not '3'"),
        ([3], "maps.0", "must be fields with their values, such as {map: uniform, bits: 4}"),
        ([{}], "maps.0.map", "one of 'uniform', 'layers', 'random'"),
        ([{"map": "uniform", "bits": 4}] * 65, "maps", "takes at most 64, not 65"),
        (
            [{"map": "layers", "name": "a", "layer_bits": 5}],
            "maps.0.layer_bits",
            "must be a list, such as ['*.mlp.*=4'] or one LAYER=WIDTH per line, not '5'",
        ),
    ],
)
def test_what_is_wrong_with_a_map_is_told_once(maps: Any, field: str, words: str) -> None:
    """One problem at the map's own field, which names its place and nothing of how it is read."""
    with pytest.raises(SpecError) as refused:
        ask(maps)
    (problem,) = refused.value.problems
    assert problem.field == field
    assert words in problem.message


def test_what_is_missing_is_said_with_what_would_be_accepted() -> None:
    """Maps that were not asked for show how they are; settings of no attack name the attacks."""
    parent, given = resolve({"preset": "rtn"}).spec, {"parent": 1}
    with pytest.raises(SpecError) as refused:
        resolve_child(MapEvaluationSpec, parent, given)
    assert str(refused.value) == "maps: is missing; give a list, such as [{map: uniform, bits: 4}]"
    maps = [{"map": "uniform", "bits": 4}]
    with pytest.raises(SpecError) as refused:
        resolve_child(
            MapEvaluationSpec, parent, {**given, "maps": maps, "attack": {"num_steps": 3}}
        )
    assert str(refused.value).startswith("attack.attack: is missing; ")
    assert str(refused.value).endswith("one of 'none', 'gbda'")
