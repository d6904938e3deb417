"""Promises of scores with their setting, of lineage, and of what candidates say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import pytest

from app.plots.candidates import read_candidates
from app.tables.candidates import MOST_ROWS, describe_candidate, describe_table
from app.tables.describing import describe_method, describe_setting, list_child_methods
from app.tables.leaderboard_columns import list_columns
from app.tables.lineage import Child, describe_children, describe_origin, write_examples
from app.tables.metrics import name_metric
from app.tables.run_actions import list_actions
from app.tables.score_section import describe_scores
from app.tables.sections import Section
from app.tables.spec_section import describe_spec
from engine.specs import RankEvaluationSpec, RankSearchSpec, resolve, resolve_child
from tasks.store import runs
from tasks.store.records import CandidateRecord, LeaderboardRow, RunRecord, ScoreRecord
from tests.filled import Filled

DETAILS = {
    "harness": "lm-eval 0.4.13",
    "split": "test",
    "filter": "strict-match",
    "num_fewshot": 5,
    "limit": 100,
}


def score(metric: str, value: float, **changes: Any) -> ScoreRecord:
    """Return a score of a benchmark of lm-eval."""
    values: dict[str, Any] = {
        "run_id": 1,
        "benchmark": "gsm8k",
        "metric": metric,
        "value": value,
        "standard_error": 0.02,
        "num_samples": 500,
        "direction": "higher",
        "limited": False,
        "details": DETAILS,
    }
    return ScoreRecord(**{**values, **changes})


def candidate(position: int, value: float) -> CandidateRecord:
    """Return a configuration of one group."""
    return CandidateRecord(
        run_id=1,
        position=position,
        ranks=(position,),
        adapter_parameters=1000 + position,
        metric="loss",
        value=value,
        standard_error=0.001,
        num_samples=200,
        direction="lower",
        origin="random",
        seconds=1.0,
    )


@pytest.fixture
def trained(filled: Filled) -> RunRecord:
    """Return a finished run as if it had elastic adapters."""
    run = runs.get_run(filled.services.database, filled.samples.qat)
    spec = resolve({"preset": "qat-nls"}).spec.model_dump(mode="json")
    return replace(run, spec=spec, preset="qat-nls", asked={})


@pytest.fixture
def search(trained: RunRecord) -> RunRecord:
    """Return a finished search on it."""
    parent = resolve({"preset": "qat-nls"}).spec
    asked = {"parent": trained.id, "objective": {"limit": 50}}
    spec = resolve_child(RankSearchSpec, parent, asked).model_dump(mode="json")
    return replace(trained, id=77, kind="search", spec=spec, parent_id=trained.id, preset=None,
                   asked=asked)  # fmt: skip


def texts(section: Section) -> list[list[str]]:
    """Return what a section's cells read."""
    return [[cell.text for cell in row.cells] for row in section.rows]


def test_a_benchmark_says_how_it_was_asked(trained: RunRecord) -> None:
    """Shots, filter, split, harness and a limit stand beside the number."""
    scores = [score("exact_match (strict-match)", 0.3, limited=True)]
    section = describe_scores(trained, scores, (), None)
    name, value, *_ = section.rows[0].cells
    assert name.text == "Exact match (strict-match) ↑"
    assert name.note == "gsm8k, 5 shots, filter strict-match, test split"
    assert (value.text, value.note, value.mark) == ("30.00 ± 2.00 %", "n = 500", "limit")
    assert "lm-eval 0.4.13" in section.note


def test_scores_before_training_have_a_column(trained: RunRecord) -> None:
    """Where something was measured before training, it stands between run and baseline."""
    scores = [score("acc", 0.3), score("acc", 0.2, phase="before")]
    section = describe_scores(trained, scores, [score("acc", 0.25)], 5)
    assert section.columns[2] == "Before training"
    assert texts(section) == [["Accuracy ↑", "30.00 %", "20.00 %", "25.00 %", "▲ +5.00 pp"]]
    name, value, *_ = section.rows[0].cells
    assert name.note.endswith("n = 500")
    assert value.note == "± 2.00"
    assert "Before training" not in describe_scores(trained, scores[:1], (), None).columns


def test_metrics_have_names_with_their_filter() -> None:
    """A filter stays in parentheses; unknown metrics are written out."""
    assert name_metric("exact_match (flexible-extract)") == "Exact match (flexible-extract)"
    assert name_metric("byte_perplexity") == "Byte perplexity"


def test_leaderboard_columns_name_their_benchmark(trained: RunRecord) -> None:
    """Each benchmark and metric is a column; plain accuracy beside the normalized is unasked."""
    scores = {f"gsm8k|{m}": score(m, 0.3) for m in ("acc", "acc_norm")}
    row = LeaderboardRow(trained, scores, scores, 5, tuned=True)
    columns = {column.id: column for column in list_columns([row])}
    assert columns["score:gsm8k|acc_norm"].title == "Normalized accuracy, gsm8k"
    assert columns["score:gsm8k|acc_norm"].shown
    assert not columns["score:gsm8k|acc"].shown
    assert "minus" in columns["delta:gsm8k|acc_norm"].description


def test_runs_on_ranks_are_named_in_a_word(trained: RunRecord, search: RunRecord) -> None:
    """Tables tell a search and an evaluation from the training they build on."""
    names = tuple(describe_method(replace(search, kind=kind)) for kind in ("search", "evaluation"))
    assert names == list_child_methods() == ("NLS, rank search", "NLS, ranks evaluated")
    assert describe_method(replace(trained, preset=None)) == "QAT + NLS"
    assert describe_setting(trained).endswith("; openbookqa")


def test_only_experiments_are_cloned(trained: RunRecord, search: RunRecord) -> None:
    """The form cannot hold a search, so no button offers it."""
    assert "clone" in list_actions(trained)
    assert "clone" not in list_actions(search)


def test_a_search_says_what_it_compares_on(trained: RunRecord, search: RunRecord) -> None:
    """The number of examples, the task, the metric, and never the test split."""
    expected = "50 held-out training examples of openbookqa, by loss; never the test split"
    assert write_examples(search.spec, ()) == expected
    section = describe_origin(search, trained)
    assert section is not None
    assert section.rows[0].cells[1].href == f"/run?id={trained.id}"
    assert texts(section)[1][1] == "hill climbing, up to 40 evaluations"


@pytest.mark.parametrize(
    ("objective", "before"),
    [
        ({"split": "validation", "limit": 900}, "up to 900 validation examples"),
        ({"split": "validation", "limit": None}, "validation examples"),
        ({"split": "held-out", "limit": 900}, "200 held-out training examples"),
        ({"split": "held-out", "limit": None}, "200 held-out training examples"),
    ],
)
def test_the_number_of_examples_is_what_was_used(
    search: RunRecord, trained: RunRecord, objective: dict[str, Any], before: str
) -> None:
    """A limit is no count: the first configuration tells how many there were."""
    spec = {**search.spec, "objective": {"metric": "loss", **objective}}
    assert write_examples(spec, ()).startswith(f"{before} of openbookqa")
    tried = (replace(candidate(0, 0.5), num_samples=187),)
    assert write_examples(spec, tried).startswith("187 ")
    section = describe_origin(replace(search, spec=spec), trained, tried)
    assert section is not None
    assert texts(section)[2][1].startswith("187 ")


def test_a_deleted_training_run_is_said(search: RunRecord, trained: RunRecord) -> None:
    """The number is still told, without a link; a training run itself builds on nothing."""
    section = describe_origin(search, None)
    assert section is not None
    assert section.rows[0].cells[1].text == f"Run {trained.id}, which was deleted"
    assert describe_origin(trained, None) is None


def test_an_evaluation_lists_its_ranks(trained: RunRecord) -> None:
    """What was asked stands beside the scores."""
    asked = {"parent": trained.id, "ranks": [16, 8]}
    spec = resolve_child(RankEvaluationSpec, resolve({"preset": "qat-nls"}).spec, asked)
    run = replace(trained, kind="evaluation", spec=spec.model_dump(mode="json"))
    section = describe_origin(run, trained)
    assert section is not None
    assert texts(section)[1] == ["Ranks", "16, 8"]


def test_what_a_search_took_over_says_so(search: RunRecord) -> None:
    """Values of the training run are no defaults of the search; what was asked is set."""
    rows = {row[0]: row[2] for row in texts(describe_spec(search))}
    assert rows["adapter.rank_space"] == "training run"
    assert rows["objective.limit"] == "set"
    assert rows["search.num_evaluations"] == "default"


def test_children_tell_their_best(search: RunRecord, trained: RunRecord) -> None:
    """A search its best configuration, an evaluation its benchmark before any perplexity."""
    evaluation = replace(search, id=78, kind="evaluation")
    text = score("perplexity", 20.0, benchmark="text/bundled:python-docs", direction="lower")
    children = (
        Child(search, (), (candidate(0, 0.51), candidate(1, 0.5))),
        Child(evaluation, (text, score("acc_norm", 0.3)), ()),
        Child(replace(evaluation, id=79, state="queued"), (), ()),
    )
    best = [row[2] for row in texts(describe_children(children))]
    assert best == ["0.5000 ± 0.0010", "30.00 ± 2.00 %", "–"]
    del trained


def test_very_many_candidates_are_cut_and_said() -> None:
    """The best come first; how many are left out is said."""
    found = read_candidates([candidate(place, 1 - place / 1e4) for place in range(MOST_ROWS + 5)])
    table = describe_table(found, selected=None)
    assert len(table["rows"]) == MOST_ROWS
    assert table["rows"][0]["position"] == MOST_ROWS + 4
    assert "205" in table["note"]


def test_figure_and_table_agree_on_the_best() -> None:
    """Of equal scores the smallest comes first and is marked; what is no number comes last."""
    values = (math.inf, 0.5, -math.inf, 0.5, math.nan)
    sizes = (1000, 3000, 1001, 2000, 900)
    records = [
        replace(candidate(place, value), adapter_parameters=size)
        for place, (value, size) in enumerate(zip(values, sizes, strict=True))
    ]
    rows = describe_table(read_candidates(records), selected=None)["rows"]
    assert [row["position"] for row in rows] == [3, 1, 4, 0, 2]
    marked = [row["position"] for row in rows if {"best"} & {m["kind"] for m in row["marks"]}]
    assert marked == [3]


def test_no_candidate_is_no_view(search: RunRecord) -> None:
    """A position nothing stands at shows nothing."""
    found = read_candidates([candidate(0, 0.5)])
    assert describe_candidate(search, found, 3) is None
    view = cast("dict[str, Any]", describe_candidate(search, found, 0, problem="no"))
    assert view["problem"] == "no"


def test_loftq_is_named_with_its_adapter_and_block(trained: RunRecord) -> None:
    """A run that starts from LoftQ says so untrained or trained; its block stands as a group."""
    spec = resolve({"preset": "loftq"}).spec.model_dump(mode="json")
    started = replace(trained, preset=None, spec=spec)
    assert describe_method(replace(started, preset="loftq")) == "LoftQ"
    assert describe_method(started) == "NormalFloat + LoftQ + LoRA"
    trained_too = replace(started, spec=spec | {"training": {"method": "qat"}})
    assert describe_method(trained_too) == "NormalFloat + LoftQ + QAT + LoRA"
    other = {**spec, "adapter": {"kind": "none"}, "initialization": {"method": "round-to-nearest"}}
    plain = replace(started, spec=other, preset="rtn")
    assert describe_method(plain) == "NormalFloat + round to nearest"
    qat = ["adapter.placement=parallel", "initialization.method=loftq"]
    parallel = resolve({"preset": "qat-lora"}, qat).spec.model_dump(mode="json")
    assert describe_method(replace(started, spec=parallel, preset="qat-lora")) == (
        "LoftQ + QAT + LoRA"
    )
    row = LeaderboardRow(started, {}, {}, None, tuned=False)
    column = next(column for column in list_columns([row]) if column.id == "group_size")
    assert column.fill(row).text == "64"
