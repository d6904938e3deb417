"""Promises every field of every spec keeps: described once, closed, frozen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from engine.specs import ExperimentSpec, IntegerQuantizer, Spec
from engine.specs.base import FRACTION


def iter_specs(owner: type[Spec]) -> Iterator[type[Spec]]:
    """Yield the class and every spec class below it."""
    yield owner
    for field in owner.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Spec):
                yield from iter_specs(kind)


SPECS = sorted(set(iter_specs(ExperimentSpec)), key=lambda spec: spec.__name__)
FIELDS = [
    pytest.param(spec, name, id=f"{spec.__name__}.{name}")
    for spec in SPECS
    for name in spec.model_fields
]


@pytest.mark.parametrize(("spec", "name"), FIELDS)
def test_every_field_is_described(spec: type[Spec], name: str) -> None:
    """Each field has a label and a help sentence that ends like one."""
    field = spec.model_fields[name]
    assert field.title
    assert field.description
    assert field.description.endswith(".")


@pytest.mark.parametrize(("spec", "name"), FIELDS)
def test_shown_when_names_real_fields_and_values(spec: type[Spec], name: str) -> None:
    """A field that matters only sometimes names a sibling and values the sibling can have."""
    extra: Any = spec.model_fields[name].json_schema_extra or {}
    for sibling, values in extra.get("shown_when", {}).items():
        annotation = spec.model_fields[sibling].annotation
        accepted = {float: (FRACTION,), bool: (True, False)}.get(annotation, get_args(annotation))
        assert set(values) <= set(accepted)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_specs_are_closed_and_frozen(spec: type[Spec]) -> None:
    """No spec takes an unknown field or changes once built; all defaults are valid."""
    built = spec()
    with pytest.raises(ValidationError):
        spec.model_validate({"nonsense": 1})
    with pytest.raises(ValidationError):
        setattr(built, next(iter(spec.model_fields)), None)
    assert isinstance(built, BaseModel)


def test_specs_are_equal_by_value() -> None:
    """Two specs of the same values are one and hash alike."""
    assert {IntegerQuantizer(bits=3)} == {IntegerQuantizer(bits=3)}
