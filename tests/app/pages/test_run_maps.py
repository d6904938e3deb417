"""Promises of what the Run page shows of layer maps and how other widths are asked for."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.pages.run import (
    hide_findings,
    read_children,
    read_facts,
    renew_findings,
    show_findings,
    sign_findings,
)
from app.pages.run_maps import show_maps, sign_maps
from app.pages.run_widths import (
    describe_cost,
    hide_widths,
    launch_widths,
    list_asked_fields,
    show_widths,
)
from app.services import Services, open_services
from app.tables.run_facts import describe_estimates
from app.text import maps as text
from engine.events import MapScored
from tasks.settings import Settings
from tasks.store import runs
from tasks.store.map_scores import add_map_scores
from tasks.store.records import RunRecord
from tests.map_samples import MapSamples, add_map_runs
from tests.store_samples import BENCHMARK, open_sample_desk

CARD, NOTE, METRIC, FIGURE, TABLE = range(5)
OFFER, REASON, ASKING, WIDTHS, ATTACKED, ATTACK, ESTIMATE = range(7)
EMPTY = {"layer_bits": "", "name": "", "widths": "", "weights": "", "scope": "model"}
USUAL = EMPTY | {"num_samples": "100", "num_steps": "100"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MapSamples]:
    """Fill a store once; nobody may change it."""
    path = tmp_path_factory.mktemp("maps") / "data"
    path.mkdir()
    desk = open_sample_desk(path)
    try:
        return path, add_map_runs(desk)
    finally:
        desk.database.dispose()


@pytest.fixture
def samples(folder: tuple[Path, MapSamples]) -> MapSamples:
    """Return where the runs are."""
    return folder[1]


@pytest.fixture
def services(folder: tuple[Path, MapSamples], tmp_path: Path) -> Iterator[Services]:
    """Open a copy of the filled store."""
    path = tmp_path / "data"
    shutil.copytree(folder[0], path)
    opened = open_services(Settings(data_folder=path, database_url="", broker_url=None))
    yield opened
    opened.database.dispose()


def get(services: Services, run_id: int) -> RunRecord:
    """Return a run."""
    return runs.get_run(services.database, run_id)


def fill(widths: list[int], attacked: object, typed: dict[str, str]) -> list[Any]:
    """Return what the form holds, with these fields typed."""
    names = [field.path.rpartition(".")[2] for field in list_asked_fields()]
    return [widths, attacked, *((USUAL | typed)[name] for name in names)]


def ask(
    services: Services, run_id: int, ticked: list[int], *, attacked: bool = False, **typed: str
) -> Any:
    """Press the button that measures a run at other widths."""
    values = fill(ticked, attacked, typed)
    return launch_widths(services, get(services, run_id), list_asked_fields(), values)


def test_an_evaluation_shows_its_curve_with_what_it_is_compared_to(
    services: Services, samples: MapSamples
) -> None:
    """Line, hybrid, random, runs trained alone and the baseline, and every number as a table."""
    shown = show_maps(services, get(services, samples.measured), {})
    assert shown[CARD].visible is True
    traces = [trace for trace in shown[FIGURE]["data"] if trace["mode"] != "lines"]
    lines = [trace["name"] for trace in shown[FIGURE]["data"] if trace["mode"] == "lines"]
    assert {trace["name"] for trace in traces} == {
        text.UNIFORM,
        text.NAMED,
        text.RANDOM,
        text.TRAINED,
    }
    hollow = next(trace for trace in shown[FIGURE]["data"] if trace["name"] == text.TRAINED)
    assert hollow["customdata"] == [samples.alone[bits] for bits in (3, 4, 8)]
    assert any("16-bit baseline, 18.42" in name for name in lines)
    assert [row[0] for row in shown[TABLE]["rows"]][6:9] == [
        "16 bits",
        "first blocks wide",
        "random 8, 6, 4 by layer",
    ]


def test_the_address_chooses_the_score(services: Services, samples: MapSamples) -> None:
    """The same page with another score in its address draws that; an unknown one the first."""
    run = get(services, samples.measured)
    key = next(value for _, value in show_maps(services, run, {})[METRIC].choices[1:])
    shown = show_maps(services, run, {"score": key})
    assert shown[METRIC].value == key
    assert "KL divergence" in shown[FIGURE]["layout"]["yaxis"]["title"]["text"]
    assert show_maps(services, run, {"score": "what"})[METRIC].value.endswith("|perplexity")


def test_a_training_run_shows_its_newest_evaluation(
    services: Services, samples: MapSamples
) -> None:
    """The finished evaluation is named and linked; a run without one shows no curve."""
    shown = show_maps(services, get(services, samples.switchable), {})
    assert f"[run {samples.measured}](/run?id={samples.measured})" in shown[NOTE]
    assert shown[FIGURE]["data"]
    assert show_maps(services, get(services, samples.cyclic), {})[CARD].visible is False


@pytest.mark.parametrize(
    ("name", "sentence"), [("waiting", text.EMPTY_WAITING), ("failed", text.EMPTY_FAILED)]
)
def test_a_curve_without_points_says_why(
    services: Services, samples: MapSamples, *, name: str, sentence: str
) -> None:
    """Waiting and failed evaluations have a sentence, no axes and no table."""
    shown = show_maps(services, get(services, getattr(samples, name)), {})
    assert (shown[FIGURE]["data"], shown[FIGURE]["meta"]["empty"]) == ([], sentence)
    assert (shown[CARD].visible, shown[METRIC].visible, shown[TABLE]) == (True, False, None)


def test_scores_appear_while_maps_are_measured(services: Services, samples: MapSamples) -> None:
    """Half of the maps are a curve already, and the note says how many are to come."""
    run = get(services, samples.measuring)
    shown = show_maps(services, run, {})
    line = next(each for each in shown[FIGURE]["data"] if each["name"] == text.UNIFORM)
    assert len(line["x"]) == len(shown[TABLE]["rows"]) - 4 == 3
    assert text.PARTIAL.format(done=3, count="8 maps") in shown[NOTE]
    assert sign_maps(services, run).endswith("running 9")
    assert sign_maps(services, run) in sign_findings(services, run, {})


def test_a_map_that_is_cut_short_is_not_counted(services: Services, samples: MapSamples) -> None:
    """A first score does not make a map measured; a run that has ended says "so far" no more."""
    run = get(services, samples.measuring)
    with services.database.writing() as session:
        add_map_scores(session, run.id, [MapScored(
            3, "6 bits", 6, 6.3, "text/x", "perplexity", 9.0, 0.1, 40, "lower", limited=True
        )])  # fmt: skip
    assert text.PARTIAL.format(done=3, count="8 maps") in show_maps(services, run, {})[NOTE]
    ended = show_maps(services, replace(run, state="cancelled"), {})[NOTE]
    assert text.PARTIAL_ENDED.format(done=3, count="8 maps") in ended


def test_what_is_not_a_number_is_said(services: Services, samples: MapSamples) -> None:
    """A map whose score is no number is no point, but a sentence and a word in the table."""
    run = get(services, samples.measured)
    with services.database.writing() as session:
        add_map_scores(session, run.id, [MapScored(
            0, "3 bits", 3, 3.3, BENCHMARK, "perplexity", math.nan, None, 4080, "lower",
            limited=True,
        )])  # fmt: skip
    shown = show_maps(services, run, {})
    line = next(each for each in shown[FIGURE]["data"] if each["name"] == text.UNIFORM)
    assert (min(line["x"]), len(line["x"])) == (4.0, 5)
    assert "Not drawn: 3 bits: not a number." in shown[NOTE]
    assert shown[TABLE]["rows"][0][3] == text.NOT_A_NUMBER


def test_an_attacked_classifier_has_no_perplexity(services: Services, samples: MapSamples) -> None:
    """The benchmark's own accuracy comes first, then that of attacked texts, each with its n."""
    shown = show_maps(services, get(services, samples.attacked), {})
    assert [title for title, _ in shown[METRIC].choices] == [
        "Accuracy (n = 872)",
        "Accuracy before the attack (n = 100)",
        "Adversarial accuracy (n = 100)",
        "Token change rate (n = 70 to 73)",
    ]
    assert shown[METRIC].value == "sst2|accuracy"
    assert shown[FIGURE]["layout"]["yaxis"]["title"]["text"].endswith("<br>n = 872")
    columns = shown[TABLE]["columns"][3:]
    assert columns[1] == "Accuracy before the attack ↑ (limit, n = 100)"
    assert columns[3] == "Token change rate ↑"
    assert shown[TABLE]["rows"][0][-1].endswith(" (limit, n = 70)")


def test_an_evaluation_has_facts_without_empty_scores(
    services: Services, samples: MapSamples
) -> None:
    """Beside the curve stand what it builds on, its maps and its attack."""
    run = get(services, samples.attacked)
    sections = read_facts(services, run, read_children(services, run))["sections"]
    names = [section["id"] for section in sections]
    assert names[0] == "origin"
    assert "scores" not in names
    assert "GBDA, 100 texts, 100 steps" in str(sections[0])
    guess = {"total_bytes": 9, "effective_bits": 4.5, "peak_memory_bytes": 99, "seconds": 3.0}
    for kind, has_size in (("map-evaluation", False), ("experiment", True)):
        costs = str(describe_estimates(replace(run, kind=kind, estimate=guess)))
        assert ("Peak memory" in costs, "Effective bits" in costs) == (True, has_size)


def test_a_training_run_names_the_best_of_its_maps(services: Services, samples: MapSamples) -> None:
    """Among what builds on it stands the best rounded score, its map, and their number."""
    parent = get(services, samples.switchable)
    told = str(read_facts(services, parent, read_children(services, parent)))
    assert "18.60 ± 0.31" in told
    assert "Perplexity at 8 bits, of 9 maps" in told
    waiting = get(services, samples.cyclic)
    assert "8 maps" in str(read_facts(services, waiting, read_children(services, waiting)))


def test_every_page_answers_for_every_component(services: Services, samples: MapSamples) -> None:
    """Whatever run is shown, there is one value for each component."""
    for run_id in (samples.measured, samples.cyclic, samples.waiting, samples.baseline):
        assert len(show_findings(services, get(services, run_id), {})) == len(hide_findings())


def test_a_form_that_is_filled_in_stays_while_children_end(
    services: Services, samples: MapSamples
) -> None:
    """Another evaluation's end renews the curve and leaves the form; the run's own end shows it."""
    run = get(services, samples.switchable)
    num_form = len(hide_widths())
    before = sign_findings(services, run, {}).rsplit(" ", 3)[0] + " 1 succeeded 1"
    renewed = renew_findings(services, run, {}, seen=before)
    assert renewed[-num_form:] == [gr.skip()] * num_form
    assert renewed[-num_form - 2]["data"]
    running = sign_findings(services, run, {}).replace("succeeded", "running")
    assert renew_findings(services, run, {}, seen=running)[-num_form:][OFFER].visible is True
    now = sign_findings(services, run, {})
    assert renew_findings(services, run, {}, seen=now) == [gr.skip()] * len(hide_findings())


@pytest.mark.parametrize(
    ("name", "widths"),
    [("switchable", [8, 7, 6, 5, 4, 3]), ("classifier", [8, 7, 6, 5, 4, 3])],
)
def test_a_trained_run_offers_other_widths(
    services: Services, samples: MapSamples, *, name: str, widths: list[int]
) -> None:
    """Widths are suggested; an attack is offered where there is a classifier."""
    shown = show_widths(services, get(services, getattr(samples, name)))
    assert (shown[OFFER].visible, shown[ASKING].visible, shown[REASON]) == (True, True, "")
    assert shown[WIDTHS].value == widths
    assert shown[ATTACKED].visible is (name == "classifier")


def test_a_start_made_for_one_width_says_that_there_is_no_other(
    services: Services, samples: MapSamples
) -> None:
    """LoftQ's weights belong to their width: the reason stands there instead of a form."""
    shown = show_widths(services, get(services, samples.loftq))
    assert (shown[OFFER].visible, shown[ASKING].visible) == (True, False)
    assert "loftq made its weights for 4 bits alone" in shown[REASON]


@pytest.mark.parametrize("name", ["baseline", "measured", "waiting"])
def test_other_runs_offer_nothing(services: Services, samples: MapSamples, *, name: str) -> None:
    """A 16-bit model has no other width, and an evaluation trained nothing."""
    assert show_widths(services, get(services, getattr(samples, name)))[OFFER].visible is False


def test_measuring_queues_the_widths_and_leaves_for_the_run(
    services: Services, samples: MapSamples
) -> None:
    """Chosen widths and a random map become one run; its page is the next address."""
    problems, address = ask(
        services, samples.switchable, [8, 3], widths="8\n4", weights="1\n3", scope="block"
    )
    assert problems["problems"] == []
    run = get(services, int(address.removeprefix("/run?id=")))
    assert [each["map"] for each in run.spec["maps"]] == ["uniform", "uniform", "random"]
    assert run.spec["maps"][2]["weights"] == [1.0, 3.0]
    assert run.spec["attack"]["attack"] == "none"
    assert run.parent_id == samples.switchable


def test_a_named_map_is_queued_with_the_others(services: Services, samples: MapSamples) -> None:
    """Lines and a name are one more map, between the widths and what is drawn."""
    lines = "model.layers.0.*=8\n*.mlp.*=W4A8"
    asked = {"layer_bits": lines, "name": "first block wide", "widths": "8\n4"}
    problems, address = ask(services, samples.switchable, [4], **asked)
    assert problems["problems"] == []
    maps = get(services, int(address.removeprefix("/run?id="))).spec["maps"]
    assert [each["map"] for each in maps] == ["uniform", "layers", "random"]
    assert maps[1]["name"] == "first block wide"
    assert maps[1]["layer_bits"] == ["model.layers.0.*=8", "*.mlp.*=W4A8"]


def test_an_attack_is_queued_as_it_is_chosen(services: Services, samples: MapSamples) -> None:
    """Pressing the button with the attack chosen asks for it, with its texts and steps."""
    _, address = ask(services, samples.classifier, [4], attacked=True, num_samples="20")
    attack = get(services, int(address.removeprefix("/run?id="))).spec["attack"]
    assert (attack["attack"], attack["num_samples"], attack["num_steps"]) == ("gbda", 20, 100)


def test_what_it_costs_is_said_before(services: Services, samples: MapSamples) -> None:
    """Time and memory stand beside the button; more texts to attack take longer."""
    run = get(services, samples.classifier)
    assert show_widths(services, run)[ESTIMATE].startswith("6 maps: about ")
    told = [
        describe_cost(services, run, list_asked_fields(), fill([4], attacked, {}))
        for attacked in (False, True)
    ]
    assert all("iB of memory" in each and "Time rests on" in each for each in told)
    clean, attacked = (each.partition("about ")[2].partition(" (")[0] for each in told)
    assert (clean.endswith(" s"), attacked.endswith(" min")) == (True, True)


def test_what_cannot_be_queued_has_no_estimate(services: Services, samples: MapSamples) -> None:
    """Instead of a time there is what is wrong, while it is typed."""
    run = get(services, samples.switchable)
    told = describe_cost(services, run, list_asked_fields(), fill([4], False, {"widths": "9"}))
    assert told.startswith("No estimate: ")
    assert "16" in told


@pytest.mark.parametrize(
    ("widths", "typed", "element"),
    [
        ([], {}, "measured-widths"),
        ([4], {"widths": "8\n9"}, "field-maps-widths"),
        ([4], {"widths": "8\n4", "weights": "1"}, "field-maps-weights"),
        ([4], {"layer_bits": "*.mlp.*=4"}, "field-maps-name"),
        ([4], {"name": "mine"}, "field-maps-layer_bits"),
        ([4], {"layer_bits": "*.mlp.*=9", "name": "mine"}, "field-maps-layer_bits"),
        ([4], {"layer_bits": "nowhere=4", "name": "mine"}, "field-maps-layer_bits"),
    ],
)
def test_what_cannot_be_measured_is_said_at_its_field(
    services: Services,
    samples: MapSamples,
    *,
    widths: list[int],
    typed: dict[str, str],
    element: str,
) -> None:
    """No map at all, a width that is none, and too few chances are one sentence each."""
    problems, address = ask(services, samples.switchable, widths, **typed)
    assert address == ""
    assert [each["element"] for each in problems["problems"]] == [element]
    assert problems["heading"] == text.PROBLEM


def test_a_wrong_attack_is_said_at_its_field(services: Services, samples: MapSamples) -> None:
    """Steps that are no number are named at their field."""
    problems, address = ask(services, samples.classifier, [4], attacked=True, num_steps="many")
    assert address == ""
    assert [each["element"] for each in problems["problems"]] == ["field-attack-num_steps"]
