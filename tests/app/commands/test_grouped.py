"""Promises of options in groups: words of the command line like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from app.commands.grouped import grouped


@dataclass(frozen=True)
class Paint:
    """Two options that belong together."""

    color: str = "red"
    coats: Annotated[int, typer.Option("--times", min=1)] = 1


@grouped
def paint(what: str, *, paint: Paint, is_dry: bool = False) -> None:
    """Paint something."""
    typer.echo(f"{what} {paint} {is_dry}")


def call(*words: str) -> tuple[int, str]:
    """Call the command; return exit code and output."""
    app = typer.Typer()
    app.command()(paint)
    answer = CliRunner().invoke(app, words)
    return answer.exit_code, answer.output


def test_fields_are_words() -> None:
    """Names, defaults and limits are those of the fields; the command gets its dataclass."""
    assert call("door") == (0, f"door {Paint()} False\n")
    expected = (0, f"door {Paint('blue', 2)} True\n")
    assert call("door", "--times", "2", "--color", "blue", "--is-dry") == expected
    assert call("door", "--times", "0")[0] == 2


def test_words_stand_where_the_group_stands() -> None:
    """The help lists a group's options in its place, under the command's own sentence."""
    code, told = call("--help")
    assert code == 0
    assert "Paint something." in told
    assert told.index("--color") < told.index("--times") < told.index("--is-dry")
