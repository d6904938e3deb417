"""Scores of a sensitivity run as tables: every unit by width, and how far runs agree.

Start with `list_scores`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from app.plots.sensitivity_scores import Sensitivity, write_parts
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
    shared = _find_stem(found.scores) if found.unit == "layer" else ""
    for unit, scores in found.scores.items():
        name = SortCell(unit.removeprefix(shared), unit)
        cells = [name, *(_write_cell(scores.get(width)) for width in widths)]
        if is_counted:
            cells.append(_write_count((facts or {}).get(unit)))
        href = address_of_layer(run_id, unit) if found.unit == "layer" else ""
        rows.append(SortRow(tuple(cells), href, hint=unit if shared else ""))
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
    return show_table(text.AGREEMENT_COLUMNS, rows, note=_note_pooled(compared)) if rows else None


def say_agreement(own: str, compared: Compared, found: Sensitivity, *, bits: int) -> str:
    """Say how far two runs agree at one width, or why that cannot be told; "" for nothing.

    Over all widths together any two methods agree well, since lower widths lose more by both; that
    number stands in the table alone.

    Args:
        own: What the run's own method is called.
        compared: The other run.
        found: The run's own scores.
        bits: The width that is shown; where the runs do not share it, their lowest is told.
    """
    widths = {each.bits: each for each in compared.found if each.bits is not None}
    if not widths:
        return ""
    told = bits if bits in widths else min(widths)
    at = widths[told]
    if at.correlation is None or at.low is None or at.high is None:
        return text.AGREEMENT_NONE.format(other=compared.name, bits=told, reason=at.reason)
    return text.AGREEMENT_SENTENCE.format(
        own=own,
        value=_write(at.correlation),
        low=_write(at.low),
        high=_write(at.high),
        other=compared.name,
        count=_write_share(at.num_units, found),
        units=found.units_word,
        bits=told,
    )


def _write_share(count: int, found: Sensitivity) -> str:
    """Return how many units both runs scored, and of how many where that is not all."""
    known = found.num_units or found.count
    if count >= known:
        return write_count(count)
    return text.SHARE.format(count=write_count(count), known=write_count(known))


def _note_pooled(compared: Sequence[Compared]) -> str:
    """Return what "all" means where a run is compared at several widths."""
    is_pooled = any(len(each.found) > 2 for each in compared)  # two widths, and all
    return text.AGREEMENT_POOLED if is_pooled else ""


def _write_cell(score: SensitivityScoreRecord | None) -> SortCell:
    if score is None:
        return SortCell(NOTHING, None)
    value, error = write_parts(score)
    return SortCell(value, score.value if math.isfinite(score.value) else None, small=error)


def _find_stem(names: Iterable[str]) -> str:
    """Return what stands before the number of every block, "model.layers."; "" where it differs."""
    stems = {
        ".".join(name.split(".")[: place + 1]) for name in names for place in _find_block(name)
    }
    return f"{stems.pop()}." if len(stems) == 1 else ""


def _find_block(name: str) -> tuple[int, ...]:
    """Return where in a name the word before its block's number stands; nothing outside blocks."""
    parts = name.split(".")
    numbers = [place for place, part in enumerate(parts) if place and part.isdigit()]
    return (numbers[0] - 1,) if numbers else ()


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
