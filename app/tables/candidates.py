"""What a rank search evaluated, as a table and one configuration at a time.

Start with `describe_table`; `describe_candidate` is what is said of the selected one.
"""

from __future__ import annotations

from typing import Any

from app.plots.candidates import Candidates, describe_error, name_origin
from app.quantities import write_count
from app.text import ranks as text
from engine.search.ordering import order_best_first
from tasks.store.records import CandidateRecord, RunRecord

MOST_ROWS = 200


def describe_table(found: Candidates, *, selected: int | None) -> dict[str, Any]:
    """Return the value of `CandidateTable`: the best first, only so many of very many.

    Args:
        found: What was evaluated, with front and best.
        selected: Position of the selected configuration.
    """
    order = order_best_first(found.records)
    note = ""
    if len(order) > MOST_ROWS:
        note = text.TOO_MANY.format(shown=MOST_ROWS, count=write_count(len(order)))
    return {
        "columns": list(text.CANDIDATE_COLUMNS),
        "rows": [_describe_row(found, record) for record in order[:MOST_ROWS]],
        "selected": selected,
        "note": note,
    }


def describe_candidate(
    run: RunRecord, found: Candidates, position: int | None, *, problem: str = ""
) -> dict[str, Any] | None:
    """Return the value of `CandidateView`; None where there is no such configuration.

    Args:
        run: The search.
        found: What it evaluated.
        position: The selected configuration.
        problem: What a person must be told about the last action.
    """
    record = find_record(found, position)
    if record is None:
        return None
    ranks = ",".join(map(str, record.ranks))
    return {
        "position": record.position,
        "title": text.CANDIDATE.format(
            number=record.position + 1, origin=name_origin(record.origin)
        ),
        "marks": _list_marks(found, record),
        "numbers": _write_numbers(record),
        "ranks": ranks.replace(",", ", "),
        "command": text.EVALUATE_COMMAND.format(parent=run.parent_id, ranks=ranks),
        "clone": f"/new?clone={run.parent_id}&ranks={ranks}" if run.parent_id else "",
        "parent": run.parent_id,
        "problem": problem,
    }


def find_record(found: Candidates, position: int | None) -> CandidateRecord | None:
    """Return the configuration at a position, or None."""
    return next((record for record in found.records if record.position == position), None)


def _write_numbers(record: CandidateRecord) -> str:
    parts = (
        f"{text.METRICS.get(record.metric, record.metric)} {describe_error(record)}",
        text.EXAMPLES.format(count=write_count(record.num_samples)),
        text.PARAMETERS.format(count=write_count(record.adapter_parameters)),
    )
    return " · ".join(parts)


def _describe_row(found: Candidates, record: CandidateRecord) -> dict[str, Any]:
    return {
        "position": record.position,
        "number": f"#{record.position + 1}",
        "origin": name_origin(record.origin),
        "marks": _list_marks(found, record),
        "cells": [
            describe_error(record),
            write_count(record.num_samples),
            write_count(record.adapter_parameters),
        ],
    }


def _list_marks(found: Candidates, record: CandidateRecord) -> list[dict[str, str]]:
    marks = []
    if found.best is not None and found.records[found.best] is record:
        marks.append({"kind": "best", "word": text.MARKS["best"]})
    if any(found.records[place] is record for place in found.front):
        marks.append({"kind": "front", "word": text.MARKS["front"]})
    return marks
