"""Promises about numbers of others: there to be seen, and never among our own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.api import build_api
from app.pages.leaderboard import draw_figure, list_choices
from app.plots.quality_against_bits import draw
from app.plots.quality_points import Look, read_points
from app.tables.leaderboard import View, arrange, find_published
from app.tables.published import PUBLISHED, list_published
from app.tables.writing import write_csv
from tasks.store import leaderboard
from tasks.store.records import LeaderboardRow
from tests.filled import Started
from tests.start_samples import BENCHMARK

PERPLEXITY = f"{BENCHMARK}|perplexity"


@pytest.fixture
def rows(started: Started) -> tuple[LeaderboardRow, ...]:
    """Return the finished runs of the setting with families of starts."""
    found = leaderboard.list_rows(started.services.database)
    return tuple(row for row in found if PERPLEXITY in row.scores)


@pytest.mark.parametrize(
    ("benchmark", "metric", "config", "count"),
    [
        ("text/Salesforce/wikitext", "perplexity", "wikitext-2-raw-v1", 12),
        ("text/Salesforce/wikitext", "perplexity", "wikitext-103-raw-v1", 0),
        ("text/wikitext-2-raw", "perplexity", None, 12),
        ("text/me/my-wikitext", "perplexity", None, 0),
        ("text/Salesforce/wikitext", "kl_divergence", "wikitext-2-raw-v1", 0),
        ("text/bundled:python-docs", "perplexity", None, 0),
        ("gsm8k", "exact_match (strict-match)", None, 20),
        ("gsm8k", "exact_match (flexible-extract)", None, 0),
        ("sst2", "accuracy", None, 5),
        ("cola", "matthews_correlation", None, 5),
        ("xsum", "rouge2", None, 3),
    ],
)
def test_only_the_same_benchmark_and_metric_stand_beside(
    benchmark: str, metric: str, *, config: str | None, count: int
) -> None:
    """A number is shown where it was measured on the same task by the same metric, and once."""
    assert len(list_published(benchmark, metric, config=config)) == count


def test_published_numbers_are_those_of_the_table() -> None:
    """The README's numbers are found again, in our units (Li et al., 2023)."""
    numbers = {(each.name, each.bits, each.benchmark, each.metric): each for each in PUBLISHED}
    assert len(numbers) == len(PUBLISHED)
    assert numbers["LLAMA-2-7b, LoftQ", 2.5, "wikitext-2", "perplexity"].value == 5.78
    assert numbers["LLAMA-2-13b, LoftQ", 2, "gsm8k", "exact_match"].value == pytest.approx(0.254)
    phi = numbers["Phi-2, LoftQ, rank 64", 4, "gsm8k", "exact_match"]
    assert phi.value == pytest.approx(0.641)
    assert phi.error == pytest.approx(0.007)
    uniform = "DeBERTa-V3-base, LoftQ on uniform quantization, rank 32"
    assert numbers[uniform, 2, "sst2", "accuracy"].value == pytest.approx(0.947)
    assert all(each.error is None for each in PUBLISHED if each.model.startswith("LLAMA-2"))
    in_16_bits = {(each.model, each.method) for each in PUBLISHED if each.bits == 16}
    assert in_16_bits == {
        *((model, "16 bits") for model in ("LLAMA-2-7b", "LLAMA-2-13b")),
        *((model, "16 bits") for model in ("BART-large", "DeBERTa-V3-base")),
        *(
            (model, way)
            for model in ("Phi-2", "LLAMA-3-8B")
            for way in ("full fine-tuning", "LoRA")
        ),
    }
    assert all(0 < each.value < 1 for each in PUBLISHED if each.metric != "perplexity")


def test_published_rows_stand_apart_and_can_be_switched_off(
    rows: tuple[LeaderboardRow, ...],
) -> None:
    """They follow the runs in their own order, whatever is sorted, searched or exported."""
    for sort in ("", f"score:{PERPLEXITY}", f"-score:{PERPLEXITY}", "bits"):
        [group], [without] = (
            arrange(rows, View(sort=sort, published=published)) for published in (True, False)
        )
        assert len(group.rows) == 14
        assert [row.run_id for row in group.rows] == [row.run_id for row in without.rows]
        assert (len(group.published), len(without.published)) == (12, 0)
    [group] = arrange(rows, View(search="no such run"))
    assert [row.is_baseline for row in group.rows] == [True]
    assert len(group.published) == 12
    assert group.published[0].cells["bits"].text == "16"
    assert "2310.08659" in group.published[0].title
    assert "authors' own spread" in group.published[0].title
    assert all(cell.tone == "" for row in group.published for cell in row.cells.values())
    assert {row.name for row in group.published}.isdisjoint(
        row.cells["name"].text for row in group.rows
    )
    assert "LLAMA" not in write_csv([group], View())


def test_published_numbers_change_nothing_of_the_figure(
    rows: tuple[LeaderboardRow, ...],
) -> None:
    """Front, points and lines are the same; axes may widen; they are hollow and say so."""
    shown = find_published(PERPLEXITY, rows)
    alone, beside = (read_points(rows, PERPLEXITY, published=each) for each in ((), shown))
    assert (alone.points, alone.front, alone.baseline) == (
        beside.points,
        beside.front,
        beside.baseline,
    )
    own, traces = draw(alone)["data"], draw(beside)["data"]
    assert traces[: len(own)] == own
    low, high = draw(alone)["layout"]["xaxis"]["range"]
    wider = draw(beside)["layout"]["xaxis"]["range"]
    assert wider[0] <= low < high <= wider[1]
    for trace in traces[len(own) :]:
        assert "published, another model" in trace["name"]
        assert trace["marker"]["symbol"].endswith("-open")
        assert trace["line"]["dash"] == "dot"
        assert max(trace["x"]) < 16
        assert "customdata" not in trace
    assert "published" in draw(beside)["meta"]["aria"]


def test_a_family_is_a_line_over_its_widths(rows: tuple[LeaderboardRow, ...]) -> None:
    """Runs that differ in width alone share a line, by rising bits; every run keeps its marker."""
    found = read_points(rows, PERPLEXITY, look=Look(families=True))
    groups = {point.group for point in found.points}
    assert groups == {
        "NormalFloat, round to nearest",
        "NormalFloat, LoftQ + LoRA 16",
        "NormalFloat, data-aware + LoRA 16",
    }
    data = draw(found)["data"]
    lines = [trace for trace in data if trace["mode"] == "lines"]
    assert {line["name"] for line in lines} == groups
    for line in lines:
        assert line["x"] == sorted(line["x"])
        assert line["y"] == sorted(line["y"], reverse=True)
    assert sum(len(t["x"]) for t in data if t["mode"] == "markers") == len(found.points) == 13
    by_name = {trace["name"]: trace["line"]["color"] for trace in lines}
    markers = {t["name"]: t["marker"]["color"] for t in data if t["mode"] == "markers"}
    assert by_name == markers


def test_a_line_takes_the_best_of_a_width(rows: tuple[LeaderboardRow, ...]) -> None:
    """A worse run of the same width stays beside the line."""
    row = next(row for row in rows if row.run.spec["quantizer"].get("bits") == 3)
    score = replace(row.scores[PERPLEXITY], value=9999.0)
    worse = replace(row, run=replace(row.run, id=999), scores={PERPLEXITY: score})
    data = draw(read_points([*rows, worse], PERPLEXITY, look=Look(families=True)))["data"]
    assert not any(9999.0 in trace["y"] for trace in data if trace["mode"] == "lines")
    assert any(9999.0 in trace["y"] for trace in data if trace["mode"] == "markers")


def test_adapters_can_be_counted_as_bits(rows: tuple[LeaderboardRow, ...]) -> None:
    """What stays beside the weights moves its runs to the right; others stay."""
    plain, counted = (
        {p.run_id: p.bits for p in read_points(rows, PERPLEXITY, look=look).points}
        for look in (Look(), Look(adapters=True))
    )
    moved = {run_id: counted[run_id] - bits for run_id, bits in plain.items()}
    kept = [row.run.id for row in rows if "adapters" not in (row.run.size or {}).get("parts", {})]
    assert all((shift == 0) == (run_id in kept) for run_id, shift in moved.items())
    assert max(moved.values()) == pytest.approx(8 * 9_768_960 / 106e6, rel=1e-3)


def test_a_run_trained_in_16_bits_is_a_line(rows: tuple[LeaderboardRow, ...]) -> None:
    """Its 16 bits would squeeze all else aside, so it is a second line; untrained, it is none."""
    row = next(row for row in rows if not row.run.is_baseline)
    spec = {**row.run.spec, "quantizer": {"grid": "float"}}
    specs = {998: spec | {"training": {"method": "qat"}}, 997: spec | {"adapter": {"kind": "lora"}}}
    others = [
        replace(
            row,
            run=replace(row.run, id=run_id, spec=each),
            scores={PERPLEXITY: replace(row.scores[PERPLEXITY], value=value)},
        )
        for (run_id, each), value in zip(specs.items(), (25.5, 24.0), strict=True)
    ]
    found = read_points([*rows, *others], PERPLEXITY)
    assert {997, 998}.isdisjoint(point.run_id for point in found.points)
    layout = draw(found)["layout"]
    assert [shape["y0"] for shape in layout["shapes"]] == [27.0, 25.5]
    assert "25.50" in layout["annotations"][1]["text"]


def test_the_address_says_how_the_figure_looks(rows: tuple[LeaderboardRow, ...]) -> None:
    """Families, adapters and published numbers come from the query; garbage is no look."""
    choices = list_choices(rows, {})
    names = {}
    for query in ("", "families,adapters", "x"):
        figure = draw_figure(rows, choices, {"looks": query, "published": "no"})
        names[query] = [trace["name"] for trace in figure["data"]]
    assert names[""] == names["x"] != names["families,adapters"]
    assert not any("published" in name for name in names[""])
    shown = draw_figure(rows, choices, {})
    assert any("published" in trace["name"] for trace in shown["data"])


def test_rest_tells_them_with_their_source(started: Started) -> None:
    """The list, the source and the leaderboard's rows can be read; "no" leaves the rows out."""
    web = FastAPI()
    web.mount("/api/v1", build_api(started.services))
    with TestClient(web) as client:
        reply = client.get("/api/v1/published").json()
        assert (len(reply["scores"]), "2310.08659" in reply["source"]) == (len(PUBLISHED), True)
        for query, count in (({}, 12), ({"published": "no"}, 0)):
            groups = client.get("/api/v1/leaderboard", params=query).json()["groups"]
            assert len(groups[0]["published"]) == count
        assert client.get("/api/v1/leaderboard", params={"published": "x"}).status_code == 422


def test_a_classifier_is_a_row_without_perplexity(started: Started) -> None:
    """Its accuracy stands in percent, no column waits for a perplexity, and it says why alone."""
    groups = arrange(leaderboard.list_rows(started.services.database), View())
    group = next(group for group in groups if group.rows[0].run_id == started.starts.classifier)
    scores = [column.id for column in group.columns if column.id.startswith("score:")]
    assert scores == ["score:sst2|accuracy"]
    assert group.rows[0].cells[scores[0]].text == "87.40 ± 1.12 %"
    assert len(group.published) == 5
    assert "guesses" in group.note
