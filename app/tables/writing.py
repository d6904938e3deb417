"""A leaderboard as a file: CSV for a spreadsheet, Markdown for a report.

The same groups, columns and order as on the page. Start with `write_csv`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from app.tables.cells import Cell
from app.tables.leaderboard import Group, Row, View, shown_columns
from app.tables.leaderboard_columns import Column

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN_SPECIALS = str.maketrans(
    {**{sign: "\\" + sign for sign in "\\`*_[]|~#!"}, "<": "&lt;", ">": "&gt;", "&": "&amp;"}
)


def write_csv(groups: Sequence[Group], view: View) -> str:
    """Write all groups as one CSV table: setting, run, the chosen columns, badges.

    Numbers are raw: scores in the metric's own unit, each with error and count. A text that a
    spreadsheet would take for a formula gets an apostrophe in front.
    """
    columns = _all_columns(groups, view)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    titles = [title for column in columns.values() for title in _titles(column)]
    writer.writerow(["setting", "run", *map(guard_formula, titles), "badges"])
    for group in groups:
        for row in group.rows:
            cells = [part for key in columns for part in _raw_parts(key, row.cells.get(key))]
            badges = " ".join(word for word, _ in row.badges)
            writer.writerow([guard_formula(group.title), row.run_id, *cells, badges])
    return text.getvalue()


def write_markdown(groups: Sequence[Group], view: View) -> str:
    """Write each group as a heading and a pipe table, numbers as a person reads them."""
    parts = [_write_group(group, shown_columns(group, view)) for group in groups if group.rows]
    return "\n".join(parts) if parts else "No finished run yet.\n"


def guard_formula(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would execute."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def escape_markdown(text: str) -> str:
    """Make a text stand for itself inside a Markdown table."""
    return " ".join(text.split()).translate(_MARKDOWN_SPECIALS)


def _all_columns(groups: Sequence[Group], view: View) -> dict[str, Column]:
    by_width = sorted(groups, key=lambda group: -len(group.columns))
    return {column.id: column for group in by_width for column in shown_columns(group, view)}


def _titles(column: Column) -> list[str]:
    """Return one header, or three for a score, which is written with error and count."""
    if not column.id.startswith("score:"):
        return [_title(column)]
    return [column.title, f"{column.title} standard error", f"{column.title} samples"]


def _raw_parts(column: str, cell: Cell | None) -> list[str | float]:
    if not column.startswith("score:"):
        return [_raw(cell)]
    if cell is None or cell.value is None:
        return ["", "", ""]
    error, count = cell.error, cell.num_samples
    return [_raw(cell), "" if error is None else error, "" if count is None else count]


def _title(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit else column.title


def _raw(cell: Cell | None) -> str | float:
    if cell is None or cell.value is None:
        return ""
    return guard_formula(cell.value) if isinstance(cell.value, str) else cell.value


def _write_group(group: Group, columns: Sequence[Column]) -> str:
    header = " | ".join(escape_markdown(_title(column)) for column in columns)
    rule = " | ".join("---:" if column.align == "number" else "---" for column in columns)
    lines = [f"### {escape_markdown(group.title)}", "", f"| {header} |", f"| {rule} |"]
    lines += [f"| {_write_row(row, columns)} |" for row in group.rows]
    return "\n".join([*lines, ""])


def _write_row(row: Row, columns: Sequence[Column]) -> str:
    written = []
    for column in columns:
        cell = row.cells[column.id]
        text = escape_markdown(f"{cell.text} ({cell.note})" if cell.note else cell.text)
        if column.id == "name":
            text += "".join(f" *{word}*" for word, _ in row.badges)
        written.append(text)
    return " | ".join(written)
