"""Promises of what the Run page shows of sensitivity: map or bars, choices, table, agreement."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from app.pages.run import (
    RunPage,
    hide_findings,
    read_children,
    read_facts,
    read_header,
    show_findings,
    sign_findings,
)
from app.pages.run_sensitivity import (
    address_of_clicked,
    hide_sensitivity,
    read_choices,
    show_sensitivity,
    sign_sensitivity,
)
from app.services import Services
from app.tables.spec_section import describe_spec
from app.text import sensitivity as text
from engine.events import SensitivityScored
from tasks.store import runs
from tasks.store.records import RunRecord
from tasks.store.sensitivity_scores import add_scores
from tests.app.pages.sensitivity_store import folder, samples, services
from tests.sensitivity_samples import SensitivitySamples, list_layers

__all__ = ["folder", "samples", "services"]
CARD, LEAD, METRIC, WIDTH, LOG, COMMON, FIGURE, OPENER, TABLE = range(9)
AGREEMENT, SAID, COMPARED, SCATTER, TWIN = range(9, 14)


def get(services: Services, run_id: int) -> RunRecord:
    """Return a run."""
    return runs.get_run(services.database, run_id)


def show(services: Services, run_id: int, **query: str) -> list[Any]:
    """Return what the page shows of a run."""
    return show_sensitivity(services, get(services, run_id), query)


def test_every_layer_is_a_cell_of_the_map(services: Services, samples: SensitivitySamples) -> None:
    """Blocks against kinds at the width that hurts most, and every number in the table."""
    shown = show(services, samples.gradient)
    trace = shown[FIGURE]["data"][0]
    assert (len(trace["y"]), len(trace["x"])) == (7, 30)
    assert shown[WIDTH].value == 2
    assert len(shown[TABLE]["rows"]) == 210
    assert shown[TABLE]["columns"] == [
        "Layer",
        *(f"{bits} bits" for bits in (2, 3, 4, 6, 8)),
        "Weights",
    ]
    assert shown[TABLE]["sorted"] == {"column": 1, "down": True}
    row = shown[TABLE]["rows"][0]
    assert row["hint"] == f"model.layers.{row['cells'][0]['text']}"
    assert row["hint"] in list_layers()
    assert row["cells"][1]["small"].startswith("± ")
    assert "±" not in row["cells"][1]["text"]
    assert shown[OPENER] == {"sensitivity": samples.gradient}


def test_hovering_tells_all_of_a_layer(services: Services, samples: SensitivitySamples) -> None:
    """Score with error, place, weights, range, relative error and the adapter's rank."""
    said = show(services, samples.gradient)[FIGURE]["data"][0]["text"][0][0]
    assert "model.layers.0.self_attn.q_proj" in said
    assert "nats per token at 2 bits" in said
    assert " ± " in said
    assert "of 210" in said
    assert "331\u202f776 weights from −0.390 to 0.390" in said
    assert "relative error 0.169" in said
    assert "adapter rank 16" in said


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_widths_have_own_scales_or_share_one(
    services: Services, samples: SensitivitySamples, *, scale: str
) -> None:
    """A width's colors reach from its least to its largest score, or over all widths if chosen."""

    def draw(width: str, span: str) -> dict[str, Any]:
        shown = show(services, samples.gradient, width=width, scale=scale, span=span)
        assert shown[COMMON].value is (span == "all")
        trace: dict[str, Any] = shown[FIGURE]["data"][0]
        return trace

    low, high = draw("8", "width"), draw("2", "width")
    for trace in (low, high):
        cells = [cell for row in trace["z"] for cell in row]
        assert (trace["zmin"], trace["zmax"]) == (min(cells), max(cells))
    assert low["zmax"] < high["zmax"]
    shared = [(trace["zmin"], trace["zmax"]) for trace in (draw("8", "all"), draw("2", "all"))]
    assert shared[0] == shared[1]
    assert shared[0][1] == high["zmax"]


def test_width_and_scale_are_chosen(services: Services, samples: SensitivitySamples) -> None:
    """The address names them; a common scale is no choice where there is one width or no map."""
    shown = show(services, samples.gradient, width="4", scale="linear")
    assert (shown[WIDTH].value, shown[LOG].value) == (4, False)
    assert "to 4 bits" in shown[LEAD]
    assert shown[COMMON].visible is True
    assert show(services, samples.failed)[COMMON].visible is False
    assert show(services, samples.blocks)[COMMON].visible is False


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("running", text.BELOW_SCALE),
        ("blocks", text.BELOW_AXIS),
    ],
)
def test_scores_without_a_logarithm_are_told(
    services: Services, samples: SensitivitySamples, *, name: str, sentence: str
) -> None:
    """Where a score is zero or less the lead says what became of it, on a logarithmic scale."""
    run_id = getattr(samples, name)
    assert sentence not in show(services, run_id, width="2")[LEAD]
    unit = list_layers()[-1] if name == "running" else "model.layers.3"
    with services.database.writing() as session:
        scored = SensitivityScored(unit, 2, "kl_divergence", -0.1, 0.01, 32)
        add_scores(session, run_id, [scored])
    assert sentence in show(services, run_id, width="2")[LEAD]
    assert sentence not in show(services, run_id, width="2", scale="linear")[LEAD]


def test_what_an_address_cannot_have_is_the_usual(
    services: Services, samples: SensitivitySamples
) -> None:
    """An unknown score, width or run in the address does no harm."""
    asked = {"score": "x", "width": "99999999999", "with": "0", "scale": "?"}
    shown = show(services, samples.gradient, **asked)
    assert (shown[WIDTH].value, shown[LOG].value) == (2, True)
    assert shown[COMPARED].value == samples.ablation


def test_a_run_in_the_middle_shows_what_is_there(
    services: Services, samples: SensitivitySamples
) -> None:
    """140 of 210 layers are colored, the others are empty cells, and the sentence counts them."""
    shown = show(services, samples.running)
    assert text.PARTIAL.format(done=140, count=210, units="layers", bits=2) in shown[LEAD]
    cells = [cell for row in shown[FIGURE]["data"][0]["z"] for cell in row]
    assert (len(cells), cells.count(None)) == (210, 70)
    later = show(services, samples.running, width="4")
    assert later[FIGURE]["data"] == []
    assert later[FIGURE]["meta"]["empty"] == text.NO_SCORES_AT.format(bits=4)


def test_a_run_that_failed_half_way_keeps_what_it_measured(
    services: Services, samples: SensitivitySamples
) -> None:
    """Its scores are drawn, what is missing is said, and it can be opened as a bit map."""
    shown = show(services, samples.failed)
    assert text.PARTIAL_FAILED.format(done=77, count=210, units="layers", bits=2) in shown[LEAD]
    assert [value for _, value in shown[WIDTH].choices] == [2]
    assert shown[OPENER] == {"sensitivity": samples.failed}


@pytest.mark.parametrize(
    ("name", "sentence"), [("waiting", text.EMPTY_WAITING), ("broken", text.EMPTY_FAILED)]
)
def test_a_run_without_scores_says_why(
    services: Services, samples: SensitivitySamples, *, name: str, sentence: str
) -> None:
    """Waiting and failed runs have a sentence, no axes, no table, no button and no agreement."""
    shown = show(services, getattr(samples, name))
    assert (shown[FIGURE]["data"], shown[FIGURE]["meta"]["empty"]) == ([], sentence)
    assert (shown[OPENER], shown[TABLE], shown[LOG].visible) == (None, None, False)
    assert shown[AGREEMENT].visible is False


def test_blocks_are_bars_with_errors(services: Services, samples: SensitivitySamples) -> None:
    """A run by block has a bar for each, an error bar on it, and a choice of its two scores."""
    shown = show(services, samples.blocks, score="log_perplexity", width="3")
    trace = shown[FIGURE]["data"][0]
    assert trace["type"] == "bar"
    assert trace["x"] == [str(block) for block in range(30)]
    assert all(error > 0 for error in trace["error_y"]["array"])
    assert shown[METRIC].choices == [
        ("KL divergence", "kl_divergence"),
        ("Log perplexity", "log_perplexity"),
    ]
    assert shown[FIGURE]["layout"]["yaxis"]["title"] == "Log perplexity (nats per token)"
    assert shown[TABLE]["rows"][0]["href"] == ""


def test_methods_are_said_to_agree(services: Services, samples: SensitivitySamples) -> None:
    """The other method comes first: a sentence with its interval, every pair, and every width."""
    shown = show(services, samples.gradient, **{"with": str(samples.ablation)})
    assert f"Ablation, KL divergence (run {samples.ablation}) over 210 layers" in shown[SAID]
    assert "At 2 bits, Gradient agrees 0.9" in shown[SAID]
    assert [len(trace["x"]) for trace in shown[SCATTER]["data"]] == [210, 210]
    assert shown[SCATTER]["layout"]["xaxis"]["type"] == "log"
    own = [row for row in shown[TWIN]["rows"] if row["href"] == f"/run?id={samples.ablation}"]
    assert [row["cells"][1]["text"] for row in own] == ["4", "2", "all"]
    assert shown[TWIN]["note"] == text.AGREEMENT_POOLED
    assert shown[COMPARED].value == samples.ablation
    assert samples.trained_scores not in [value for _, value in shown[COMPARED].choices]


def test_agreement_is_told_of_the_width_shown(
    services: Services, samples: SensitivitySamples
) -> None:
    """The sentence follows the width, or tells the lowest in common; widths are never pooled."""
    at_4 = show(services, samples.gradient, width="4")
    rows = [[cell["text"] for cell in row["cells"]] for row in at_4[TWIN]["rows"]]
    told = {row[1]: row[2] for row in rows if row[0].startswith("Ablation")}
    assert f"At 4 bits, Gradient agrees {told['4']}" in at_4[SAID]
    for width in ("2", "8"):
        said = show(services, samples.gradient, width=width)[SAID]
        assert f"At 2 bits, Gradient agrees {told['2']}" in said


def test_agreement_says_of_how_many_layers(services: Services, samples: SensitivitySamples) -> None:
    """Where the other run has scored a part, the sentence says so; where all, it does not."""
    said = show(services, samples.gradient)[SAID]
    assert f"(run {samples.running}) over 140 of 210 layers." in said
    assert f"(run {samples.ablation}) over 210 layers." in said


def test_a_run_alone_says_how_to_compare(services: Services, samples: SensitivitySamples) -> None:
    """Without a comparable run there is a sentence instead of a figure."""
    shown = show(services, samples.blocks)
    assert (shown[SAID], shown[SCATTER], shown[TWIN]) == (text.AGREEMENT_EMPTY, None, None)


def test_a_click_opens_the_layer(services: Services, samples: SensitivitySamples) -> None:
    """The clicked cell's layer is the address, whatever is in its name; no layer leads nowhere."""
    run = get(services, samples.gradient)
    click: Any = SimpleNamespace(customdata="a&amp;b.&lt;c&gt; d/é")
    address = f"/layer?run={run.id}&name=a%26b.%3Cc%3E%20d%2F%C3%A9"
    assert address_of_clicked(run, click) == address
    nothing: Any = SimpleNamespace(customdata=None)
    assert address_of_clicked(run, nothing) == ""
    assert address_of_clicked(get(services, samples.blocks), click) == ""


def test_names_that_look_like_html_stay_text(
    services: Services, samples: SensitivitySamples
) -> None:
    """A layer called like a tag reaches Plotly escaped and its row's address quoted."""
    name = "<b>x</b>.layers.3.q"
    with services.database.writing() as session:
        scored = SensitivityScored(name, 2, "kl_divergence", 9.0, None, 32)
        add_scores(session, samples.gradient, [scored])
    shown = show(services, samples.gradient)
    told = [
        said for row in shown[FIGURE]["data"][0]["text"] for said in row if "layers.3.q<" in said
    ]
    assert len(told) == 1
    assert told[0].startswith("<b>&lt;b&gt;x&lt;/b&gt;.layers.3.q</b>")
    row = next(row for row in shown[TABLE]["rows"] if row["cells"][0]["text"] == name)
    assert row["hint"] == ""
    assert row["href"].endswith("name=%3Cb%3Ex%3C%2Fb%3E.layers.3.q")


def test_choices_are_what_the_address_says(services: Services, samples: SensitivitySamples) -> None:
    """What is chosen on the page shows the same as an address that names it."""
    chosen = read_choices(["kl_divergence", 4, False, True, samples.ablation])
    assert chosen == {
        "score": "kl_divergence", "width": "4", "scale": "linear", "span": "all",
        "with": str(samples.ablation),
    }  # fmt: skip
    first = show(services, samples.gradient, **chosen)
    again = show(services, samples.gradient, width="4", scale="linear", span="all")
    assert first[FIGURE] == again[FIGURE]


def test_scores_are_seen_as_they_come(services: Services, samples: SensitivitySamples) -> None:
    """A new score changes what the page is asked to renew."""
    run = get(services, samples.running)
    before = sign_findings(services, run, {})
    assert sign_sensitivity(services, run) in before
    with services.database.writing() as session:
        scored = SensitivityScored(list_layers()[-1], 2, "kl_divergence", 0.1, 0.01, 32)
        add_scores(session, run.id, [scored])
    assert sign_findings(services, run, {}) != before


def test_other_runs_show_nothing_of_it(services: Services, samples: SensitivitySamples) -> None:
    """A training run has no such card; there is one answer for each component."""
    run = get(services, samples.trained)
    assert show_sensitivity(services, run, {})[CARD].visible is False
    assert len(hide_sensitivity()) == len(show(services, samples.gradient))
    for run_id in (samples.trained, samples.gradient, samples.waiting):
        found = show_findings(services, get(services, run_id), {})
        assert len(found) == len(hide_findings())


def test_a_sensitivity_run_says_what_it_does(
    services: Services, samples: SensitivitySamples
) -> None:
    """Head and facts name model, method, unit, widths, start and text; nothing claims a size."""
    run = get(services, samples.gradient)
    head = read_header(services, run)
    assert "Sensitivity, gradient by layer" in head["sub"]
    assert "8·6·4·3·2 bits" in head["sub"]
    assert [stage["title"] for stage in head["stages"]] == ["Load", "Sensitivity"]
    sections = {each["id"]: each for each in read_facts(services, run, ())["sections"]}
    assert "scores" not in sections
    said = str(sections["origin"])
    assert "The model as it is" in said
    assert "32 windows of 256 tokens, python-docs train" in said
    assert "Effective bits" not in str(sections["estimates"])
    made = str(sections["bit-maps"]["rows"])
    assert f"/layers?map={samples.opened}" in made
    assert f"/run?id={samples.verified}" in made
    other = get(services, samples.blocks)
    made_of_other = {each["id"]: each for each in read_facts(services, other, ())["sections"]}
    assert not made_of_other["bit-maps"]["rows"]


def test_a_trained_run_leads_to_its_sensitivity(
    services: Services, samples: SensitivitySamples
) -> None:
    """Its page offers the form, and lists the sensitivity run with its method; that links back."""
    run = get(services, samples.trained)
    told = read_facts(services, run, read_children(services, run))
    assert f"/sensitivity?run={run.id}" in str(told)
    assert f"/run?id={samples.trained_scores}" in str(told)
    assert "Gradient by layer" in str(told)
    child = get(services, samples.trained_scores)
    assert f"/run?id={run.id}" in str(read_facts(services, child, ()))
    origins = {row.cells[2].text for row in describe_spec(child).rows}
    assert "training run" in origins
    alone = {row.cells[2].text for row in describe_spec(get(services, samples.gradient)).rows}
    assert alone == {"default"}


def test_hidden_panels_are_hidden() -> None:
    """What answers for other pages makes both cards disappear."""
    hidden = hide_sensitivity()
    assert isinstance(hidden[CARD], gr.Column)
    assert (hidden[CARD].visible, hidden[AGREEMENT].visible) == (False, False)


def test_a_page_that_is_still_loading_may_tick(
    services: Services, samples: SensitivitySamples
) -> None:
    """A timer that is faster than the first answer does no harm: it shows all there is."""
    request: Any = SimpleNamespace(query_params={"id": str(samples.gradient)})
    answered = RunPage(services).tick(None, request)
    assert answered[0]["run"]["id"] == samples.gradient
    assert len(answered) == 3 + len(hide_findings()) + 2
