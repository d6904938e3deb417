"""The Run page (`/run?id=12`): one run, live while it runs, the same after a reload.

Handlers read the run's number from the address and the rest from the store, so a second tab or a
restarted server shows the same. Curves and log are read by the browser from REST. Start with
`RunPage`; what is said stands in `app.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.chart import PlotlyChart
from app.components.facts import Facts
from app.components.log_view import LogView
from app.components.page_load import FAST, listen_to_load
from app.components.run_header import RunHeader
from app.services import Services
from app.tables.run_facts import Findings, describe_facts
from app.tables.run_header import describe_header, describe_missing
from app.tables.sections import show_sections
from app.tables.spec_section import describe_spec
from app.text import run as text
from tasks.store import files, measurements, runs
from tasks.store.records import TERMINAL_STATES, RunRecord

POLL_SECONDS = 2.0
LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class Missing:
    """Why there is no run to show."""

    title: str
    hint: str


def find_asked_run(services: Services, query: Mapping[str, str]) -> RunRecord | Missing:
    """Return the run that the address names, or why there is none."""
    given = (query.get("id") or "").strip()
    if not given:
        return Missing(text.NO_ID, text.NO_ID_HINT)
    if not (given.isascii() and given.isdigit() and 0 < int(given[:12]) <= LARGEST_ID):
        return Missing(text.BAD_ID.format(given=given[:40]), text.NO_ID_HINT)
    run = runs.find_run(services.database, int(given))
    return run or Missing(text.UNKNOWN.format(given=given), text.UNKNOWN_HINT)


def read_header(services: Services, run: RunRecord | Missing) -> dict[str, Any]:
    """Return the head of the page."""
    if isinstance(run, Missing):
        return describe_missing(run.title, run.hint)
    stages = runs.list_stages(services.database, run.id)
    before = runs.find_queue_position(services.database, run.id)
    return describe_header(run, stages, num_before=before)


def read_facts(services: Services, run: RunRecord) -> dict[str, Any]:
    """Return scores, estimates, files, environment and attempts."""
    database = services.database
    baseline = None if run.is_baseline else runs.find_baseline(database, run.baseline_key)
    found = Findings(
        scores=measurements.list_scores(database, run.id),
        baseline_scores=measurements.list_scores(database, baseline.id) if baseline else (),
        baseline_id=baseline.id if baseline else None,
        files=files.list_files(database, run.id),
        attempts=runs.list_attempts(database, run.id),
    )
    return show_sections(describe_facts(run, found))


def curves_source(run: RunRecord, *, log_scale: bool) -> dict[str, str]:
    """Return where the browser reads the curves; the attempt makes it start again after a retry."""
    query = f"log_scale={str(log_scale).lower()}&attempt={run.attempt}&state={run.state}"
    return {"source_url": f"/api/v1/runs/{run.id}/figures/training?{query}"}


@dataclass(frozen=True)
class RunPage:
    """The handlers of the page, bound to the services."""

    services: Services

    def load(self, log_scale: bool, request: gr.Request) -> tuple[Any, ...]:  # noqa: FBT001 - Gradio passes values by position
        """Fill the whole page: header, body, facts, spec, curves, log, timer."""
        run = find_asked_run(self.services, request.query_params)
        header = read_header(self.services, run)
        if isinstance(run, Missing):
            vacant = show_sections(())
            rest = (vacant, vacant, None, None, gr.Timer(active=False))
            return (header, gr.Column(visible=False), *rest)
        return (
            header,
            gr.Column(visible=True),
            read_facts(self.services, run),
            show_sections([describe_spec(run)]),
            curves_source(run, log_scale=log_scale),
            {"run_id": run.id, "attempt": run.attempt},
            gr.Timer(active=run.state not in TERMINAL_STATES),
        )

    def tick(self, request: gr.Request) -> tuple[Any, ...]:
        """Refresh what changes while the run runs: header, facts, log's attempt, timer."""
        run = find_asked_run(self.services, request.query_params)
        header = read_header(self.services, run)
        if isinstance(run, Missing):
            return header, show_sections(()), None, gr.Timer(active=False)
        log = {"run_id": run.id, "attempt": run.attempt}
        timer = gr.Timer(active=run.state not in TERMINAL_STATES)
        return header, read_facts(self.services, run), log, timer

    def rescale(self, log_scale: bool, request: gr.Request) -> dict[str, str] | None:  # noqa: FBT001 - as above
        """Read the curves again with the other axes."""
        run = find_asked_run(self.services, request.query_params)
        return None if isinstance(run, Missing) else curves_source(run, log_scale=log_scale)


def build(services: Services) -> None:
    """Build the page and wire it."""
    page = RunPage(services)
    header = RunHeader(elem_id="run-header")
    timer = gr.Timer(POLL_SECONDS)
    with gr.Column(visible=False, elem_id="run-body") as body, gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=420):
            with gr.Column(elem_classes="bd-card"):
                log_scale = gr.Checkbox(
                    label=text.LOG_SCALE, value=False, container=False, elem_id="log-scale"
                )
                curves = PlotlyChart(label=text.CURVES, height=480, elem_id="run-curves")
            log = LogView(elem_id="run-log")
            spec = Facts(elem_id="run-spec")
        with gr.Column(scale=2, min_width=360):
            facts = Facts(elem_id="run-facts")
    whole = [header, body, facts, spec, curves, log, timer]
    listen_to_load(page.load, [log_scale], whole)
    header.acted(page.load, [log_scale], whole, **FAST)
    timer.tick(page.tick, None, [header, facts, log, timer], **FAST)
    log_scale.input(page.rescale, [log_scale], curves, trigger_mode="always_last", **FAST)
