"""Promises of `bitdial search`, `bitdial evaluate` and going on with a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.events import CandidateEvaluated, ScoreMeasured
from tasks.lease import claim_run
from tasks.settings import Settings
from tasks.store.recording import Batch, finish
from tasks.submit import Desk, open_desk
from tests.app.commands.conftest import Bitdial
from tests.tasks.builders import make_trained

TRIED = CandidateEvaluated((16, 8), 2400, "loss", 1.25, 0.1, 50, "lower", "median", 2.0)


@pytest.fixture
def desk(bitdial: Bitdial, data_folder: Path) -> Iterator[Desk]:
    """The store that `bitdial` works with, its tables made."""
    bitdial("runs", "list")
    opened = open_desk(Settings(data_folder=data_folder, database_url="", broker_url=None))
    yield opened
    opened.database.dispose()


@pytest.fixture
def parent(desk: Desk) -> str:
    """A finished run with elastic adapters."""
    quiet = {"evaluation": {"benchmarks": []}}
    return str(make_trained(desk.database, desk.settings, **quiet))


def test_a_search_is_queued(bitdial: Bitdial, parent: str) -> None:
    """Strategy and fields are taken from the line, the rest from the defaults."""
    words = ("--strategy", "random", "search.num_evaluations=7", "objective.metric=accuracy")
    answer = bitdial("search", parent, *words, "--json")
    assert (answer.code, answer.json["state"]) == (0, "queued")
    detail = bitdial("runs", "show", str(answer.json["id"]), "--json").json
    assert detail["spec"]["search"] == {"strategy": "random", "num_evaluations": 7}
    assert detail["spec"]["objective"]["metric"] == "accuracy"
    answer = bitdial("search", parent, "search.num_evaluations=9")
    assert "is queued: search: hill-climbing" in answer.out


def test_ranks_are_evaluated(bitdial: Bitdial, parent: str) -> None:
    """Ranks by name or as a list, with benchmarks and fields of one's own."""
    words = ("--ranks", "minimal", "--benchmarks", "arc_easy, openbookqa", "evaluation.limit=3")
    answer = bitdial("evaluate", parent, *words, "--json")
    assert answer.code == 0, answer.err
    spec = bitdial("runs", "show", str(answer.json["id"]), "--json").json["spec"]
    assert spec["ranks"] == [8] * 30
    assert spec["evaluation"]["benchmarks"] == ["arc_easy", "openbookqa"]
    assert spec["evaluation"]["limit"] == 3
    listed = ",".join(["16"] * 30)
    assert bitdial("evaluate", parent, "--ranks", listed).code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("evaluate", "PARENT", "--ranks", "16,12"), "there are 2 ranks for 30 groups"),
        (("search", "PARENT", "--strategy", "guess"), "search.strategy"),
        (("search", "PARENT", "search.evaluations=9"), "there is no such field"),
        (("search", "PARENT", "validation"), "is not KEY=VALUE"),
        (
            ("evaluate", "PARENT", "evaluation=5", "--ranks", "median", "--benchmarks", "arc_easy"),
            "evaluation: must be fields with their values",
        ),
        (("search", "99"), "there is no run 99"),
        (("run", "--resume", "99"), "there is no run 99"),
        (("run", "--resume", "PARENT"), "is succeeded; only failed and cancelled"),
        (("run", "--resume", "PARENT", "seed=1"), "goes on with a run as it was asked"),
    ],
)
def test_a_bad_request_is_a_sentence(
    bitdial: Bitdial, parent: str, words: tuple[str, ...], sentence: str
) -> None:
    """Exit code 2, one line on stderr, nothing queued."""
    answer = bitdial(*(parent if word == "PARENT" else word for word in words))
    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert len(bitdial("runs", "list", "--json").json) == 1


@pytest.mark.parametrize("number", [str(2**31), "9" * 20])
@pytest.mark.parametrize(
    "words",
    [
        ("search", "NUMBER"),
        ("evaluate", "NUMBER", "--ranks", "median"),
        ("run", "--resume", "NUMBER"),
        *(("runs", verb, "NUMBER") for verb in ("show", "cancel", "retry", "delete")),
    ],
)
def test_no_run_has_such_a_number(bitdial: Bitdial, words: tuple[str, ...], number: str) -> None:
    """A number no database holds is a bad request that says what the largest is."""
    answer = bitdial(*(number if word == "NUMBER" else word for word in words))
    assert (answer.code, answer.out) == (2, "")
    assert "Invalid value for" in answer.err
    assert str(2**31 - 1) in answer.err


def test_show_tells_what_was_tried_and_chosen(bitdial: Bitdial, desk: Desk, parent: str) -> None:
    """The best few, the chosen ranks, how benchmarks were asked, and the family."""
    run_id = bitdial("search", parent, "--json").json["id"]
    held = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert held is not None
    worse = [
        replace(TRIED, ranks=(12, rank), value=2.0 + rank, origin="random") for rank in range(9)
    ]
    details: dict[str, str | int | None] = {
        "harness": "lm-eval 0", "filter": "strict-match", "num_fewshot": 5, "limit": 50,
    }  # fmt: skip
    score = ScoreMeasured("gsm8k", "exact_match", 0.4, 0.02, 50, "higher", details=details)
    chosen = {"groups": ["block 0", "block 1"], "ranks": [16, 8]}
    batch = Batch(
        run={"chosen_ranks": chosen},
        candidates=[*worse, TRIED],
        scores=[score, replace(score, phase="before", value=0.1)],
    )
    finish(desk.database, held, batch, ending="succeeded", columns={})
    shown = bitdial("runs", "show", str(run_id)).out
    assert f"builds on: run {parent}\n" in shown
    assert "ranks (block 0 … block 1): 16,8\n" in shown
    assert (
        "10 configurations of ranks evaluated; the best:\n  loss 1.25 ± 0.1 (n=50), 2,400" in shown
    )
    assert shown.count("adapter parameters, ") == 5
    asked = "(n=50, 5-shot, filter strict-match, limit 50, lm-eval 0)"
    assert f"exact_match on gsm8k: 0.4 ± 0.02 {asked}" in shown
    assert "exact_match on gsm8k before training: 0.1" in shown
    detail = bitdial("runs", "show", str(run_id), "--json").json
    assert len(detail["candidates"]) == 10
    assert detail["chosen_ranks"] == chosen
    assert (
        f"#{run_id} search: hill-climbing on run {parent}: succeeded"
        in bitdial("runs", "show", parent).out
    )
    children = bitdial("runs", "show", parent, "--json").json["children"]
    assert [child["id"] for child in children] == [run_id]


def test_help_lists_every_preset(bitdial: Bitdial) -> None:
    """The presets named in the help are those there are."""
    assert "qat-nls" in bitdial("submit", "--help").out
