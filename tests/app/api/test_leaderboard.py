"""Promises of the leaderboard over REST: one view as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io

import pytest
from starlette.testclient import TestClient

from tests.filled import Filled
from tests.store_samples import HOSTILE_NAME


def read_csv(client: TestClient, **query: str) -> list[dict[str, str]]:
    """Return the rows of the CSV file by header."""
    reply = client.get("/api/v1/leaderboard.csv", params=query)
    assert reply.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(reply.text.removeprefix("\ufeff"))))


def test_settings_are_apart_and_baselines_first(client: TestClient, filled: Filled) -> None:
    """Runs on other windows stand in a group of their own; the baseline leads its group."""
    groups = client.get("/api/v1/leaderboard").json()["groups"]
    assert [len(group["rows"]) for group in groups] == [8, 1]
    assert groups[0]["rows"][0]["run_id"] == filled.samples.baseline
    assert [row["is_baseline"] for row in groups[0]["rows"]].count(True) == 1


def test_csv_json_and_markdown_show_the_same_order(client: TestClient) -> None:
    """The three forms of a view hold the same runs in the same order."""
    query = {"sort": "score:text/bundled:python-docs|perplexity", "max_bits": "5"}
    groups = client.get("/api/v1/leaderboard", params=query).json()["groups"]
    ids = [str(row["run_id"]) for group in groups for row in group["rows"]]
    rows = read_csv(client, **query)
    assert [row["run"] for row in rows] == ids
    lines = client.get("/api/v1/leaderboard.md", params=query).text.splitlines()
    table = [line for line in lines if line.startswith("| ") and "---" not in line]
    assert len(table) == len(ids) + len(groups)


def test_csv_holds_raw_numbers_with_error_and_count(client: TestClient, filled: Filled) -> None:
    """A spreadsheet gets the score, its standard error and sample count as plain numbers."""
    row = next(row for row in read_csv(client) if row["run"] == str(filled.samples.qat))
    assert float(row["Perplexity"]) == 31.4
    assert float(row["Perplexity standard error"]) == pytest.approx(31.4 / 85)
    assert row["Perplexity samples"] == "4080"
    assert float(row["Δ Perplexity"]) == pytest.approx(31.4 / 18.42)
    assert row["badges"] == "tuned limit"


def test_markdown_shows_a_hostile_name_as_it_is(client: TestClient) -> None:
    """Neither a pipe nor a tag in a name breaks the table or becomes markup."""
    text = client.get("/api/v1/leaderboard.md").text
    line = next(line for line in text.splitlines() if "onerror" in line)
    assert "<img" not in text
    assert "\\|" in line
    header = next(line for line in text.splitlines() if line.startswith("| Run"))
    assert line.replace("\\|", "").count("|") == header.count("|")
    assert HOSTILE_NAME not in text


@pytest.mark.parametrize("query", [{"min_bits": "x"}, {"max_bits": "-1"}, {"search": "x" * 201}])
def test_bad_view_is_refused(client: TestClient, query: dict[str, str]) -> None:
    """A filter that is none is refused by its name."""
    reply = client.get("/api/v1/leaderboard", params=query)
    assert reply.status_code == 422
    assert reply.json()["problems"][0]["field"] == next(iter(query))


def test_presets_and_schema_are_those_of_the_specs(client: TestClient) -> None:
    """Who builds a form elsewhere finds presets, limits and help sentences."""
    names = [preset["name"] for preset in client.get("/api/v1/presets").json()]
    assert {"baseline", "rtn", "qat-lora"} <= set(names)
    schema = client.get("/api/v1/schema").json()
    assert schema["$defs"]["IntegerQuantizer"]["properties"]["bits"]["maximum"] == 8
