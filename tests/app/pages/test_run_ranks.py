"""Promises of what the Run page shows of ranks and how new ones are asked for."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from app.forms.experiment_form import SpecForm, build_sections
from app.forms.fields import list_search_sections
from app.forms.values import fill
from app.pages.run import RunPage, show_findings, sign_findings
from app.pages.run_choosing import (
    hide_choice,
    launch_evaluation,
    launch_search,
    list_asked_fields,
    show_choice,
)
from app.services import Services, open_services
from engine.specs import TextData, resolve
from tasks import submit
from tasks.settings import Settings
from tasks.store import runs
from tasks.store.records import RunRecord, RunState
from tests.app.loops import build_in_loop
from tests.rank_samples import GROUPS, NUM_BLOCKS, RankSamples, add_rank_runs
from tests.store_samples import open_sample_desk

MAP_CARD, MAP_NOTE, MAP, MAP_TABLE, SAMPLED_CARD, SAMPLED, SAMPLED_TABLE = range(7)
CARD, NOTE, FIGURE, VIEW, TABLE = range(7, 12)
CHOICE, REASON, SEARCHING, SPAN, SPLIT, METRIC, RANKS, BENCHMARKS = range(12, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RankSamples]:
    """Fill a store once; nobody may change it."""
    path = tmp_path_factory.mktemp("ranks") / "data"
    path.mkdir()
    desk = open_sample_desk(path)
    try:
        return path, add_rank_runs(desk)
    finally:
        desk.database.dispose()


@pytest.fixture
def samples(folder: tuple[Path, RankSamples]) -> RankSamples:
    """Return where the runs are."""
    return folder[1]


@pytest.fixture
def services(folder: tuple[Path, RankSamples], tmp_path: Path) -> Iterator[Services]:
    """Open a copy of the filled store."""
    copy = tmp_path / "data"
    shutil.copytree(folder[0], copy)
    opened = open_services(Settings(data_folder=copy, database_url="", broker_url=None))
    yield opened
    opened.database.dispose()


def ask(run_id: int, **query: str) -> gr.Request:
    """Return a request whose address names the run."""
    return cast(gr.Request, SimpleNamespace(query_params={"id": str(run_id), **query}))


def event(**values: Any) -> gr.EventData:
    """Return what a component's event carries."""
    return cast(gr.EventData, SimpleNamespace(**values))


def change_spec(run: RunRecord, path: str, values: dict[str, Any]) -> RunRecord:
    """Return a run whose spec has other values below a path."""
    spec = copy.deepcopy(run.spec)
    place = spec
    for part in path.split("."):
        place = place[part]
    place.update(values)
    return replace(run, spec=spec)


def find(services: Services, run_id: int, **query: str) -> list[Any]:
    """Return what the page shows of ranks."""
    return show_findings(services, runs.get_run(services.database, run_id), query)


def test_a_training_shows_what_it_samples(services: Services, samples: RankSamples) -> None:
    """While it trains there are bars and their table, and nothing to choose yet."""
    shown = find(services, samples.training)
    assert len(shown[SAMPLED]["data"]) == 3
    assert len(shown[SAMPLED_TABLE]["rows"]) == NUM_BLOCKS
    assert shown[MAP_CARD].visible is shown[CHOICE].visible is shown[CARD].visible is False


def test_a_trained_run_shows_its_ranks_and_offers_a_search(
    services: Services, samples: RankSamples
) -> None:
    """The map names every layer, the panel says what there is to search, the median is ready."""
    shown = find(services, samples.trained)
    (trace,) = shown[MAP]["data"]
    assert len(trace["x"]) == NUM_BLOCKS
    assert trace["y"][0] == "self_attn.q_proj"
    assert {rank for row in trace["text"] for rank in row} == {"12"}
    assert shown[CHOICE].visible is True
    assert "2.1 × 10¹⁴ configurations" in shown[SPAN]
    assert shown[SPLIT].value == "held-out"
    assert shown[RANKS].value.split(", ") == ["12"] * NUM_BLOCKS
    assert shown[BENCHMARKS] == "openbookqa"
    assert "adapters are saved whole, at their largest rank" in shown[MAP_NOTE]


@pytest.mark.parametrize(
    ("data", "splits", "metrics"),
    [
        ({}, ["held-out", "validation"], ["loss", "accuracy"]),
        ({"held_out": 0}, ["validation"], ["loss", "accuracy"]),
        ({"task": "winogrande"}, ["held-out"], ["loss", "accuracy"]),
        ({"task": "gsm8k"}, ["held-out"], ["loss"]),
    ],
)
def test_only_what_a_search_may_choose_on_is_offered(
    services: Services,
    samples: RankSamples,
    *,
    data: dict[str, Any],
    splits: list[str],
    metrics: list[str],
) -> None:
    """The examples and metrics the engine accepts, the first of them chosen, and no excuse."""
    run = change_spec(runs.get_run(services.database, samples.trained), "training.data", data)
    shown = [None] * CHOICE + show_choice(run)
    for place, choices in ((SPLIT, splits), (METRIC, metrics)):
        assert [value for _, value in shown[place].choices] == choices
        assert shown[place].value == choices[0]
    assert (shown[REASON], shown[SEARCHING].visible) == ("", True)


@pytest.mark.parametrize(
    ("path", "values", "reason"),
    [
        ("adapter", {"rank_policy": "fixed"}, "trained one configuration of ranks only"),
        ("training", {"data": TextData().model_dump()}, "was not trained on a task"),
        (
            "training.data",
            {"task": "winogrande", "held_out": 0},
            "Nothing was held out, and winogrande is reported on its validation split: train with "
            "held-out examples.",
        ),
        ("training.data", {"task": "gsm8k", "held_out": 0}, "gsm8k has no validation split"),
        ("training.data", {"source": "mine.jsonl", "held_out": 0}, "a file of one's own has no"),
    ],
)
def test_where_nothing_can_be_searched_ranks_are_still_evaluated(
    services: Services, samples: RankSamples, *, path: str, values: dict[str, Any], reason: str
) -> None:
    """The search's half is gone and a sentence says why; the other half is there."""
    run = change_spec(runs.get_run(services.database, samples.trained), path, values)
    shown = [None] * CHOICE + show_choice(run)
    assert len(shown) == CHOICE + len(hide_choice())
    assert (shown[CHOICE].visible, shown[SEARCHING].visible) == (True, False)
    assert reason in shown[REASON]
    assert shown[RANKS].value


def test_a_search_shows_its_best_unless_another_is_selected(
    services: Services, samples: RankSamples
) -> None:
    """The address selects; figure, view, table and map agree; garbage in it is the best again."""
    best = find(services, samples.search)
    assert best[VIEW]["marks"][0]["kind"] == "best"
    chosen = find(services, samples.search, candidate="2")
    assert chosen[VIEW]["title"] == "Configuration 3, minimal"
    assert chosen[TABLE]["selected"] == 2
    assert {rank for row in chosen[MAP]["data"][0]["text"] for rank in row} == {"8"}
    for wrong in ("x", "-1", "999", "²", "9" * 50):
        assert find(services, samples.search, candidate=wrong)[VIEW] == best[VIEW]


@pytest.mark.parametrize("state", ["running", "failed", "cancelled"])
def test_ranks_are_shown_before_a_search_has_chosen(
    services: Services, samples: RankSamples, state: RunState
) -> None:
    """A selected configuration has its map while the search runs, and where it never ends."""
    run = replace(runs.get_run(services.database, samples.searching), state=state)
    assert run.chosen_ranks is None
    shown = show_findings(services, run, {"candidate": "2"})
    assert shown[MAP_CARD].visible is True
    assert shown[MAP_TABLE]["rows"] == [[group, "8"] for group in GROUPS]


def test_a_search_says_what_it_chose_on(services: Services, samples: RankSamples) -> None:
    """Examples, metric, and that the test split was not used, on the page and beside it."""
    note = find(services, samples.search)[NOTE]
    assert "200 held-out training examples of openbookqa, by loss; never the test split" in note
    facts = RunPage(services).load(log_scale=False, request=ask(samples.search))[2]
    origin = next(section for section in facts["sections"] if section["id"] == "origin")
    assert origin["rows"][0]["cells"][1]["href"] == f"/run?id={samples.trained}"


def test_the_figure_is_redrawn_only_for_news(services: Services, samples: RankSamples) -> None:
    """A tick leaves everything about ranks alone until something was evaluated or selected."""
    page, request = RunPage(services), ask(samples.searching)
    run = runs.get_run(services.database, samples.searching)
    seen = sign_findings(services, run, {})
    assert all(part == gr.skip() for part in page.tick(seen, request)[3:-2])
    assert page.tick("", request)[3 + FIGURE]["data"]
    assert page.tick(seen, ask(samples.searching, candidate="1"))[3 + VIEW]["position"] == 1


@pytest.mark.parametrize("clicked", [{"customdata": 1}, {"position": 1}])
def test_a_click_selects(services: Services, samples: RankSamples, clicked: dict[str, int]) -> None:
    """A marker and a row select the same, and the position goes into the address."""
    *shown, position = RunPage(services).select(event(**clicked), ask(samples.search))
    assert shown[VIEW]["title"] == "Configuration 2, median"
    assert position == "1"


def test_a_click_on_nothing_changes_nothing(services: Services, samples: RankSamples) -> None:
    """The front's line carries no configuration."""
    *shown, position = RunPage(services).select(event(customdata=None), ask(samples.search))
    assert all(part == gr.skip() for part in shown)
    assert position == ""


def test_a_configuration_is_evaluated(services: Services, samples: RankSamples) -> None:
    """Its button queues a run of the training run with these ranks and leads there."""
    _, address = RunPage(services).evaluate(event(position=2), ask(samples.search))
    run = runs.get_run(services.database, int(address.rpartition("=")[2]))
    assert (run.kind, run.parent_id) == ("evaluation", samples.trained)
    assert run.spec["ranks"] == [8] * NUM_BLOCKS


def test_actions_lead_to_form_and_command_line(services: Services, samples: RankSamples) -> None:
    """The same ranks as an address of the form and as a command."""
    view = find(services, samples.search, candidate="0")[VIEW]
    ranks = ",".join(["16"] * NUM_BLOCKS)
    assert view["clone"] == f"/new?clone={samples.trained}&ranks={ranks}"
    assert view["command"] == f"bitdial evaluate {samples.trained} --ranks {ranks}"


@pytest.fixture
def form() -> SpecForm:
    """Build the search's fields outside any page."""

    def build() -> SpecForm:
        with gr.Blocks():
            return build_sections(list_search_sections())

    return build_in_loop(build)


def test_a_search_is_launched(services: Services, samples: RankSamples, form: SpecForm) -> None:
    """What the panel shows is what the search holds."""
    parent = runs.get_run(services.database, samples.trained)
    widgets = fill(form.fields, {"search": {"strategy": "random", "num_evaluations": 7}})
    problems, address = launch_search(services, parent, form, widgets)
    assert problems["problems"] == []
    run = runs.get_run(services.database, int(address.rpartition("=")[2]))
    assert run.spec["search"] == {"strategy": "random", "num_evaluations": 7}


def test_a_search_with_a_mistake_is_refused_at_its_field(
    services: Services, samples: RankSamples, form: SpecForm
) -> None:
    """The sentence stands at the field of the chosen strategy, and nothing is queued."""
    before = runs.list_children(services.database, samples.trained)
    widgets = fill(form.fields, {"search": {"num_evaluations": "many"}})
    parent = runs.get_run(services.database, samples.trained)
    problems, address = launch_search(services, parent, form, widgets)
    assert address == ""
    (problem,) = problems["problems"]
    assert problem["element"] == "field-search-hill-climbing-num_evaluations"
    assert runs.list_children(services.database, samples.trained) == before


@pytest.mark.parametrize("typed", ["16, 12", "16 " * NUM_BLOCKS + "x", "7 " * NUM_BLOCKS, ""])
def test_ranks_that_do_not_fit_are_refused_at_their_field(
    services: Services, samples: RankSamples, typed: str
) -> None:
    """Too few, no number, none of the space, nothing: one sentence at the list."""
    parent = runs.get_run(services.database, samples.trained)
    problems, address = launch_evaluation(services, parent, list_asked_fields(), (typed, ""))
    assert address == ""
    assert [problem["element"] for problem in problems["problems"]] == ["field-ranks"]


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("openbookqa", {}),
        ("arc_easy\n gsm8k\n", {"evaluation": {"benchmarks": ["arc_easy", "gsm8k"]}}),
        ("", {"evaluation": {"benchmarks": []}}),
    ],
)
def test_other_benchmarks_are_asked_for(
    services: Services, samples: RankSamples, typed: str, asked: dict[str, Any]
) -> None:
    """Only what differs from the run's own is sent; nothing typed is no benchmark."""
    parent = runs.get_run(services.database, samples.trained)
    ranks = ", ".join(["16"] * NUM_BLOCKS)
    _, address = launch_evaluation(services, parent, list_asked_fields(), (ranks, typed))
    run = runs.get_run(services.database, int(address.rpartition("=")[2]))
    assert run.asked == {"ranks": [16] * NUM_BLOCKS, **asked}
    assert run.spec["evaluation"]["benchmarks"] == typed.split()


def test_an_unknown_benchmark_is_refused_at_its_field(
    services: Services, samples: RankSamples
) -> None:
    """A name nobody knows stands at the list of names, with the nearest that is known."""
    parent = runs.get_run(services.database, samples.trained)
    ranks = ", ".join(["16"] * NUM_BLOCKS)
    typed = (ranks, "openbokqa")
    problems, address = launch_evaluation(services, parent, list_asked_fields(), typed)
    (problem,) = problems["problems"]
    assert (address, problem["element"]) == ("", "field-evaluation-benchmarks")
    assert "openbookqa" in problem["message"]


def test_children_stand_beside_their_parent(services: Services, samples: RankSamples) -> None:
    """Each search and evaluation with state and best score; the page is asked while one lives."""
    page = RunPage(services)
    answer = page.load(log_scale=False, request=ask(samples.trained))
    children = next(s for s in answer[2]["sections"] if s["id"] == "children")
    states = [row["cells"][1]["text"] for row in children["rows"]]
    assert states == ["Succeeded", "Failed", "Running", "Succeeded"]
    assert "40 configurations" in children["rows"][3]["cells"][2]["note"]
    assert answer[-1].active is True


def test_an_evaluation_shows_its_ranks(services: Services, samples: RankSamples) -> None:
    """Its map and table hold what was asked, and there is nothing to choose on it."""
    shown = find(services, samples.evaluation)
    assert shown[MAP_TABLE]["rows"] == [[group, "16"] for group in GROUPS]
    assert shown[CHOICE].visible is False


def test_a_failed_search_is_empty_and_says_so(services: Services, samples: RankSamples) -> None:
    """Without any configuration there is a sentence and nothing to act on."""
    shown = find(services, samples.failed)
    assert shown[FIGURE]["data"] == []
    assert shown[FIGURE]["meta"]["empty"]
    assert shown[VIEW] is None
    assert shown[TABLE]["rows"] == []


def test_new_ranks_cannot_be_asked_of_a_lora(services: Services) -> None:
    """A run of one rank shows no panel about ranks."""
    values = {"preset": "qat-lora"}
    run = submit.submit(services.desk, resolve(values))
    shown = find(services, run.id)
    cards = (MAP_CARD, SAMPLED_CARD, CARD, CHOICE)
    assert [shown[place].visible for place in cards] == [False] * 4
