"""What the figures of a sensitivity run show: one metric's scores by unit and width.

How they are drawn stands in `sensitivity_map`, `sensitivity_bars` and `sensitivity_agreement`.
Start with `read_sensitivity`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.quantities import write_fixed, write_number
from app.tables.metrics import name_metric, order_of_metric
from app.text import sensitivity as text
from engine.models.naming import split_name
from tasks.store.records import SensitivityScoreRecord

UNKNOWN_PLACE = 10**9
LEAST_PLAIN = 0.001
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LEAST_DECADES = 1.5
SHOWN_DECADES = 5
"""How far below the largest score a logarithmic scale reaches; what is smaller is noise."""


@dataclass(frozen=True)
class Sensitivity:
    """One metric of a sensitivity run.

    Attributes:
        metric: "kl_divergence", ...
        unit: "layer", "block" or "kind".
        widths: That were asked for or measured, the highest first.
        scores: By unit, in the model's order, and width.
        num_units: How many units there will be; None where it is not known.
    """

    metric: str
    unit: str
    widths: tuple[int, ...]
    scores: Mapping[str, Mapping[int, SensitivityScoreRecord]]
    num_units: int | None = None

    @property
    def title(self) -> str:
        """What the metric is called."""
        return name_score(self.metric)

    @property
    def count(self) -> int:
        """How many units are measured at any width."""
        return len(self.scores)

    @property
    def units_word(self) -> str:
        """What so many units are called."""
        return name_units(self.unit, self.num_units or self.count)

    def list_at(self, bits: int) -> dict[str, SensitivityScoreRecord]:
        """Return the scores at a width by unit."""
        return {unit: found[bits] for unit, found in self.scores.items() if bits in found}

    def rank_at(self, bits: int) -> dict[str, int]:
        """Return each unit's place at a width, 1 for the one that loses most."""
        found = self.list_at(bits)
        ordered = sorted(found, key=lambda unit: -_size(found[unit].value))
        return {unit: place for place, unit in enumerate(ordered, start=1)}

    def list_values(self, bits: int | None = None) -> list[float]:
        """Return every score that is a number, at a width or, with None, at all."""
        kept = self.widths if bits is None else (bits,)
        found = (score.value for width in kept for score in self.list_at(width).values())
        return [value for value in found if math.isfinite(value)]


def read_sensitivity(
    scores: Iterable[SensitivityScoreRecord],
    metric: str,
    *,
    unit: str,
    widths: Sequence[int] = (),
    num_units: int | None = None,
) -> Sensitivity:
    """Take one metric from all that was measured.

    Args:
        scores: What a sensitivity run measured so far.
        metric: Which of them.
        unit: What changes its width at once.
        widths: That were asked for.
        num_units: How many units there will be; None where it is not known.
    """
    found: dict[str, dict[int, SensitivityScoreRecord]] = {}
    seen = set(widths)
    for score in scores:
        if score.metric == metric:
            found.setdefault(score.unit, {})[score.bits] = score
            seen.add(score.bits)
    ordered = {name: found[name] for name in sorted(found, key=order_of_unit)}
    return Sensitivity(metric, unit, tuple(sorted(seen, reverse=True)), ordered, num_units)


def list_score_metrics(scores: Iterable[SensitivityScoreRecord]) -> dict[str, str]:
    """Return the metrics there are with their titles, divergence first."""
    found = {score.metric for score in scores}
    return {name: name_score(name) for name in sorted(found, key=_order_of_score)}


def name_score(metric: str) -> str:
    """Return what a metric of a sensitivity run is called."""
    return text.METRICS.get(metric) or name_metric(metric)


def name_units(unit: str, count: int) -> str:
    """Return what so many units are called: "layer", "layers"."""
    return text.UNITS.get(unit, (unit, f"{unit}s"))[count != 1]


def unit_of_score(metric: str) -> str:
    """Return the unit a metric is in; empty for a task's own."""
    return text.UNITS_OF_METRIC.get(metric, "")


def write_loss(score: SensitivityScoreRecord) -> str:
    """Write a score with its error; far numbers as powers of ten, since scores span decades."""
    value, spread, power = _split_loss(score)
    told = f"{value} ± {spread}" if spread else value
    if not power:
        return told
    return f"({told}){power}" if spread else f"{told}{power}"


def write_parts(score: SensitivityScoreRecord) -> tuple[str, str]:
    """Write a score and, apart from it, its error; "" for a score without one."""
    value, spread, power = _split_loss(score)
    return f"{value}{power}", f"± {spread}{power}" if spread else ""


def build_log_axis(title: str, values: Iterable[float]) -> dict[str, Any]:
    """Return a logarithmic axis, with powers of ten alone where there are several."""
    low, high = find_span(values, is_log=True)
    axis = {"title": title, "type": "log", "exponentformat": "power"}
    return axis | ({"dtick": 1} if high - low > LEAST_DECADES else {})


def label_unit(unit: str) -> str:
    """Return a unit as an axis has room for: a block's number, or its whole name."""
    place = split_name(unit)
    if place.block is None or unit.rpartition(".")[2] != str(place.block):
        return unit
    return f"{place.stack} {place.block}".strip()


def order_of_unit(unit: str) -> tuple[int, int, str]:
    """Return where a unit stands in its model: blocks by number, what has none at the end."""
    place = split_name(unit)
    if place.block is None:
        return (1, UNKNOWN_PLACE, unit)
    return (*place.place, unit)


def find_span(values: Iterable[float], *, is_log: bool) -> tuple[float, float]:
    """Return the ends of a scale over scores, in powers of ten where it is logarithmic."""
    found = [value for value in values if not is_log or value > 0]
    if not found:
        return (0.0, 1.0)
    low, high = min(found), max(found)
    if is_log:
        low, high = math.log10(max(low, high / 10**SHOWN_DECADES)), math.log10(high)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _split_loss(score: SensitivityScoreRecord) -> tuple[str, str, str]:
    """Return value, error and the power of ten that both are to be multiplied by, "" for none."""
    if math.isnan(score.value):
        return "not a number", "", ""
    error = score.standard_error
    if error is None or not math.isfinite(error):
        return write_number(score.value).replace("-", "−"), "", ""
    if not 0 < abs(score.value) < LEAST_PLAIN:
        return write_number(score.value), write_number(error, 2), ""
    power = math.floor(math.log10(abs(score.value)))
    value, spread = (write_fixed(each / 10.0**power, 2) for each in (score.value, error))
    return value, spread, f" × 10{str(power).translate(_SUPERSCRIPTS)}"


def _order_of_score(metric: str) -> tuple[int, int, str]:
    known = list(text.METRICS)
    place = known.index(metric) if metric in known else len(known)
    return (place, order_of_metric(metric), metric)


def _size(value: float) -> float:
    return -math.inf if math.isnan(value) else value
