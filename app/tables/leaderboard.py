"""The leaderboard: finished runs grouped by setting, filtered, sorted, baseline first.

Runs of different models or evaluation settings never share a group, because their scores cannot be
compared. What a column holds stands in `leaderboard_columns`. Start with `arrange`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.quantities import write_bits, write_score
from app.tables.cells import Cell
from app.tables.describing import describe_setting, lacks_baseline, nominal_bits
from app.tables.leaderboard_columns import Column, list_columns, list_score_keys, size_of
from app.tables.published import SOURCE, PublishedScore, list_published
from app.text import leaderboard as text
from tasks.store.records import LeaderboardRow


@dataclass(frozen=True)
class View:
    """What a person chose to see.

    Attributes:
        sort: Column id, with "-" in front for descending; "" for effective bits descending.
        search: Words that must all occur in name, model or method, whatever their case.
        min_bits: Least effective bits; None for no bound. The baseline is always shown.
        max_bits: Most effective bits.
        columns: Ids of the columns to write; empty for the default ones.
        published: Whether numbers of others stand under the runs.
    """

    sort: str = ""
    search: str = ""
    min_bits: float | None = None
    max_bits: float | None = None
    columns: tuple[str, ...] = ()
    published: bool = True


@dataclass(frozen=True)
class Row:
    """One run; badges are (word, sentence that explains it)."""

    run_id: int
    is_baseline: bool
    badges: tuple[tuple[str, str], ...]
    cells: dict[str, Cell]


@dataclass(frozen=True)
class PublishedRow:
    """What others have published of another model; cells only where it has a number."""

    name: str
    title: str
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Group:
    """Runs of one model and evaluation setting.

    Attributes:
        key: The `baseline_key` they share.
        title: Model and setting in words.
        columns: All columns these runs have; `shown` says which are shown unasked.
        rows: Baseline first, then as sorted.
        num_hidden: Runs the filter left out.
        published: Numbers of others for the same benchmarks, in their own order; never sorted,
            filtered or compared with the runs.
        note: Why there is no baseline among the runs; empty where there is one.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    num_hidden: int
    note: str = ""
    published: tuple[PublishedRow, ...] = ()


def arrange(rows: Sequence[LeaderboardRow], view: View) -> tuple[Group, ...]:
    """Group, filter and sort finished runs; the setting with most runs comes first."""
    by_key: dict[str, list[LeaderboardRow]] = {}
    for row in sorted(rows, key=lambda row: row.run.id, reverse=True):
        by_key.setdefault(row.run.baseline_key, []).append(row)
    groups = sorted(by_key.items(), key=lambda item: -len(item[1]))
    return tuple(_arrange_group(key, members, view) for key, members in groups)


def is_kept(row: LeaderboardRow, view: View) -> bool:
    """Whether the filter lets the run through; a baseline always passes."""
    if row.run.is_baseline:
        return True
    bits = size_of(row, "effective_bits")
    bits = nominal_bits(row.run) if bits is None else bits
    if view.min_bits is not None and bits < view.min_bits:
        return False
    if view.max_bits is not None and bits > view.max_bits:
        return False
    columns = {column.id: column for column in list_columns(())}
    parts = [columns[key].fill(row).text for key in ("name", "model", "method")]
    said = " ".join(parts).casefold()
    return all(word in said for word in view.search.casefold().split())


def list_badges(row: LeaderboardRow) -> tuple[tuple[str, str], ...]:
    """Return what must be said beside the name, each with its sentence."""
    badges = []
    if row.run.is_baseline:
        badges.append(("baseline", "The untuned 16-bit model that the others are compared with."))
    if row.tuned:
        badges.append(("tuned", "Trained, and compared with a baseline that was not."))
    if any(score.limited for score in row.scores.values()):
        badges.append(("limit", "Measured on a part of the data only."))
    return tuple(badges)


def shown_columns(group: Group, view: View) -> tuple[Column, ...]:
    """Return the group's columns that were chosen, or those shown unasked."""
    if view.columns:
        return tuple(column for column in group.columns if column.id in view.columns)
    return tuple(column for column in group.columns if column.shown)


def _arrange_group(key: str, members: list[LeaderboardRow], view: View) -> Group:
    columns = list_columns(members)
    kept = [row for row in members if is_kept(row, view)]
    rows = [_build_row(row, columns) for row in kept]
    rows = _sort(rows, view.sort, {column.id for column in columns})
    title = describe_setting(members[0].run)
    note = "" if any(row.run.is_baseline for row in members) else text.NO_BASELINE
    if note and lacks_baseline(members[0].run):
        note = text.NO_BASELINE_OF_HEAD
    published = _list_published(members) if view.published else ()
    return Group(key, title, columns, tuple(rows), len(members) - len(kept), note, published)


def find_published(key: str, members: Sequence[LeaderboardRow]) -> tuple[PublishedScore, ...]:
    """Return what others published on the score `key` ("benchmark|metric") of these runs."""
    benchmark, _, metric = key.rpartition("|")
    config = next((row.run.spec["evaluation"]["data"].get("config") for row in members), None)
    return list_published(benchmark, metric, config=config)


def _list_published(members: list[LeaderboardRow]) -> tuple[PublishedRow, ...]:
    """Return a row for each model and method that others measured on one of these scores."""
    rows: dict[tuple[str, float], PublishedRow] = {}
    for key in list_score_keys(members):
        for score in find_published(key, members):
            title = text.PUBLISHED_HINT.format(
                table=score.table, source=SOURCE, caution=text.PUBLISHED_CAUTION
            )
            bits = {"bits": Cell(score.bits, write_bits(score.bits))}
            row = PublishedRow(score.name, title, bits)
            row = rows.setdefault((score.name, score.bits), row)
            written = write_score(score.metric, score.value, score.error)
            row.cells[f"score:{key}"] = Cell(score.value, written, error=score.error)
    return tuple(rows.values())


def _build_row(row: LeaderboardRow, columns: tuple[Column, ...]) -> Row:
    cells = {column.id: column.fill(row) for column in columns}
    return Row(row.run.id, row.run.is_baseline, list_badges(row), cells)


def _sort(rows: list[Row], sort: str, known: set[str]) -> list[Row]:
    """Sort stably; cells without a value come last whichever way, baselines first."""
    is_descending, column = sort.startswith("-"), sort.removeprefix("-")
    if column not in known:
        column, is_descending = "effective_bits", True
    numbers = [r for r in rows if isinstance(r.cells[column].value, int | float)]
    texts = [r for r in rows if isinstance(r.cells[column].value, str)]
    empty = [r for r in rows if r.cells[column].value is None]
    numbers.sort(key=lambda r: float(r.cells[column].value or 0), reverse=is_descending)
    texts.sort(key=lambda r: str(r.cells[column].value).casefold(), reverse=is_descending)
    return sorted([*numbers, *texts, *empty], key=lambda r: not r.is_baseline)
