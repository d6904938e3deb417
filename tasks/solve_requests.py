"""What can be asked of a solve: a sensitivity run, a budget, and what a person knows better.

Read in one way from the command line and from REST. Start with `read_request`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from engine.allocation.budgets import ACCEPTED, Budget, Unit, parse_budget
from engine.allocation.budgets import FIELD as BUDGET
from engine.errors import SpecError
from engine.specs.layer_bits import WIDTHS
from tasks.store.records import LARGEST_ID

BITS = "a width from 2 to 8, or 16"
MAX_LINES = 10_000
MAX_BITS = 64
NO_SIZE = f"the number is no size; write {ACCEPTED}"
OF_WHOLE_MODEL = ("mib", "model-mib")
KNOWN = (
    "sensitivity", "budget", "whole_model", "metric", "widths", "pins", "least", "most", "fuse",
    "exact", "format",
)  # fmt: skip
Bounds = Mapping[str, int]
"""Width by the name of a layer or a pattern of names; of several that match the last holds."""


@dataclass(frozen=True, kw_only=True)
class SolveRequest:
    """A budget to be spent on the layers of a sensitivity run.

    Attributes:
        sensitivity: Number of the sensitivity run.
        budget: What the map may take.
        metric: Which of the run's metrics; None for divergence, else its first.
        widths: The only widths to choose from; all that were scored, and the start, where empty.
        pins: Layers whose width is given.
        least: Layers that must not go below a width.
        most: Layers that must not go above one.
        fuse: Whether layers that are served as one matrix share a width.
        exact: Whether the best map is to be proven, which takes longer.
    """

    sensitivity: int
    budget: Budget
    metric: str | None = None
    widths: tuple[int, ...] = ()
    pins: Bounds = field(default_factory=dict)
    least: Bounds = field(default_factory=dict)
    most: Bounds = field(default_factory=dict)
    fuse: bool = False
    exact: bool = False


def read_request(values: Mapping[str, Any]) -> SolveRequest:
    """Return what nested values ask for.

    Args:
        values: `sensitivity` and `budget`, as text ("60MiB", "3.0", "25%") or {"amount", "unit"};
            besides, the fields of `SolveRequest` and `whole_model`; `format` is passed over.

    Raises:
        SpecError: At the field that cannot be read, saying what would be accepted.
    """
    unknown = next((name for name in values if name not in KNOWN), None)
    if unknown is not None:
        raise SpecError.at(str(unknown)[:80], f"there is no such field; known: {', '.join(KNOWN)}")
    metric = values.get("metric")
    if metric is not None and not isinstance(metric, str):
        raise SpecError.at("metric", f"{metric!r} is no name; write kl_divergence or leave it out")
    return SolveRequest(
        sensitivity=_read_run(values.get("sensitivity")),
        budget=_read_budget(values.get(BUDGET), whole_model=_read_flag(values, "whole_model")),
        metric=metric,
        widths=_read_widths(values.get("widths")),
        pins=_read_bounds("pins", values.get("pins")),
        least=_read_bounds("least", values.get("least")),
        most=_read_bounds("most", values.get("most")),
        fuse=_read_flag(values, "fuse"),
        exact=_read_flag(values, "exact"),
    )


def _read_run(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_ID:
        shown = "is missing" if value is None else f"{str(value)[:40]!r} is not the number of a run"
        raise SpecError.at("sensitivity", f"{shown}; give that of a sensitivity run, such as 12")
    return value


def _read_budget(value: Any, *, whole_model: bool) -> Budget:
    if value is None:
        raise SpecError.at(BUDGET, "is missing; give a size such as 60MiB, 3.0 (bits) or 25%")
    if isinstance(value, Mapping):
        return _read_size(value, whole_model=whole_model)
    is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:  # not to be written as text
        raise SpecError.at(BUDGET, NO_SIZE)
    return parse_budget(str(value) if is_text else repr(value), whole_model=whole_model)


def _read_size(value: Mapping[str, Any], *, whole_model: bool) -> Budget:
    """Read amount and unit; only MiB can be of the whole model."""
    amount, unit = value.get("amount"), value.get("unit")
    is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not is_number or set(value) != {"amount", "unit"} or not isinstance(unit, str):
        raise SpecError.at(
            BUDGET, 'must be text such as "60MiB", or {"amount": 3.0, "unit": "bits"}'
        )
    try:
        size = float(cast(float, amount))
    except OverflowError:  # a whole number of hundreds of digits
        raise SpecError.at(BUDGET, NO_SIZE) from None
    budget = Budget(size, cast(Unit, unit))
    if not whole_model:
        return budget
    if unit not in OF_WHOLE_MODEL:
        raise SpecError.at(
            "whole_model",
            f"{budget} is of the quantized layers; of the whole model give a size in mib",
        )
    return Budget(size, "model-mib")


def _read_flag(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise SpecError.at(name, f"{str(value)[:40]!r} is neither true nor false")
    return value


def _read_widths(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise SpecError.at("widths", f"must be a list, such as [2, 3, 4], not {str(value)[:60]!r}")
    return tuple(sorted({_read_bits("widths", each) for each in value}))


def _read_bounds(name: str, value: Any) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > MAX_LINES:
        raise SpecError.at(
            name, f"must give layers a width, such as {{'*.0.*': 8}}, not {str(value)[:60]!r}"
        )
    return {str(pattern): _read_bits(name, bits) for pattern, bits in value.items()}


def _read_bits(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in WIDTHS:
        raise SpecError.at(name, f"{str(value)[:40]!r} is not {BITS}")
    return value
