"""Promises of the way from specs to form fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from app.forms.fields import FormField, list_fields, list_search_sections
from engine.specs import ExperimentSpec
from engine.specs.base import FRACTION

FIELDS = list_fields()
FIXED = {"version", "kind"}


def iter_spec_paths(cls: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Walk the specs themselves, variants included."""
    for name, info in cls.model_fields.items():
        variants = get_args(info.annotation) if info.discriminator else (info.annotation,)
        nested = [v for v in variants if isinstance(v, type) and issubclass(v, BaseModel)]
        for inner in nested:
            yield from iter_spec_paths(inner, f"{prefix}{name}.")
        if not nested and f"{prefix}{name}" not in FIXED:
            yield f"{prefix}{name}"


def test_every_field_of_every_spec_is_in_the_form() -> None:
    """What can be asked in YAML can be asked on the page."""
    assert {field.path for field in FIELDS} == set(iter_spec_paths(ExperimentSpec))


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.key)
def test_every_field_explains_itself(field: FormField) -> None:
    """A field has a title and a help sentence that ends like one."""
    assert field.title
    assert field.help.endswith(".")


def test_names_on_the_page_are_unique() -> None:
    """No two fields share a key or an element, so that a problem has one place."""
    assert len({field.key for field in FIELDS}) == len(FIELDS)
    assert len({field.element for field in FIELDS}) == len(FIELDS)


def test_conditions_name_fields_that_come_before() -> None:
    """What decides whether a field matters stands above it."""
    seen: set[str] = set()
    for field in FIELDS:
        assert {condition.path for condition in field.conditions} <= seen
        seen.add(field.path)


@pytest.mark.parametrize(
    ("key", "kind", "expected"),
    [
        ("quantizer[integer].bits", "dial", (2, 3, 4, 5, 6, 7, 8)),
        ("quantizer.grid", "choice", ("float", "integer", "normal-float", "loftq-uniform")),
        ("quantizer[integer].mixing.rule", "choice", ("first-layers", "sensitivity")),
        ("training[qat].warmup_ratio", "number", ()),
        ("model.head", "choice", ("causal-lm", "classification", "span-qa", "seq2seq")),
        ("quantizer[integer].include", "lines", ()),
        ("evaluation.divergence", "flag", ()),
        ("training[qat].learning_rate", "number", ()),
        ("evaluation.limit", "integer", ()),
        ("evaluation.benchmarks", "lines", ()),
        ("adapter[elastic-lora].rank_space", "integers", ()),
        ("training[qat].data.kind", "choice", ("text", "task")),
        ("quantizer[integer].layer_bits", "lines", ()),
        ("quantizer[integer].cache.rounding", "choice", ("none", "fixed", "layer")),
        ("training[qat].bit_policy[switchable].widths", "integers", ()),
        ("training[qat].bit_policy[random].weights", "numbers", ()),
        ("training[qat].bit_policy[cyclic].range_test", "flag", ()),
    ],
)
def test_kinds_follow_the_types(key: str, kind: str, expected: tuple[Any, ...]) -> None:
    """A range of few whole numbers is a dial, literals and unions a choice, tuples lines."""
    field = next(field for field in FIELDS if field.key == key)
    assert (field.kind, field.choices) == (kind, expected)


def test_nested_defaults_are_those_of_the_outer_spec() -> None:
    """Evaluation reads the test split by default although a corpus alone defaults to train."""
    splits = {f.path: f.default for f in FIELDS if f.path.endswith("data.split")}
    assert splits["evaluation.data.split"] == "test"
    assert splits["training.data.split"] == "train"


def test_variants_inside_a_variant_need_both_choices() -> None:
    """The task of the training data matters where the run is trained, and on a task."""
    field = next(field for field in FIELDS if field.path == "training.data.task")
    assert [(c.path, c.values) for c in field.conditions] == [
        ("training.method", ("qat",)),
        ("training.data.kind", ("task",)),
    ]


def test_how_widths_are_mixed_matters_for_a_fraction() -> None:
    """The rule that mixes widths, and all below it, wait for bits that are not whole."""
    mixing = [field for field in FIELDS if field.path.startswith("quantizer.mixing.")]
    assert mixing
    for field in mixing:
        assert ("quantizer.bits", (FRACTION,)) in [(c.path, c.values) for c in field.conditions]


def test_titles_that_fields_of_a_group_share_name_their_part() -> None:
    """Three granularities of a quantizer are told apart, and so are two widths."""
    own = [each for each in FIELDS if each.key.startswith("quantizer[integer]")]
    titles = {each.path: each.title for each in own}
    assert titles["quantizer.granularity"] == "Granularity"
    assert titles["quantizer.inputs.granularity"] == "Inputs: granularity"
    assert titles["quantizer.cache.bits"] == "KV cache: width"
    assert len(set(titles.values())) == len(titles)


def test_weights_are_asked_before_what_flows_through_them() -> None:
    """Inputs and cache stand below symmetry and groups, the bit policy near the top of training."""
    paths = [each.path for each in FIELDS if each.key.startswith("quantizer[integer]")]
    assert paths.index("quantizer.group_size") < paths.index("quantizer.inputs.rounding")
    training = [each.path for each in FIELDS if each.path.startswith("training.")]
    policy = training.index("training.bit_policy.policy")
    assert policy < training.index("training.data.kind") < training.index("training.max_steps")


def test_a_rank_search_is_asked_in_two_sections() -> None:
    """How configurations are proposed and what they are compared on come from the search's spec."""
    search, objective = list_search_sections()
    assert search.switch is not None
    assert search.switch.path == "search.strategy"
    assert "hill-climbing" in search.switch.choices
    paths = {field.path for field in (*search.list_fields(), *objective.list_fields())}
    assert {"search.num_evaluations", "objective.metric", "objective.split"} <= paths


def test_unit_is_in_the_label_once() -> None:
    """A unit stands beside the title unless the title is its name."""
    labels = {field.key: field.label for field in FIELDS}
    assert labels["evaluation.max_length"] == "Window length (tokens)"
    assert labels["quantizer[integer].bits"] == "Bits"
