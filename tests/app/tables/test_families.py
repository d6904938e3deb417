"""Promises of families: a line joins runs that differ in width alone, and says which these are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.tables.families import name_families
from engine.specs import resolve
from tasks.store import runs
from tasks.store.records import RunRecord
from tests.filled import Filled

LOFTQ = "NormalFloat, LoftQ + LoRA 16"
BY_SENSITIVITY: dict[str, Any] = {"bits": 2.5, "mixing": {"rule": "sensitivity"}}


@pytest.fixture
def run(filled: Filled) -> RunRecord:
    """Return a finished run to be dressed with other specs."""
    return runs.get_run(filled.services.database, filled.samples.rtn[4])


def name(run: RunRecord, *values: dict[str, Any]) -> list[str]:
    """Return the families of runs of the preset LoftQ with these values."""
    dressed = [
        replace(
            run, id=number, spec=resolve({"preset": "loftq", **each}).spec.model_dump(mode="json")
        )
        for number, each in enumerate(values)
    ]
    return list(name_families(dressed).values())


def test_width_name_and_seed_make_no_family(run: RunRecord) -> None:
    """Runs at several widths are one family, however they are called and seeded."""
    found = name(
        run,
        {"quantizer": {"bits": 4}},
        {"quantizer": {"bits": 2}, "name": "two", "seed": 7},
        {"quantizer": {"bits": 2.5}},
        {"quantizer": {"bits": 2.25}},
    )
    assert found == [LOFTQ] * 4


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"initialization": {"iterations": 1}}, ("iterations 5", "iterations 1")),
        ({"quantizer": {"group_size": 32}}, ("group size 64", "group size 32")),
        (
            {"quantizer": {"grid": "loftq-uniform"}, "adapter": {"placement": "parallel"}},
            ("", ""),
        ),
        (
            {"adapter": {"lora_alpha": 32.0}, "initialization": {"iterations": 2}},
            ("lora alpha 16.0, iterations 5", "lora alpha 32.0, iterations 2"),
        ),
    ],
)
def test_what_differs_besides_is_named(
    run: RunRecord, *, values: dict[str, Any], words: tuple[str, str]
) -> None:
    """Two families that would share a name say their values; others need none."""
    titles = name(run, {}, values)
    assert len(set(titles)) == 2
    for title, said in zip(titles, words, strict=True):
        assert title.partition("LoRA 16")[2].removeprefix(", ") == said


def test_learning_rates_are_families(run: RunRecord) -> None:
    """A line never joins the best of several learning rates."""
    values = ({"training": {"method": "qat", "learning_rate": rate}} for rate in (5e-4, 5e-5))
    titles = name(run, *values)
    assert [title.rpartition(", ")[2] for title in titles] == [
        "learning rate 0.0005",
        "learning rate 5e-05",
    ]


def test_mixing_counts_where_fractions_are_mixed_in_several_ways(run: RunRecord) -> None:
    """2.5 bits under both rules stand side by side; under one alone they are on the line."""
    whole, first = {"quantizer": {"bits": 4}}, {"quantizer": {"bits": 2.5}}
    by_sensitivity = {"quantizer": BY_SENSITIVITY}
    assert name(run, whole, by_sensitivity) == [LOFTQ, LOFTQ]
    titles = name(run, whole, first, by_sensitivity)
    rules = [f"{LOFTQ}, mixing rule {rule}" for rule in ("first-layers", "sensitivity")]
    assert titles == [LOFTQ, *rules]
    longer = {"quantizer": {"bits": 2.5, "mixing": {"rule": "sensitivity", "num_samples": 64}}}
    assert len(set(name(run, whole, first, by_sensitivity, longer))) == 4


def test_a_spec_from_before_a_field_is_of_the_same_family(run: RunRecord) -> None:
    """What an old spec does not say has its default."""
    new = replace(run, id=1)
    quantizer = {key: value for key, value in run.spec["quantizer"].items() if key != "mixing"}
    old = replace(run, id=2, spec={**run.spec, "quantizer": quantizer})
    assert len(set(name_families([new, old]).values())) == 1
    broken = replace(run, id=3, spec={**run.spec, "unknown": 1})
    assert len(set(name_families([new, broken]).values())) == 2
