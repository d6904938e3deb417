"""Scores of a sensitivity run as tables: every unit by width, and how far runs agree.

Start with `list_scores`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from app.plots.sensitivity_scores import Sensitivity, write_loss
from app.quantities import NOTHING, write_count, write_fixed
from app.tables.sortable import SortCell, SortRow, show_table
from app.text import sensitivity as text
from engine.sensitivity.agreement import Agreement
from engine.sensitivity.layer_facts import LayerFact
from tasks.store.records import SensitivityScoreRecord

DECIMALS = 2


@dataclass(frozen=True)
class Compared:
    """How far a run agrees with another: its number, method and name, and how far by width."""

    run_id: int
    method: str
    name: str
    found: tuple[Agreement, ...]


def address_of_layer(run_id: int, name: str) -> str:
    """Return where a layer's page is, whatever is in its name."""
    return f"/layer?run={run_id}&name={quote(name, safe='')}"


def list_scores(
    found: Sensitivity,
    bits: int,
    *,
    run_id: int,
    facts: Mapping[str, LayerFact] | None = None,
) -> dict[str, Any] | None:
    """Return a row for every unit, a column for every width with errors, sorted by one width.

    Args:
        found: What is shown.
        bits: The width it is sorted by.
        run_id: Whose layers they are; layers lead to their pages.
        facts: What is known of each layer's weights.
    """
    if not found.scores:
        return None
    is_counted = bool(facts) and found.unit == "layer"
    columns = [text.UNIT_COLUMN[found.unit]]
    widths = tuple(reversed(found.widths))  # those that hurt stand first
    columns += [text.BITS_COLUMN.format(bits=width) for width in widths]
    rows = []
    for unit, scores in found.scores.items():
        cells = [SortCell(unit, unit), *(_write_cell(scores.get(width)) for width in widths)]
        if is_counted:
            cells.append(_write_count((facts or {}).get(unit)))
        href = address_of_layer(run_id, unit) if found.unit == "layer" else ""
        rows.append(SortRow(tuple(cells), href))
    place = 1 + widths.index(bits) if bits in widths else 0
    return show_table(
        [*columns, *([text.WEIGHTS_COLUMN] if is_counted else [])],
        rows,
        sorted_by=place,
        note=text.ERROR_NOTE,
    )


def list_agreement(compared: Sequence[Compared]) -> dict[str, Any] | None:
    """Return a row for every other run and width, sorted by run."""
    rows = [
        SortRow(
            (
                SortCell(each.name, each.name),
                SortCell(_name_bits(found.bits), found.bits or 0),
                SortCell(_write_correlation(found), found.correlation),
                SortCell(_write_interval(found), found.low),
                SortCell(write_count(found.num_units), found.num_units),
            ),
            f"/run?id={each.run_id}",
        )
        for each in compared
        for found in each.found
    ]
    return show_table(text.AGREEMENT_COLUMNS, rows) if rows else None


def say_agreement(own: str, compared: Compared, units: str) -> str:
    """Say how far two runs agree over all widths, or why that cannot be told; "" for nothing.

    Args:
        own: What the run's own method is called.
        compared: The other run.
        units: What units are called.
    """
    found = next((each for each in compared.found if each.bits is None), None)
    if found is None:
        return ""
    if found.correlation is None or found.low is None or found.high is None:
        return text.AGREEMENT_NONE.format(other=compared.name, reason=found.reason)
    widths = [each.bits for each in compared.found if each.bits is not None]
    single = text.AT_BITS.format(bits=widths[0]) if len(widths) == 1 else text.ALL_WIDTHS
    return text.AGREEMENT_SENTENCE.format(
        own=own,
        value=_write(found.correlation),
        low=_write(found.low),
        high=_write(found.high),
        other=compared.name,
        count=write_count(found.num_units),
        units=units,
        bits=single,
    )


def _write_cell(score: SensitivityScoreRecord | None) -> SortCell:
    if score is None:
        return SortCell(NOTHING, None)
    return SortCell(write_loss(score), score.value if math.isfinite(score.value) else None)


def _write_count(fact: LayerFact | None) -> SortCell:
    if fact is None:
        return SortCell(NOTHING, None)
    return SortCell(write_count(fact.num_weights), fact.num_weights)


def _name_bits(bits: int | None) -> str:
    return text.ALL if bits is None else str(bits)


def _write_correlation(found: Agreement) -> str:
    return NOTHING if found.correlation is None else _write(found.correlation)


def _write_interval(found: Agreement) -> str:
    if found.low is None or found.high is None:
        return found.reason or NOTHING
    return f"{_write(found.low)} … {_write(found.high)}"


def _write(value: float) -> str:
    return write_fixed(value, DECIMALS)
