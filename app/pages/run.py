"""The Run page (`/run?id=12`): one run, live while it runs, the same after a reload.

Handlers read the run's number from the address and the rest from the store, so a second tab or a
restarted server shows the same. Curves and log are read by the browser from REST. What is shown of
ranks stands in `run_ranks`, `run_candidates` and `run_choosing`, what of the start in `run_start`,
what of layer maps in `run_maps` and `run_widths`, what of sensitivity in `run_sensitivity`, what is
said in `app.tables`.
Start with `RunPage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.chart import PlotlyChart
from app.components.facts import Facts
from app.components.log_view import LogView
from app.components.page_load import FAST, TO_PAGE, listen_to_load
from app.components.run_header import RunHeader
from app.pages.run_candidates import (
    CandidatePanels,
    build_candidate_panels,
    evaluate_candidate,
    find_candidates,
    find_selected,
    hide_candidates,
    read_position,
    show_candidates,
)
from app.pages.run_choosing import build_choice_panels, hide_choice, show_choice, wire_choice
from app.pages.run_finding import Missing, find_asked_run
from app.pages.run_maps import build_map_panels, hide_maps, show_maps, sign_maps, wire_maps
from app.pages.run_ranks import RankPanels, build_rank_panels, hide_ranks, show_ranks
from app.pages.run_sensitivity import (
    build_sensitivity_panels,
    hide_sensitivity,
    show_sensitivity,
    sign_sensitivity,
    wire_sensitivity,
)
from app.pages.run_sensitivity_reading import list_maps_made
from app.pages.run_start import (
    build_start_panels,
    hide_start,
    show_start,
    sign_start,
    wire_start,
)
from app.pages.run_widths import build_width_panels, hide_widths, show_widths, wire_widths
from app.services import Services
from app.tables.candidates import find_record
from app.tables.lineage import Child
from app.tables.run_facts import Findings, describe_facts
from app.tables.run_header import describe_header, describe_missing
from app.tables.sections import show_sections
from app.tables.spec_section import describe_spec
from app.text import run as text
from tasks.store import candidates, files, map_scores, measurements, runs
from tasks.store.database import Database
from tasks.store.records import TERMINAL_STATES, CandidateRecord, RunRecord

POLL_SECONDS = 2.0
MOST_CHILDREN = 20
_TO_CANDIDATE = """(position) => {
  if (!position) return;
  const query = new URLSearchParams(location.search);
  query.set('candidate', position);
  history.replaceState(history.state, '', location.pathname + '?' + query);
}"""


def read_header(services: Services, run: RunRecord | Missing) -> dict[str, Any]:
    """Return the head of the page."""
    if isinstance(run, Missing):
        return describe_missing(run.title, run.hint)
    stages = runs.list_stages(services.database, run.id)
    before = runs.find_queue_position(services.database, run.id)
    return describe_header(run, stages, num_before=before)


def read_facts(services: Services, run: RunRecord, children: tuple[Child, ...]) -> dict[str, Any]:
    """Return what stands beside the figures: scores, relatives, estimates, files, attempts."""
    database = services.database
    baseline = None if run.is_baseline else runs.find_baseline(database, run.baseline_key)
    found = Findings(
        scores=measurements.list_scores(database, run.id),
        baseline_scores=measurements.list_scores(database, baseline.id) if baseline else (),
        baseline_id=baseline.id if baseline else None,
        files=files.list_files(database, run.id),
        attempts=runs.list_attempts(database, run.id),
        parent=runs.find_run(database, run.parent_id) if run.parent_id else None,
        children=children,
        candidates=_list_evaluated(database, run),
        maps=list_maps_made(services, run),
    )
    return show_sections(describe_facts(run, found))


def read_children(services: Services, run: RunRecord) -> tuple[Child, ...]:
    """Return the newest searches and evaluations that build on a run, with what they found."""
    database = services.database
    found = sorted(runs.list_children(database, run.id), key=lambda child: -child.id)
    return tuple(
        Child(
            child,
            measurements.list_scores(database, child.id),
            _list_evaluated(database, child),
            map_scores.list_map_scores(database, child.id) if _has_maps(child) else (),
        )
        for child in found[:MOST_CHILDREN]
    )


def curves_source(run: RunRecord, *, log_scale: bool) -> dict[str, str]:
    """Return where the browser reads the curves; the attempt makes it start again after a retry."""
    query = f"log_scale={str(log_scale).lower()}&attempt={run.attempt}&state={run.state}"
    return {"source_url": f"/api/v1/runs/{run.id}/figures/training?{query}"}


def hide_findings() -> list[Any]:
    """Answer for a page without findings: ranks, choice, start, scores, maps, widths."""
    ranks = [*hide_ranks(), *hide_candidates(), *hide_choice()]
    return [*ranks, *hide_start(), *hide_sensitivity(), *hide_maps(), *hide_widths()]


def show_findings(services: Services, run: RunRecord, query: Mapping[str, str]) -> list[Any]:
    """Return all findings of a run in the order of `hide_findings`, as the address selects."""
    if run.kind != "search":
        ranks = [*show_ranks(services, run), *hide_candidates(), *show_choice(run)]
        start, maps = show_start(services, run), show_maps(services, run, query)
        scores = show_sensitivity(services, run, query)
        return [*ranks, *start, *scores, *maps, *show_widths(services, run)]
    found = find_candidates(services, run)
    position = find_selected(found, query)
    record = find_record(found, position)
    return [
        *show_ranks(services, run, ranks=record.ranks if record else None),
        *show_candidates(run, found, position),
        *hide_choice(),
        *hide_start(),
        *hide_sensitivity(),
        *hide_maps(),
        *hide_widths(),
    ]


def renew_findings(
    services: Services, run: RunRecord, query: Mapping[str, str], *, seen: str
) -> list[Any]:
    """Return what changed of the findings, in their order; forms stay as they are filled in.

    A form is answered anew where the run itself went on: what it offers follows from that alone.

    Args:
        services: Where the run is read.
        run: What the page shows.
        query: The address.
        seen: What `sign_findings` said of what the page shows.
    """
    count = len(hide_findings())
    if sign_findings(services, run, query) == seen:
        return [gr.skip()] * count
    findings = show_findings(services, run, query)
    if not seen.startswith(f"{_sign_progress(run)} "):
        return findings
    choice = len(hide_ranks()) + len(hide_candidates())
    for form, start in ((hide_choice(), choice), (hide_widths(), count - len(hide_widths()))):
        findings[start : start + len(form)] = [gr.skip()] * len(form)
    return findings


def sign_findings(services: Services, run: RunRecord, query: Mapping[str, str]) -> str:
    """Return a text that changes whenever what `show_findings` answers may have changed."""
    counted = sum(map(sum, (run.rank_counts or {}).get("counts", ())))
    evaluated = len(_list_evaluated(services.database, run))
    parts = (_sign_progress(run), bool(run.chosen_ranks), counted, evaluated)
    rest = (query.get("candidate", "")[:20], sign_start(services, run), sign_maps(services, run))
    return " ".join(map(str, (*parts, *rest, sign_sensitivity(services, run)))).rstrip()


@dataclass(frozen=True)
class RunPage:
    """The handlers of the page, bound to the services."""

    services: Services

    def load(self, log_scale: bool, request: gr.Request) -> tuple[Any, ...]:  # noqa: FBT001 - Gradio passes values by position
        """Fill the whole page: header, body, facts, spec, curves, log, findings, timer."""
        query = request.query_params
        run = find_asked_run(self.services, query)
        header = read_header(self.services, run)
        hidden = gr.Column(visible=False)
        if isinstance(run, Missing):
            vacant = show_sections(())
            rest = (vacant, vacant, None, None, hidden, *hide_findings(), "")
            return (header, hidden, *rest, gr.Timer(active=False))
        children = read_children(self.services, run)
        return (
            header,
            gr.Column(visible=True),
            read_facts(self.services, run, children),
            show_sections([describe_spec(run)]),
            curves_source(run, log_scale=log_scale) if run.kind == "experiment" else None,
            {"run_id": run.id, "attempt": run.attempt},
            gr.Column(visible=run.kind == "experiment"),
            *show_findings(self.services, run, query),
            sign_findings(self.services, run, query),
            gr.Timer(active=_is_alive(run, children)),
        )

    def tick(self, seen: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Refresh what changes while the run or one of its children runs.

        Args:
            seen: What `sign_findings` said of what the page shows; None before it was loaded.
            request: Whose address names the run.
        """
        query = request.query_params
        run = find_asked_run(self.services, query)
        header = read_header(self.services, run)
        if isinstance(run, Missing):
            gone = (header, show_sections(()), None, *hide_findings(), "")
            return (*gone, gr.Timer(active=False))
        children = read_children(self.services, run)
        return (
            header,
            read_facts(self.services, run, children),
            {"run_id": run.id, "attempt": run.attempt},
            *renew_findings(self.services, run, query, seen=seen or ""),
            sign_findings(self.services, run, query),
            gr.Timer(active=_is_alive(run, children)),
        )

    def rescale(self, log_scale: bool, request: gr.Request) -> dict[str, str] | None:  # noqa: FBT001 - as above
        """Read the curves again with the other axes."""
        run = find_asked_run(self.services, request.query_params)
        return None if isinstance(run, Missing) else curves_source(run, log_scale=log_scale)

    def select(self, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        """Show the clicked configuration: rank panels, candidates, and its position as text."""
        position = read_position(event)
        run = find_asked_run(self.services, request.query_params)
        count = len(hide_ranks()) + len(hide_candidates())
        if isinstance(run, Missing) or position is None:
            return (*[gr.skip()] * count, "")
        findings = show_findings(self.services, run, {"candidate": str(position)})
        return (*findings[:count], str(position))

    def evaluate(self, event: gr.EventData, request: gr.Request) -> tuple[Any, str]:
        """Queue the evaluation of the configuration whose button was pressed."""
        run = find_asked_run(self.services, request.query_params)
        if isinstance(run, Missing):
            return None, ""
        return evaluate_candidate(self.services, run, read_position(event))


def build(services: Services) -> None:
    """Build the page and wire it."""
    page = RunPage(services)
    header = RunHeader(elem_id="run-header")
    timer = gr.Timer(POLL_SECONDS)
    with gr.Column(visible=False, elem_id="run-body") as body, gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=420):
            search = build_candidate_panels()
            with gr.Column(elem_classes="bd-card", elem_id="run-training") as training:
                log_scale = gr.Checkbox(
                    label=text.LOG_SCALE, value=False, container=False, elem_id="log-scale"
                )
                curves = PlotlyChart(label=text.CURVES, height=480, elem_id="run-curves")
            scores = build_sensitivity_panels()
            maps = build_map_panels()
            start = build_start_panels()
            ranks = build_rank_panels()
            choice = build_choice_panels()
            widths = build_width_panels()
            log = LogView(elem_id="run-log")
            spec = Facts(elem_id="run-spec")
        with gr.Column(scale=2, min_width=360):
            facts = Facts(elem_id="run-facts")
    seen = gr.Textbox(visible=False)
    panels = (ranks, search, choice, start, scores, maps, widths)
    findings = [*(each for part in panels for each in part.list_outputs()), seen]
    whole = [header, body, facts, spec, curves, log, training, *findings, timer]
    listen_to_load(page.load, [log_scale], whole)
    header.acted(page.load, [log_scale], whole, **FAST)
    timer.tick(page.tick, [seen], [header, facts, log, *findings, timer], **FAST)
    log_scale.input(page.rescale, [log_scale], curves, trigger_mode="always_last", **FAST)
    _wire_candidates(page, ranks, search)
    wire_choice(services, choice)
    wire_start(services, start)
    wire_maps(services, maps)
    wire_sensitivity(services, scores)
    wire_widths(services, widths)


def _wire_candidates(page: RunPage, ranks: RankPanels, search: CandidatePanels) -> None:
    selected, target = gr.Textbox(visible=False), gr.Textbox(visible=False)
    shown = [*ranks.list_outputs(), *search.list_outputs(), selected]
    for listen in (search.figure.point_click, search.table.chosen):
        listen(page.select, None, shown, trigger_mode="multiple", **FAST).then(
            None, [selected], None, js=_TO_CANDIDATE
        )
    search.view.evaluate(page.evaluate, None, [search.view, target], **FAST).then(
        None, [target], None, js=TO_PAGE
    )


def _list_evaluated(database: Database, run: RunRecord) -> tuple[CandidateRecord, ...]:
    """Return what a search evaluated; other runs evaluate no configurations."""
    return candidates.list_candidates(database, run.id) if run.kind == "search" else ()


def _has_maps(run: RunRecord) -> bool:
    return run.kind == "map-evaluation"


def _sign_progress(run: RunRecord) -> str:
    """Return a text that changes whenever a run goes on to another attempt or state."""
    return f"{run.id} {run.attempt} {run.state}"


def _is_alive(run: RunRecord, children: tuple[Child, ...]) -> bool:
    """Whether the run or one that builds on it may still change."""
    return any(
        each.state not in TERMINAL_STATES for each in (run, *(child.run for child in children))
    )
