"""Promises of how runs with fractions of bits, other grids, starts and heads are called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.quantities import write_score
from app.tables.cells import delta_cell
from app.tables.describing import (
    describe_grid,
    describe_method,
    describe_setting,
    describe_start,
    list_benchmarks,
    nominal_bits,
)
from app.tables.leaderboard import View, arrange
from app.tables.lineage import describe_origin
from app.tables.run_header import describe_header
from app.tables.score_section import describe_scores
from app.text import leaderboard as text
from engine.specs import MapEvaluationSpec, resolve, resolve_child
from tasks.store import leaderboard, runs
from tasks.store.records import RunRecord, ScoreRecord
from tests.filled import Filled

CLASSIFY: dict[str, Any] = {
    "preset": "loftq",
    "model": {"head": "classification"},
    "training": {"method": "qat", "objective": "task", "data": {"kind": "task", "task": "sst2"}},
}


@pytest.fixture
def run(filled: Filled) -> RunRecord:
    """Return a finished run to be dressed with other specs."""
    return runs.get_run(filled.services.database, filled.samples.rtn[4])


def dress(run: RunRecord, **values: Any) -> RunRecord:
    """Return the run with the spec these values ask for."""
    spec = resolve(values).spec.model_dump(mode="json")
    return replace(run, spec=spec, preset=values.get("preset"))


@pytest.mark.parametrize(
    ("values", "method", "grid", "start"),
    [
        ({"preset": "loftq"}, "LoftQ", "NormalFloat", "LoftQ"),
        (
            {"preset": "loftq", "initialization": {"variant": "svd-first"}},
            "LoftQ",
            "NormalFloat",
            "LoftQ, SVD first",
        ),
        (
            {"preset": "loftq", "initialization": {"method": "adapter-folder", "path": "/x"}},
            "NormalFloat + adapter folder + LoRA",
            "NormalFloat",
            "adapter folder",
        ),
        (
            {"preset": "loftq", "quantizer": {"grid": "loftq-uniform"}},
            "LoftQ-uniform + LoftQ + LoRA",
            "LoftQ-uniform",
            "LoftQ",
        ),
        (
            {"preset": "loftq", "initialization": {"method": "data-aware"}},
            "NormalFloat + data-aware + LoRA",
            "NormalFloat",
            "data-aware",
        ),
        (
            {"preset": "rtn", "initialization": {"method": "minimal-error"}},
            "Minimal error",
            "integer",
            "minimal error",
        ),
        (
            {"preset": "rtn", "quantizer": {"symmetry": "symmetric"}},
            "Round to nearest",
            "integer, symmetric",
            "round to nearest",
        ),
        (
            {"preset": "switchable"},
            "Switchable bits (QaLoF)",
            "integer, narrow",
            "round to nearest",
        ),
        (
            {
                "preset": "qat-lora",
                "training": {"bit_policy": {"policy": "cyclic"}},
                "quantizer": {"bits": 4},
            },
            "QAT cyclic 4–8 + LoRA",
            "integer",
            "round to nearest",
        ),
        (
            {"preset": "switchable", "training": {"bit_policy": {"policy": "random"}}},
            "QAT random 8·6·4 + LoRA bank",
            "integer, narrow",
            "round to nearest",
        ),
        (CLASSIFY, "NormalFloat + LoftQ + QAT + LoRA", "NormalFloat", "LoftQ"),
    ],
)
def test_method_grid_and_start_are_said(
    run: RunRecord, *, values: dict[str, Any], method: str, grid: str, start: str
) -> None:
    """A preset changed on an axis is no longer called by its title; grid and start are apart."""
    dressed = dress(run, **values)
    found = describe_method(dressed), describe_grid(dressed), describe_start(dressed)
    assert found == (method, grid, start)


@pytest.mark.parametrize(("bits", "word"), [(4, "4 bits"), (2.5, "2.5 bits"), (2.25, "2.25 bits")])
def test_fractions_of_bits_are_written_as_asked(run: RunRecord, bits: float, word: str) -> None:
    """A whole number has no point, a fraction all its digits."""
    dressed = dress(run, preset="rtn", quantizer={"bits": bits})
    assert nominal_bits(dressed) == bits
    assert word in describe_header(dressed, ())["sub"].split(" · ")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"preset": "switchable"}, ["switchable 8·6·4", "measured at W4A8"]),
        ({"preset": "cyclic"}, ["cyclic 4–8", "measured at W4A8"]),
        (
            {"preset": "rtn", "quantizer": {"cache": {"rounding": "layer"}}},
            ["W4KV4"],
        ),
        (
            {"preset": "rtn", "quantizer": {"layer_bits": ["a.b=3", "a.c=W4A8"]}},
            ["4 bits", "layer map, 2 layers"],
        ),
        (
            {"preset": "rtn", "quantizer": {"layer_bits": ["*.mlp.*=3"]}},
            ["4 bits", "layer map, 1 line"],
        ),
    ],
)
def test_the_head_says_what_is_trained_and_what_is_measured(
    run: RunRecord, *, values: dict[str, Any], words: list[str]
) -> None:
    """Policy, widths of weights, inputs and cache, and layers with widths of their own."""
    said = describe_header(dress(run, **values), ())["sub"].split(" · ")
    joined = " · ".join(said)
    assert " · ".join(words) in joined


def test_an_evaluation_of_maps_has_a_head_of_its_own(run: RunRecord) -> None:
    """It is called after what it does, counts its maps, and plans no training."""
    parent = resolve({"preset": "switchable"}).spec
    asked = {"parent": run.id, "maps": [{"map": "uniform", "bits": bits} for bits in (4, 6)]}
    spec = resolve_child(MapEvaluationSpec, parent, asked).model_dump(mode="json")
    found = replace(run, kind="map-evaluation", spec=spec, preset=None, state="queued")
    head = describe_header(found, ())
    assert "LoRA bank, maps evaluated · 2 maps" in head["sub"]
    stages = [stage["title"] for stage in head["stages"]]
    assert stages == ["Load", "Teach", "Initialize", "Maps"]
    section = describe_origin(found, None)
    assert section is not None
    assert section.rows[1].cells[1].text == "4 bits · 6 bits"


def test_a_run_from_before_there_were_heads_reads_as_before(run: RunRecord) -> None:
    """A spec that names no head is a causal language model's."""
    model = {key: value for key, value in run.spec["model"].items() if key != "head"}
    old = replace(run, spec={**run.spec, "model": model})
    assert describe_method(old) == describe_method(run) == "Round to nearest"
    assert describe_setting(old) == describe_setting(run)


def test_a_head_is_compared_on_its_task(run: RunRecord) -> None:
    """No text is named where none is read; the trained task is measured unasked."""
    dressed = dress(run, **CLASSIFY)
    setting = describe_setting(dressed)
    assert setting == "smollm2-135m-instruct, classification head, rows of 256 tokens; sst2"
    assert list_benchmarks(dressed) == ("sst2",)
    stages = describe_header(replace(dressed, state="queued"), ())["stages"]
    assert [stage["title"] for stage in stages] == ["Load", "Initialize", "Train", "Benchmarks"]


@pytest.mark.parametrize(
    ("field", "number", "words"),
    [
        ("max_length", 512, "rows of 512 tokens, summaries of 128 tokens by 1 beam"),
        ("max_new_tokens", 64, "rows of 256 tokens, summaries of 64 tokens by 1 beam"),
        ("num_beams", 4, "rows of 256 tokens, summaries of 128 tokens by 4 beams"),
    ],
)
def test_summaries_say_how_they_are_written(
    run: RunRecord, *, field: str, number: int, words: str
) -> None:
    """What keeps two settings from being compared tells their titles apart."""
    values = {"preset": "rtn", "model": {"head": "seq2seq"}}
    asked = {"benchmarks": ["xsum"], field: number}
    setting = describe_setting(dress(run, **values, evaluation=asked))
    assert setting == f"smollm2-135m-instruct, sequence-to-sequence head, {words}; xsum"


def test_a_head_without_a_baseline_says_why(filled: Filled, run: RunRecord) -> None:
    """The missing baseline of a classifier is no measurement to wait for."""
    row = next(
        row for row in leaderboard.list_rows(filled.services.database) if row.run.id == run.id
    )
    dressed = dress(run, **CLASSIFY)
    [group] = arrange([replace(row, run=dressed)], View())
    assert group.note == text.NO_BASELINE_OF_HEAD
    [group] = arrange([row], View())
    assert group.note == text.NO_BASELINE
    score = ScoreRecord(run.id, "sst2", "accuracy", 0.91, 0.01, 872, "higher", limited=False)
    section = describe_scores(dressed, [score], (), None)
    assert section.note == text.NO_BASELINE_OF_HEAD
    assert section.rows[0].cells[1].text == "91.00 ± 1.00 %"


@pytest.mark.parametrize(
    ("metric", "value", "written"),
    [
        ("accuracy", 0.902, "90.20 %"),
        ("f1", 0.886, "88.60 %"),
        ("exact_match", 0.815, "81.50 %"),
        ("rougeLsum", 0.3568, "35.68 %"),
        ("rouge1", 0.4395, "43.95 %"),
        ("matthews_correlation", 0.374, "0.374"),
        ("spearman", -0.02, "−0.020"),
    ],
)
def test_scores_of_heads_follow_the_habit_of_their_metric(
    metric: str, value: float, written: str
) -> None:
    """Shares stand in percent; a correlation, which may be negative, as it is."""
    assert write_score(metric, value) == written


def test_a_task_that_counts_to_100_is_no_share(filled: Filled, run: RunRecord) -> None:
    """Column, difference and the run's own section write its F1 as it is, small ones too."""
    row = next(
        row for row in leaderboard.list_rows(filled.services.database) if row.run.id == run.id
    )
    large, small = (
        ScoreRecord(run.id, "squadv2", "f1", value, 1.5, 100, "higher", limited=False)
        for value in (45.3, 0.9)
    )
    key = "squadv2|f1"
    pair = [
        replace(row, scores={key: score}, baseline_scores={key: large}) for score in (large, small)
    ]
    [group] = arrange(pair, View(sort=f"score:{key}"))
    columns = {column.id: column for column in group.columns}
    assert columns[f"score:{key}"].unit == "↑"
    assert [row.cells[f"score:{key}"].text for row in group.rows] == ["0.90 ± 1.50", "45.3 ± 1.5"]
    assert not any("pp" in row.cells[f"delta:{key}"].text for row in group.rows)
    section = describe_scores(run, [small], [large], None)
    assert [cell.text for cell in section.rows[0].cells[1:3]] == ["0.90 ± 1.50", "45.3 ± 1.5"]


def test_correlations_are_compared_by_difference() -> None:
    """A ratio of numbers around nothing says nothing."""
    here, there = (
        ScoreRecord(1, "cola", "matthews_correlation", value, None, 10, "higher", limited=False)
        for value in (0.374, -0.01)
    )
    delta = delta_cell(here, there)
    assert (delta.text, delta.tone) == ("▲ +0.384", "better")
    assert delta.value == pytest.approx(0.384)
