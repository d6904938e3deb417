"""Promises of the web process, over HTTP and from its command."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.components.chart import PLOTLY_ADDRESS
from app.server import create_app, main
from app.services import Services, open_services
from tasks.settings import Settings
from tasks.store.schema import upgrade
from tests.app.loops import build_in_loop

PAGES = ("/", "/new", "/runs", "/run")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Open services on a store that the tests of this module share."""
    folder = tmp_path_factory.mktemp("web")
    settings = Settings(data_folder=folder, database_url="", broker_url=None)
    upgrade(settings)
    opened = open_services(settings)
    yield opened
    opened.database.dispose()


@pytest.fixture(scope="module")
def client(shared: Services) -> Iterator[TestClient]:
    """Speak to the whole application."""
    app = build_in_loop(lambda: create_app(shared))
    with TestClient(app) as opened:
        yield opened


def find_dependency(config: dict[str, Any], elem_id: str, event: str) -> dict[str, Any]:
    """Return the wiring of one event of one component."""
    ids = [c["id"] for c in config["components"] if c["props"].get("elem_id") == elem_id]
    return next(d for d in config["dependencies"] if [ids[0], event] in map(list, d["targets"]))


def test_no_page_holds_a_connection_open(client: TestClient) -> None:
    """No state and no unload listener anywhere: a sixth tab would hang all of them."""
    config = client.get("/config").json()
    assert "state" not in {component["type"] for component in config["components"]}
    assert config["connect_heartbeat"] is False


def test_no_page_waits_in_a_queue(client: TestClient) -> None:
    """Every event is a short call: queued ones would wait for each other."""
    config = client.get("/config").json()
    queued = [d["id"] for d in config["dependencies"] if d["queue"] and d["backend_fn"]]
    assert queued == []


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_served_with_its_guards(client: TestClient, path: str) -> None:
    """A page may load from this server only, and says so in every reply."""
    reply = client.get(path)
    assert reply.status_code == 200
    assert "default-src 'self'" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_health_is_told(client: TestClient) -> None:
    """A process that can work says so."""
    reply = client.get("/healthz")
    assert reply.status_code == 200
    assert (reply.json()["database"], reply.json()["migrations"]) == ("ok", "current")


def test_a_store_of_another_version_is_told(client: TestClient, shared: Services) -> None:
    """Where tables are of another version, health is 503 with what to do."""
    with shared.database.writing() as session:
        revision = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        session.execute(text("DELETE FROM alembic_version"))
    try:
        reply = client.get("/healthz")
    finally:
        with shared.database.writing() as session:
            insert = text("INSERT INTO alembic_version VALUES (:revision)")
            session.execute(insert, {"revision": revision})
    assert reply.status_code == 503
    assert "bitdial db upgrade" in reply.json()["migrations"]


def test_plotly_comes_from_here_and_is_kept(client: TestClient) -> None:
    """The figures' library is served locally under a name that changes with its version."""
    reply = client.get(PLOTLY_ADDRESS)
    assert reply.status_code == 200
    assert "immutable" in reply.headers["cache-control"]
    assert "plotly.js" in reply.text[:300]


def test_rest_and_metrics_are_beside_the_pages(client: TestClient) -> None:
    """One address serves pages, REST with its description, and metrics."""
    assert client.get("/api/v1/openapi.json").json()["info"]["title"] == "Bitdial"
    assert "bitdial_runs" in client.get("/metrics").text


def test_an_edit_travels_over_http(client: TestClient) -> None:
    """The form's one event takes every widget and answers with draft, problems and spec."""
    config = client.get("/config").json()
    wiring = find_dependency(config, "draft", "edited")
    components = {c["id"]: c["props"] for c in config["components"]}
    sent = [components[i].get("value") for i in wiring["inputs"]]
    ids = [components[i].get("elem_id") for i in wiring["inputs"]]
    sent[ids.index("field-name")] = "over <b>http</b>"
    sent[ids.index("preset")] = "rtn"
    reply = client.post(
        "/gradio_api/run/predict",
        json={"data": sent, "fn_index": wiring["id"], "session_hash": "t"},
    )
    draft, problems, _, spec, *_ = reply.json()["data"]
    assert draft["id"] is not None
    assert "over <b>http</b>" in str(spec) + str(problems)


def test_a_taken_port_is_one_sentence(
    data_folder: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the port and both ways to change it; the exit code is 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(data_folder=data_folder, database_url="", broker_url=None, port=port)
        assert main(settings) == 2
    said = capsys.readouterr().err
    assert str(port) in said
    assert "BITDIAL_PORT" in said
    assert "--port" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_an_open_address_is_refused(
    data_folder: object, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    """Without a sign-in nobody else's machine may reach us."""
    settings = Settings(data_folder=data_folder, database_url="", broker_url=None, host=host)
    assert main(settings) == 2
    assert host in capsys.readouterr().err


def test_a_store_without_tables_is_one_sentence(
    data_folder: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store nobody migrated is named with the command that does, before any page is shown."""
    settings = Settings(data_folder=data_folder, database_url="", broker_url=None, port=0)
    assert main(settings) == 2
    assert "bitdial db upgrade" in capsys.readouterr().err


def test_the_web_process_loads_no_torch() -> None:
    """Importing the server in a fresh interpreter loads nothing heavy."""
    probe = (
        "import sys, app.server; "
        "print([n for n in ('torch', 'transformers', 'datasets', 'accelerate') "
        "if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
