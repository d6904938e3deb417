"""Promises of the way between widgets and nested values."""

from __future__ import annotations

from typing import Any

import pytest

from app.forms.fields import list_fields, list_random_fields
from app.forms.values import change_preset, fill, find_current, read_asked, read_widget
from engine.errors import SpecError
from engine.specs import PRESETS, Preset, resolve

FIELDS = list_fields()
BITS = "quantizer[integer].bits"
RICH: dict[str, Any] = {
    "preset": "qat-lora",
    "name": "all of it",
    "quantizer": {"granularity": "channel", "exclude": ["lm_head", "*.0.*"]},
    "adapter": {"r": 8},
    "initialization": {"method": "data-aware", "num_samples": 4, "data": {"split": "validation"}},
    "training": {"objective": "both", "task_weight": 0.25, "max_steps": 20, "max_grad_norm": None},
    "evaluation": {"limit": None, "divergence": False},
}


def edit(asked: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Fill the form, type into it, and read it back; keys are fields' keys."""
    widgets = fill(FIELDS, asked)
    for key, value in changes.items():
        widgets[next(i for i, field in enumerate(FIELDS) if field.key == key)] = value
    return read_asked(FIELDS, widgets, asked)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_presets_survive_the_form(preset: Preset) -> None:
    """A preset put into the form and read back is the same spec, and asks for nothing more."""
    asked = edit({"preset": preset.name})
    assert asked == {"preset": preset.name}
    assert resolve(asked).spec == resolve({"preset": preset.name}).spec


def test_every_kind_of_value_survives_the_form() -> None:
    """Texts, numbers, lists, choices, flags and emptied numbers come back as they were."""
    assert edit(RICH) == RICH
    assert resolve(edit(RICH)).spec == resolve(RICH).spec


def test_a_complete_spec_survives_the_form() -> None:
    """Every default written out, as in a downloaded file, comes back as the same spec."""
    complete = resolve(RICH).spec.model_dump(mode="json")
    assert resolve(edit(complete)).spec == resolve(RICH).spec


def test_only_what_differs_is_asked() -> None:
    """A changed value is asked; one typed back to the preset's stays asked, as written."""
    once = edit({"preset": "rtn"}, **{"quantizer[integer].bits": 3})
    assert once == {"preset": "rtn", "quantizer": {"bits": 3}}
    assert edit(once, **{"quantizer[integer].bits": 4})["quantizer"] == {"bits": 4}


@pytest.mark.parametrize(("typed", "kept"), [("2.5", 2.5), (" 3 ", 3), ("4.0", 4), ("2.25", 2.25)])
def test_bits_are_whole_or_a_fraction(typed: str, kept: float) -> None:
    """A typed width is a number, a whole one written without a point."""
    asked = edit({"preset": "rtn", "quantizer": {"bits": 8}}, **{BITS: typed})
    assert asked["quantizer"] == {"bits": kept}
    assert type(asked["quantizer"]["bits"]) is type(kept)
    assert resolve(asked).spec.bits == kept


@pytest.mark.parametrize("typed", ["9", "1.5", "many", "", "nan"])
def test_bits_out_of_range_are_refused_at_their_field(typed: str) -> None:
    """What is no width keeps standing in the box, and the refusal names the box."""
    asked = edit({"preset": "rtn"}, **{BITS: typed})
    with pytest.raises(SpecError) as refused:
        resolve(asked)
    assert {problem.field for problem in refused.value.problems} == {"quantizer.bits"}


def test_the_mix_of_widths_is_asked_for_a_fraction_alone() -> None:
    """Sensitivity is asked beside 2.5 bits, and forgotten with a whole number."""
    rule = "quantizer[integer].mixing.rule"
    windows = "quantizer[integer].mixing[sensitivity].num_samples"
    asked = edit({"preset": "rtn"}, **{BITS: "2.5", rule: "sensitivity", windows: "8"})
    mixing = {"rule": "sensitivity", "num_samples": 8}
    assert asked["quantizer"] == {"bits": 2.5, "mixing": mixing}
    assert edit(asked) == asked
    assert edit(asked, **{BITS: "3"})["quantizer"] == {"bits": 3}


@pytest.mark.parametrize("typed", ["fraction", "3", ""])
def test_only_a_number_that_is_not_whole_mixes(typed: str) -> None:
    """No word stands for a fraction, whatever the specs call one among themselves."""
    rule = "quantizer[integer].mixing.rule"
    asked = edit({"preset": "rtn"}, **{BITS: typed, rule: "sensitivity"})
    assert asked.get("quantizer", {}).keys() <= {"bits"}
    assert edit(asked, **{BITS: "2.5", rule: "sensitivity"})["quantizer"].keys() == {
        "bits",
        "mixing",
    }


@pytest.mark.parametrize("bits", [2.3333333, 2.5, 7.123456789012345])
def test_an_edit_elsewhere_leaves_every_digit(bits: float) -> None:
    """A width with many digits comes back whole after another field was edited."""
    asked = edit({"preset": "rtn", "quantizer": {"bits": bits}}, name="another")
    assert asked["quantizer"] == {"bits": bits}


def test_a_bit_policy_is_asked_with_its_widths_and_chances() -> None:
    """Widths and chances are numbers, one per line, and come back as they were typed."""
    policy = "training[qat].bit_policy"
    asked = edit(
        {"preset": "qat-lora"},
        **{
            f"{policy}.policy": "random",
            f"{policy}[random].widths": "8\n6\n3",
            f"{policy}[random].weights": "1\n2.5\n0.5",
            f"{policy}[random].scope": "layer",
        },
    )
    drawn = {"policy": "random", "widths": [8, 6, 3], "weights": [1, 2.5, 0.5], "scope": "layer"}
    assert asked["training"]["bit_policy"] == drawn
    assert edit(asked) == asked
    shown = dict(zip([f.key for f in FIELDS], fill(FIELDS, asked), strict=True))
    assert shown[f"{policy}[random].weights"] == "1\n2.5\n0.5"
    assert resolve(asked).spec.trained_widths == (8, 6, 3)


@pytest.mark.parametrize(
    ("key", "typed", "field"),
    [
        ("bit_policy[random].weights", "1\nmuch\n2", "training.bit_policy.weights.1"),
        ("bit_policy[random].widths", "8\n9", "training.bit_policy.widths"),
        ("bit_policy[random].weights", "1\n2", "training.bit_policy.weights"),
    ],
)
def test_unusable_draws_are_refused_at_their_field(key: str, typed: str, field: str) -> None:
    """A word among chances, a width that is none, and too few chances name their boxes."""
    policy = {"training[qat].bit_policy.policy": "random", f"training[qat].{key}": typed}
    with pytest.raises(SpecError) as refused:
        resolve(edit({"preset": "qat-lora"}, **policy))
    assert field in [problem.field for problem in refused.value.problems]


def test_a_range_test_has_its_own_fields() -> None:
    """Steps and threshold of the trial are asked where it is on, and forgotten with it."""
    policy = "training[qat].bit_policy"
    asked = edit(
        {"preset": "cyclic"},
        **{f"{policy}[cyclic].range_test": True, f"{policy}[cyclic].range_test_steps": "4"},
    )
    assert asked["training"]["bit_policy"] == {"range_test": True, "range_test_steps": 4}
    without = edit(asked, **{f"{policy}[cyclic].range_test": False})
    assert without["training"]["bit_policy"] == {"range_test": False}


@pytest.mark.parametrize("given", [{"*.mlp.*": 4, "*.0.*": "W8A8"}, ["*.mlp.*=4", "*.0.*=W8A8"]])
def test_a_layer_map_survives_the_form_however_it_was_written(given: Any) -> None:
    """A mapping in YAML becomes lines of the same meaning."""
    asked = edit({"preset": "rtn", "quantizer": {"layer_bits": given}})
    assert asked["quantizer"]["layer_bits"] == ["*.mlp.*=4", "*.0.*=W8A8"]
    assert resolve(asked).spec.quantizer.layer_bits == ("*.mlp.*=4", "*.0.*=W8A8")  # type: ignore[union-attr]


def test_inputs_and_cache_are_asked_apart() -> None:
    """A width of the cache is not one of the inputs."""
    own = "quantizer[integer]"
    asked = edit(
        {"preset": "rtn"},
        **{
            f"{own}.inputs.rounding": "layer",
            f"{own}.cache.rounding": "fixed",
            f"{own}.cache[fixed].bits": "4",
            f"{own}.cache[fixed].granularity": "head",
        },
    )
    rounded = {"rounding": "fixed", "bits": 4, "granularity": "head"}
    assert asked["quantizer"] == {"inputs": {"rounding": "layer"}, "cache": rounded}
    assert edit(asked) == asked


def test_another_head_is_asked_with_its_task() -> None:
    """A classification run is asked by filling in the form."""
    asked = edit(
        {"preset": "qat-lora"},
        **{
            "model.head": "classification",
            "training[qat].objective": "task",
            "training[qat].data.kind": "task",
            "training[qat].data[task].task": "sst2",
            "evaluation.benchmarks": "sst2",
        },
    )
    spec = resolve(asked).spec
    assert (spec.model.head, spec.measured_tasks) == ("classification", ("sst2",))


def test_another_variant_drops_the_first_ones_fields() -> None:
    """Switching the grid to float asks for no bits, although the widget still holds them."""
    asked = edit({"preset": "rtn", "quantizer": {"bits": 3}}, **{"quantizer.grid": "float"})
    assert asked == {"preset": "rtn", "quantizer": {"grid": "float"}}
    assert resolve(asked).spec.bits == 16


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("7", 7), (" 1_000 ", 1000), ("3.5", 3.5), ("many", "many"), ("1e2", 100), ("", "")],
)
def test_numbers_are_read_as_far_as_they_can_be(typed: str, kept: object) -> None:
    """What is no number stays text, so that the spec says what is wrong with it."""
    asked = edit({"preset": "rtn"}, **{"quantizer[integer].group_size": typed})
    assert asked["quantizer"]["group_size"] == kept


@pytest.mark.parametrize("typed", ["7", "many", "3.5", ""])
def test_unusable_numbers_are_refused_at_their_field(typed: str) -> None:
    """The problem names the field that was typed into, and nothing else."""
    asked = edit({"preset": "rtn"}, **{"quantizer[integer].group_size": typed})
    with pytest.raises(SpecError) as refused:
        resolve(asked)
    assert [problem.field for problem in refused.value.problems] == ["quantizer.group_size"]


@pytest.mark.parametrize("huge", ["1e999", "nan", "-inf"])
def test_endless_numbers_do_not_break_the_form(huge: str) -> None:
    """Infinity and not-a-number are refused with a sentence, never an exception of Python's."""
    asked = edit({"preset": "rtn"}, **{"quantizer[integer].group_size": huge})
    with pytest.raises(SpecError):
        resolve(asked)


@pytest.mark.parametrize("typed", ["16\n8", "16, 8", " 16 ;8,\n"])
def test_whole_numbers_are_listed_as_people_write_them(typed: str) -> None:
    """One per line, or on one line with commas."""
    asked = edit({"preset": "qat-nls"}, **{"adapter[elastic-lora].rank_space": typed})
    assert asked["adapter"] == {"rank_space": [16, 8]}
    assert resolve(asked).spec.adapter.max_rank == 16  # type: ignore[union-attr]


@pytest.mark.parametrize("typed", ["16\neight", "16\n7.5", "16 12 x"])
def test_what_is_no_whole_number_is_refused_at_its_field(typed: str) -> None:
    """A word among the ranks is named by the refusal and stays in the form."""
    asked = edit({"preset": "qat-nls"}, **{"adapter[elastic-lora].rank_space": typed})
    with pytest.raises(SpecError) as refused:
        resolve(asked)
    (problem,) = refused.value.problems
    assert problem.field.startswith("adapter.rank_space")
    assert repr(typed.rsplit(maxsplit=1)[-1]) in problem.message
    shown = dict(zip([f.key for f in FIELDS], fill(FIELDS, asked), strict=True))
    assert shown["adapter[elastic-lora].rank_space"].split() == typed.split()


def test_training_data_changes_its_kind() -> None:
    """A preset's task becomes running text, whose own fields are asked and no others."""
    asked = edit(
        {"preset": "qat-nls"},
        **{"training[qat].data.kind": "text", "training[qat].data[text].source": "a.txt"},
    )
    assert asked["training"]["data"] == {"kind": "text", "source": "a.txt"}
    assert resolve(asked).spec.training.data.source == "a.txt"  # type: ignore[union-attr]


def test_variants_that_share_a_field_keep_their_own_default() -> None:
    """LoftQ's uniform grid groups by block; an integer grid's groups are not hidden by that."""
    asked = edit({"preset": "rtn"}, **{"quantizer[integer].group_size": "32"})
    assert edit(asked) == asked == {"preset": "rtn", "quantizer": {"group_size": 32}}


def test_small_numbers_are_shown_as_written() -> None:
    """A learning rate of 5e-05 is not shown as 0.00005000000000000001 or 0."""
    shown = dict(zip([f.key for f in FIELDS], fill(FIELDS, {"preset": "qat-lora"}), strict=True))
    assert shown["training[qat].range_learning_rate"] == "5e-05"
    assert shown["training[qat].max_steps"] == ""


def test_a_preset_keeps_what_is_not_its_business() -> None:
    """Another preset replaces the method and keeps the model."""
    asked = change_preset({"preset": "rtn", "model": {"source": "a/b"}, "quantizer": {"bits": 2}},
                          "qat-lora", ("model",))  # fmt: skip
    assert asked == {"preset": "qat-lora", "model": {"source": "a/b"}}


def test_hidden_fields_do_not_count() -> None:
    """The group size matters for groups and not for channels."""
    for granularity, expected in (("group", True), ("channel", False)):
        widgets = fill(FIELDS, {"preset": "rtn", "quantizer": {"granularity": granularity}})
        assert ("quantizer.group_size" in find_current(FIELDS, widgets)) is expected


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("0,5\n1", ["0,5", 1.0]),
        ("0.5, 1", [0.5, 1.0]),
        ("1; 2\n3", [1.0, 2.0, 3.0]),
    ],
)
def test_a_decimal_comma_does_not_make_two_numbers(typed: str, read: list[object]) -> None:
    """A comma between digits stays, for the spec to refuse in words; others separate numbers."""
    weights = next(field for field in list_random_fields() if field.path == "maps.weights")
    assert read_widget(weights, typed) == read
