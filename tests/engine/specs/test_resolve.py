"""Promises of the way from what a person wrote to a complete spec."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.specs import (
    PRESETS,
    ExperimentSpec,
    FloatQuantizer,
    IntegerQuantizer,
    LoraAdapter,
    QatTraining,
    iter_provenance,
    parse_yaml,
    resolve,
    to_yaml,
)


def refusal(values: Any, *overrides: str) -> str:
    """Return the sentence with which the request is refused."""
    with pytest.raises(SpecError) as caught:
        resolve(values, overrides)
    return str(caught.value)


def test_empty_request_is_the_baseline() -> None:
    """A request without fields is the complete, valid, untuned 16-bit model."""
    resolved = resolve({})
    assert resolved.spec == ExperimentSpec()
    assert resolved.spec.is_baseline
    assert resolved.spec.bits == 16
    assert (resolved.asked, resolved.preset) == ({}, None)


def iter_lost(asked: Any, written: Any, path: str = "") -> Iterator[str]:
    """Yield the fields whose value is not the one that was asked."""
    for key, value in asked.items():
        if isinstance(value, dict):
            yield from iter_lost(value, written[key], f"{path}{key}.")
        elif written[key] != value:
            yield f"{path}{key}"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_stands_alone(preset: Any) -> None:
    """Each preset resolves with nothing added, and its values arrive in the spec."""
    resolved = resolve({"preset": preset.name})
    assert resolved.preset == preset.name
    written = resolved.spec.model_dump(mode="json")
    assert list(iter_lost(preset.values, written)) == []


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_yaml_round_trip(preset: Any) -> None:
    """A resolved spec written as YAML resolves to the same spec again."""
    spec = resolve({"preset": preset.name}, ["name='ä: ''quoted'' #1'"]).spec
    assert resolve(parse_yaml(to_yaml(spec))).spec == spec


def test_overrides_win_over_file_over_preset() -> None:
    """Override, then file, then preset, then default: the first that speaks decides."""
    values = {"preset": "qat-lora", "quantizer": {"bits": 5, "group_size": 32}}
    spec = resolve(values, ["quantizer.bits=2"]).spec
    assert isinstance(spec.quantizer, IntegerQuantizer)
    assert (spec.quantizer.bits, spec.quantizer.group_size) == (2, 32)
    assert isinstance(spec.adapter, LoraAdapter)
    assert isinstance(spec.training, QatTraining)
    assert spec.training.temperature == 1.0


def test_preset_can_be_overridden() -> None:
    """`preset=NAME` as an override replaces the preset of the file."""
    assert resolve({"preset": "rtn"}, ["preset=qat-lora"]).preset == "qat-lora"


def test_asked_values_are_left_alone() -> None:
    """Resolving changes neither the values given nor the preset."""
    values = {"preset": "rtn", "quantizer": {"bits": 3}}
    before = [dict(preset.values) for preset in PRESETS]
    resolve(values, ["quantizer.group_size=128"])
    assert values == {"preset": "rtn", "quantizer": {"bits": 3}}
    assert [preset.values for preset in PRESETS] == before


def test_changed_variant_drops_the_old_fields() -> None:
    """Choosing another grid over a preset's leaves none of the old grid's fields behind."""
    resolved = resolve({"preset": "rtn", "quantizer": {"grid": "float"}})
    assert isinstance(resolved.spec.quantizer, FloatQuantizer)


def test_override_values_are_yaml() -> None:
    """Overrides may be numbers, empty, or lists."""
    spec = resolve(
        {"preset": "rtn"}, ["evaluation.limit=", 'quantizer.include=["*.mlp.*"]', "seed= 7"]
    ).spec
    assert spec.evaluation.limit is None
    assert isinstance(spec.quantizer, IntegerQuantizer)
    assert spec.quantizer.include == ("*.mlp.*",)
    assert spec.seed == 7


@pytest.mark.parametrize(
    ("values", "overrides", "expected"),
    [
        ([], [], "not a mapping"),
        ({"preset": "rnt"}, [], "preset: there is no preset 'rnt'; choose one of baseline, rtn"),
        ({"preset": 3}, [], "preset: there is no preset 3"),
        ({}, ["quantizer"], "'quantizer' is not KEY=VALUE"),
        ({}, ["=3"], "'=3' is not KEY=VALUE"),
        ({}, ["seed=[1"], "seed: '[1' is not a value"),
        ({"sede": 1}, [], "sede: there is no such field; did you mean seed?"),
        ({"zzz": 1}, [], "zzz: there is no such field; known: version, name"),
        ({3: 1}, [], "3: keys should be strings"),
        (
            {"preset": "rtn", "quantizer": {"group_sise": 1}},
            [],
            "quantizer.group_sise: there is no such field; did you mean group_size?",
        ),
        ({"evaluation": {"data": {"sorce": "x"}}}, [], "evaluation.data.sorce: there is no such"),
        ({"quantizer": {"bits": 3}}, [], "quantizer.grid: is missing"),
        ({"quantizer": {"grid": "log"}}, [], "quantizer.grid: 'log' is not one of"),
        ({"preset": "rtn", "quantizer": {"bits": 9}}, [], "quantizer.bits: input should be less"),
        ({"preset": "rtn", "quantizer": {"bits": "many"}}, [], "not 'many'"),
        ({"model": 3}, [], "model: "),
        ({"model": {"source": ""}}, [], "model.source: "),
        ({"name": "a\x00b"}, [], "name: must be one line without control characters"),
        ({"preset": "rtn", "quantizer": {"include": ["a\nb"]}}, [], "quantizer.include: must be"),
        ({"quantizer": "integer"}, [], "quantizer: "),
        ({"training": {"method": "qat", "data": {"split": 1}}}, [], "training.data.split: "),
    ],
)
def test_refusals_name_field_and_remedy(values: Any, overrides: list[str], expected: str) -> None:
    """Each thing that cannot be accepted is one sentence with its field first."""
    assert expected in refusal(values, *overrides)


def test_every_problem_is_listed() -> None:
    """Two mistakes give two problems, not the first one only."""
    with pytest.raises(SpecError) as caught:
        resolve({"seed": -1, "evaluation": {"max_length": 1}})
    assert [problem.field for problem in caught.value.problems] == ["seed", "evaluation.max_length"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"preset": "rtn", "adapter": {"kind": "lora"}}, "training.method"),
        ({"initialization": {"method": "data-aware"}}, "initialization.method"),
        ({"training": {"method": "qat"}}, "training.method"),
        ({"training": {"method": "qat"}, "adapter": {"kind": "lora"}}, "training.objective"),
    ],
)
def test_senseless_combinations_are_refused(values: Any, field: str) -> None:
    """A combination that cannot do anything is refused at the field to change."""
    assert refusal(values).startswith(f"{field}: ")


def test_sensible_combinations_are_accepted() -> None:
    """Fine-tuning in 16 bits by the text, and training ranges alone, are both fine."""
    tuned = resolve(
        {"training": {"method": "qat", "objective": "task"}, "adapter": {"kind": "lora"}}
    )
    assert not tuned.spec.is_baseline
    ranges = resolve({"preset": "rtn", "training": {"method": "qat"}})
    assert ranges.spec.bits == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no fields"),
        ("- 1", "holds no fields"),
        ("a: [1", "not valid YAML at line"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("x" * 1_000_001, "larger than 1 MB"),
        ("[" * 5000, "not valid YAML"),
    ],
    ids=["empty", "list", "syntax", "python-object", "control", "huge", "deep"],
)
def test_yaml_that_is_no_spec_is_refused(text: str, expected: str) -> None:
    """Text that is not a mapping in plain YAML is one sentence, and never runs anything."""
    with pytest.raises(SpecError, match=expected):
        parse_yaml(text)


def test_provenance_tells_set_preset_and_default_apart() -> None:
    """Each field of the spec appears once, with where its value came from."""
    resolved = resolve({"preset": "qat-lora", "quantizer": {"bits": 2}}, ["seed=1"])
    found = {path: (value, origin) for path, value, origin in iter_provenance(resolved)}
    assert found["quantizer.bits"] == (2, "set")
    assert found["seed"] == (1, "set")
    assert found["adapter.kind"] == ("lora", "preset")
    assert found["adapter.r"] == (16, "default")
    assert found["training.data.split"] == ("train", "default")


def test_provenance_without_preset() -> None:
    """Where no preset stands underneath, nothing is said to come from one."""
    assert {origin for _, _, origin in iter_provenance(resolve({}))} == {"default"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from([*sorted(ExperimentSpec.model_fields), "preset"]),
)
def test_any_value_resolves_or_is_refused(value: Any, field: str) -> None:
    """Whatever stands in a field, the answer is a spec or a SpecError, never another error."""
    with contextlib.suppress(SpecError):
        spec = resolve({field: value}).spec
        assert resolve(parse_yaml(to_yaml(spec))).spec == spec


def test_another_evaluation_text_is_measured_on_its_test_split() -> None:
    """Naming a source alone keeps the held-out split; a split that is given counts."""
    data = resolve({"evaluation": {"data": {"source": "book.txt"}}}).spec.evaluation.data
    assert (data.source, data.split) == ("book.txt", "test")
    assert resolve({}, ["evaluation.data.split=train"]).spec.evaluation.data.split == "train"
