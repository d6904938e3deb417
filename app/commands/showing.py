"""How results look on a terminal, and as JSON. Start with `say` and `write_json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.commands.checks import Check
from app.quantities import write_bytes, write_seconds
from app.tables.leaderboard import View, arrange, shown_columns
from engine.specs import load_spec, to_yaml
from tasks.store.records import LeaderboardRow, RunRecord, ScoreRecord

UNTOLD = (None, "none")


def say(sentence: str, *, file: TextIO | None = None) -> None:
    """Print one line as it is, without any markup; to stdout unless told otherwise."""
    Console(soft_wrap=True, highlight=False, file=file).print(Text(sentence))


def write_json(value: Any) -> None:
    """Print a record, a tuple of records or plain values as JSON."""
    Console(soft_wrap=True, highlight=False).print(
        Text(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))
    )


def print_runs(runs: Sequence[RunRecord]) -> None:
    """Print runs as a table, newest first."""
    table = Table("#", "Run", "State", "Progress", "Queued", box=None, header_style="bold")
    for run in runs:
        progress = f"{run.progress_done}/{run.progress_total}" if run.progress_total else ""
        queued = f"{run.queued_at:%Y-%m-%d %H:%M}" if run.queued_at else ""
        table.add_row(
            str(run.id), Text(run.name), run.state, Text(f"{run.stage or ''} {progress}"), queued
        )
    Console().print(table if runs else "no runs yet")


def print_leaderboard(rows: Sequence[LeaderboardRow]) -> None:
    """Print finished runs, one table for each model and evaluation setting."""
    view = View()
    console = _wide_console()
    for group in arrange(rows, view):
        columns = shown_columns(group, view)
        table = Table(title=Text(group.title), title_justify="left", header_style="bold")
        for column in columns:
            title = f"{column.title} {column.unit}".strip()
            table.add_column(Text(title), justify="right" if column.align == "number" else "left")
        for row in group.rows:
            table.add_row(*(Text(row.cells[column.id].text) for column in columns))
        console.print(table)
    if not rows:
        console.print("no finished runs yet")


def print_run(run: RunRecord, scores: Sequence[ScoreRecord], *, lines: Sequence[str] = ()) -> None:
    """Print where a run stands, its scores, what else is told of it, and its complete spec."""
    say(f"run {run.id}: {run.name}")
    say(f"state: {run.state}" + (f", {run.stage}" if run.stage and run.state == "running" else ""))
    if run.failure_message:
        say(f"failure: {run.failure_message}")
    say_scores(scores)
    for line in lines:
        say(line)
    say(f"\n{to_yaml(load_spec(run.spec)).rstrip()}")


def say_scores(scores: Sequence[ScoreRecord]) -> None:
    """Print what was measured, one line each, with error and sample count."""
    for score in scores:
        error = "" if score.standard_error is None else f" ± {score.standard_error:.3g}"
        limit = ", on a limit" if score.limited else ""
        how = "".join(f", {words}" for words in _describe_harness(score))
        number = f"{score.value:.6g}{error} (n={score.num_samples}{limit}{how})"
        before = " before training" if score.phase == "before" else ""
        say(f"{score.metric} on {score.benchmark}{before}: {number}")


def _describe_harness(score: ScoreRecord) -> list[str]:
    """Say how a benchmark was asked; nothing for text."""
    told = score.details
    words = [f"{told['num_fewshot']}-shot"] if told.get("num_fewshot") is not None else []
    words += [f"{key} {told[key]}" for key in ("filter", "limit") if told.get(key) not in UNTOLD]
    return [*words, str(told["harness"])] if told.get("harness") else words


def say_estimate(estimate: Any) -> None:
    """Print what a request is expected to need."""
    if estimate is None:
        say("\nno estimate: the model's shapes are not known yet")
        return
    bits = f"{estimate.effective_bits:.2f} bits per weight"
    say(f"\nsize:   {write_bytes(estimate.total_bytes)}, {bits}")
    say_needs(estimate)


def say_needs(estimate: Any) -> None:
    """Print the memory and time that a request is expected to need."""
    if estimate is None:
        say("no estimate: the model's shapes are not known yet")
        return
    say(f"memory: {write_bytes(estimate.peak_memory_bytes)} at the peak")
    say(f"time:   {write_seconds(estimate.seconds)}, from {estimate.basis}")


def print_checks(checks: Sequence[Check]) -> None:
    """Print what the doctor found, one line each."""
    colors = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table(box=None, show_header=False)
    for check in checks:
        remedy = f"→ {check.remedy}" if check.remedy else ""
        status = Text(check.status, style=colors[check.status])
        table.add_row(status, check.name, Text(f"{check.message} {remedy}".strip()))
    _wide_console().print(table)


def _wide_console() -> Console:
    """A console that folds nothing where the output is a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _plain(value: Any) -> Any:
    """Turn records into what JSON knows; numbers that are none become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return None
    return value
