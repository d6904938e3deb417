"""Promises of a layer's page: what is known of it, whatever its name, or why there is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.pages.layer import show_layer
from app.services import Services
from app.tables.sensitivity_table import address_of_layer
from app.text import run as run_text
from app.text import sensitivity as text
from engine.sensitivity.layer_facts import FACTS_FILE
from tests.app.pages.sensitivity_store import folder, samples, services
from tests.sensitivity_samples import SensitivitySamples, list_layers

HEAD, BODY, METRIC, SCORES, SCORES_TABLE, WEIGHTS, HISTOGRAM, BINS, ERRORS, ERROR_TABLE, FACTS = (
    range(11)
)
__all__ = ["folder", "samples", "services"]
NAME = "model.layers.3.mlp.up_proj"


def show(services: Services, run_id: int, name: str = NAME, **query: str) -> list[Any]:
    """Return what the page shows."""
    return show_layer(services, {"run": str(run_id), "name": name, **query})


def sections(shown: list[Any]) -> dict[str, Any]:
    """Return the sections of facts by id."""
    return {each["id"]: each for each in shown[FACTS]["sections"]}


def change_names(services: Services, run_id: int, old: str, new: str) -> None:
    """Give a layer another name in a run's facts."""
    path = services.settings.attempt_folder(run_id, 1) / FACTS_FILE
    facts = json.loads(path.read_text())
    facts["layers"] = {new if name == old else name: fact for name, fact in facts["layers"].items()}
    path.write_text(json.dumps(facts))


def test_a_layer_says_what_it_is(services: Services, samples: SensitivitySamples) -> None:
    """Shape, range and spread, the histogram and the error by width, each with its table."""
    shown = show(services, samples.gradient)
    assert shown[BODY].visible is True
    assert shown[HEAD]["sub"] == "mlp.up_proj, block 3"
    weights = sections(shown)["weights"]
    assert weights["rows"][0]["cells"][1]["text"] == "1\u202f536 × 576"
    assert weights["note"] == f"As run {samples.gradient} read them."
    assert len(shown[HISTOGRAM]["data"][0]["x"]) == len(shown[BINS]["rows"]) == 32
    assert shown[ERRORS]["data"][0]["x"] == ["2", "3", "4", "6", "8"]
    assert [row[0] for row in shown[ERROR_TABLE]["rows"]] == ["2", "3", "4", "6", "8"]


def test_every_method_stands_side_by_side(services: Services, samples: SensitivitySamples) -> None:
    """Each sensitivity run of the model has a line with errors; a block's score is dashed."""
    shown = show(services, samples.gradient)
    lines = {trace["customdata"][0]: trace for trace in shown[SCORES]["data"]}
    assert {samples.gradient, samples.ablation, samples.failed, samples.blocks} <= set(lines)
    assert lines[samples.gradient]["x"] == [2, 3, 4, 6, 8]
    assert lines[samples.ablation]["x"] == [2, 4]
    assert all(error > 0 for error in lines[samples.gradient]["error_y"]["array"])
    assert lines[samples.gradient]["line"]["dash"] == "solid"
    assert lines[samples.blocks]["line"]["dash"] == "dot"
    assert "as part of model.layers.3" in lines[samples.blocks]["name"]
    assert len(shown[SCORES_TABLE]["rows"]) == len(lines)
    other = show(services, samples.gradient, score="log_perplexity")
    assert [trace["customdata"][0] for trace in other[SCORES]["data"]] == [samples.blocks]
    assert other[METRIC].value == "log_perplexity"


def test_its_width_in_every_run_is_told(services: Services, samples: SensitivitySamples) -> None:
    """A finished run that rounds the model stands with the layer's width and a link."""
    rows = sections(show(services, samples.gradient))["history"]["rows"]
    assert [row["cells"][0]["href"] for row in rows] == [f"/run?id={samples.trained}"]
    assert rows[0]["cells"][1]["text"] == "4"
    assert sections(show(services, samples.trained))["history"]["rows"] == rows


def test_its_place_in_bit_maps_is_told(services: Services, samples: SensitivitySamples) -> None:
    """A bit map of the model links back, with the layer's width there; it is the way back, too."""
    shown = show(services, samples.gradient)
    row = sections(shown)["in-maps"]["rows"][0]
    assert row["cells"][0]["href"] == f"/layers?map={samples.opened}"
    assert row["cells"][1]["text"].split(",")[0] in {"2", "3", "4", "6", "8", "16"}
    crumbs = [crumb["href"] for crumb in shown[HEAD]["crumbs"]]
    assert crumbs == ["/runs", f"/run?id={samples.gradient}", f"/layers?map={samples.opened}"]


def test_neighbors_lead_through_the_model(services: Services, samples: SensitivitySamples) -> None:
    """Before the first and after the last layer there is none; else the model's order holds."""
    names = list_layers()
    head = show(services, samples.gradient, names[7])[HEAD]
    assert head["previous"]["href"] == address_of_layer(samples.gradient, names[6])
    assert head["next"]["name"] == names[8]
    assert show(services, samples.gradient, names[0])[HEAD]["previous"] is None
    assert show(services, samples.gradient, names[-1])[HEAD]["next"] is None


@pytest.mark.parametrize("name", ["a b&c=d", "<img src=x>", "層.0.q%20/../x", "${1+1}"])
def test_odd_names_have_a_page(
    services: Services, samples: SensitivitySamples, *, name: str
) -> None:
    """Whatever characters a layer's name holds, its address leads to its page."""
    change_names(services, samples.gradient, NAME, name)
    shown = show(services, samples.gradient, name)
    assert shown[HEAD]["name"] == name
    assert shown[WEIGHTS].visible is True
    assert "<img" not in shown[SCORES]["meta"]["aria"]


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ({}, run_text.NO_ID),
        ({"run": "x", "name": NAME}, run_text.BAD_ID.format(given="x")),
        ({"run": "99999", "name": NAME}, run_text.UNKNOWN.format(given="99999")),
        ({"run": "2"}, text.NO_LAYER),
        ({"run": "2", "name": "no.such"}, text.UNKNOWN_LAYER.format(id=2, name="no.such")),
    ],
)
def test_what_is_not_there_is_said(
    services: Services, *, query: dict[str, str], title: str
) -> None:
    """No run, an unknown one, no layer and an unknown one have a sentence and a way back."""
    shown = show_layer(services, query)
    assert shown[HEAD]["missing"]["title"] == title
    assert (shown[BODY].visible, shown[FACTS]["sections"]) == (False, [])
    assert shown[HEAD]["crumbs"][0]["href"] == "/runs"


def test_a_layer_nobody_looked_at_is_named_by_its_model(
    services: Services, samples: SensitivitySamples
) -> None:
    """Without any report the layers come from the model's header, and the page says what lacks."""
    for path in services.settings.runs_folder.rglob(FACTS_FILE):
        path.unlink()
    shown = show(services, samples.trained)
    assert shown[WEIGHTS].visible is False
    assert sections(shown)["weights"]["empty"] == text.NO_FACTS
    assert shown[SCORES]["data"]


def test_a_damaged_report_is_no_end(services: Services, samples: SensitivitySamples) -> None:
    """A report that cannot be read leaves the page to what the other runs saw."""
    path = services.settings.attempt_folder(samples.gradient, 1) / FACTS_FILE
    path.write_text("{")
    told = str(sections(show(services, samples.gradient))["weights"])
    assert "read them" in told
    assert f"As run {samples.gradient} read" not in told
