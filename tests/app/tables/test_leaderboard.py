"""Promises of the leaderboard: what stands beside what, in which order."""

from __future__ import annotations

import pytest

from app.tables.leaderboard import View, arrange, shown_columns
from app.tables.writing import escape_markdown, guard_formula, write_csv, write_markdown
from tasks.store import leaderboard
from tasks.store.records import LeaderboardRow
from tests.filled import Filled

PERPLEXITY = "score:text/bundled:python-docs|perplexity"
DELTA = "delta:text/bundled:python-docs|perplexity"


@pytest.fixture
def rows(filled: Filled) -> tuple[LeaderboardRow, ...]:
    """Return the finished runs of the filled store."""
    return leaderboard.list_rows(filled.services.database)


def list_ids(rows: tuple[LeaderboardRow, ...], view: View) -> list[int]:
    """Return the runs of the first group, in order."""
    return [row.run_id for row in arrange(rows, view)[0].rows]


@pytest.mark.parametrize("column", ["name", "bits", "size", PERPLEXITY, DELTA, "finished"])
def test_every_column_sorts_both_ways_under_the_baseline(
    rows: tuple[LeaderboardRow, ...], filled: Filled, column: str
) -> None:
    """Sorting orders by the column's value, backwards reverses it, the baseline stays on top."""
    group, reverse = (arrange(rows, View(sort=sort))[0] for sort in (column, f"-{column}"))
    values = [row.cells[column].value for row in group.rows[1:]]
    keys = [value.casefold() if isinstance(value, str) else value for value in values]
    assert keys == sorted(keys)  # type: ignore[type-var]
    backwards = [row.cells[column].value for row in reverse.rows[1:]]
    assert sorted(map(str, backwards)) == sorted(map(str, values))
    assert backwards[0] == values[-1]
    assert group.rows[0].run_id == reverse.rows[0].run_id == filled.samples.baseline


def test_unknown_sort_falls_back_to_effective_bits(rows: tuple[LeaderboardRow, ...]) -> None:
    """An address with a column that is not there shows the usual order."""
    assert list_ids(rows, View(sort="-nonsense")) == list_ids(rows, View())


def test_filter_keeps_the_baseline_and_counts_the_rest(
    rows: tuple[LeaderboardRow, ...], filled: Filled
) -> None:
    """What a filter hides is counted; the baseline is never hidden."""
    group = arrange(rows, View(max_bits=2.5))[0]
    assert [row.cells["bits"].value for row in group.rows] == [16.0, 2.0, 2.0]
    assert group.num_hidden == 5
    found = list_ids(rows, View(search="QAT 3-BIT"))
    assert found == [filled.samples.baseline, filled.samples.qat]


def test_badges_say_what_a_number_rests_on(
    rows: tuple[LeaderboardRow, ...], filled: Filled
) -> None:
    """Tuned, limited and baseline runs say so, each with a sentence."""
    group = arrange(rows, View())[0]
    words = {row.run_id: [word for word, _ in row.badges] for row in group.rows}
    assert words[filled.samples.baseline] == ["baseline", "limit"]
    assert words[filled.samples.rtn[4]] == ["limit"]
    assert words[filled.samples.qat] == ["tuned", "limit"]
    assert all(sentence for row in group.rows for _, sentence in row.badges)


def test_without_a_baseline_there_is_no_difference(rows: tuple[LeaderboardRow, ...]) -> None:
    """A setting whose baseline is not measured is never compared with another's."""
    alone = arrange(rows, View())[1]
    assert DELTA not in {column.id for column in alone.columns}
    assert not any(row.is_baseline for row in alone.rows)


def test_difference_is_a_ratio_with_its_direction(
    rows: tuple[LeaderboardRow, ...], filled: Filled
) -> None:
    """A higher perplexity than the baseline's is a ratio above one, an upward arrow and worse."""
    cells = {row.run_id: row.cells for row in arrange(rows, View())[0].rows}
    delta = cells[filled.samples.qat][DELTA]
    assert delta.value == pytest.approx(31.4 / 18.42)
    assert delta.text.startswith("▲")
    assert (delta.tone, delta.note) == ("worse", "+13.0")
    assert cells[filled.samples.baseline][DELTA].value is None


def test_chosen_columns_come_in_their_own_order(rows: tuple[LeaderboardRow, ...]) -> None:
    """Choosing columns changes which are written, not their order."""
    view = View(columns=("memory", "name", "unknown"))
    group = arrange(rows, view)[0]
    assert [column.id for column in shown_columns(group, view)] == ["name", "memory"]
    header = write_csv([group], view).splitlines()[0]
    assert header == "setting,run,Run,Peak memory (MiB),badges"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_formulas_are_disarmed(start: str) -> None:
    """A text that a spreadsheet would execute gets an apostrophe; other texts stay."""
    assert guard_formula(f"{start}cmd") == f"'{start}cmd"
    assert guard_formula(f"a{start}cmd") == f"a{start}cmd"


def test_markdown_text_stands_for_itself() -> None:
    """Line breaks and signs of Markdown and HTML lose their meaning."""
    assert escape_markdown("a|b\n<c> [d](e)") == "a\\|b &lt;c&gt; \\[d\\](e)"


def test_nothing_finished_is_said(rows: tuple[LeaderboardRow, ...]) -> None:
    """An empty leaderboard is a header alone, and a sentence in Markdown."""
    assert arrange((), View()) == ()
    assert write_csv((), View()) == "setting,run,badges\r\n"
    assert write_markdown((), View()) == "No finished run yet.\n"
