"""The candidates of a rank search on the Run page: figure, table, and the selected configuration.

Which one is selected stands in the address (`&candidate=5`, counted from 0), so that a reload shows
it again; without it the best is. Start with `show_candidates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.candidate_table import CandidateTable
from app.components.candidate_view import CandidateView
from app.components.chart import PlotlyChart
from app.plots.candidates import Candidates, draw, read_candidates
from app.services import Services
from app.tables.candidates import describe_candidate, describe_table, find_record
from app.tables.lineage import write_examples
from app.text import ranks as text
from engine.errors import BitdialError
from tasks import submit
from tasks.store.candidates import list_candidates
from tasks.store.records import RunRecord

MOST_DIGITS = 9


@dataclass(frozen=True)
class CandidatePanels:
    """The components, in the order in which `show_candidates` answers."""

    card: gr.Column
    note: gr.Markdown
    figure: PlotlyChart
    view: CandidateView
    table: CandidateTable

    def list_outputs(self) -> list[Any]:
        """Return them all."""
        return [self.card, self.note, self.figure, self.view, self.table]


def build_candidate_panels() -> CandidatePanels:
    """Build the card inside the open column, hidden."""
    with gr.Column(visible=False, elem_id="candidates", elem_classes="bd-card") as card:
        gr.Markdown(f"## {text.CANDIDATES}")
        note = gr.Markdown("", elem_classes="bd-group-lead")
        figure = PlotlyChart(label=text.CANDIDATES, height=420, elem_id="candidates-figure")
        view = CandidateView(elem_id="candidate-view")
        table = CandidateTable(elem_id="candidate-table")
    return CandidatePanels(card, note, figure, view, table)


def hide_candidates() -> list[Any]:
    """Answer for a page without candidates."""
    return [gr.Column(visible=False), "", None, None, None]


def show_candidates(
    run: RunRecord, found: Candidates, position: int | None, *, problem: str = ""
) -> list[Any]:
    """Return figure, selected configuration and table of a search.

    Args:
        run: The search.
        found: What it evaluated.
        position: The selected configuration.
        problem: What a person must be told about the last action.
    """
    return [
        gr.Column(visible=True),
        text.CHOSEN_NOTE.format(examples=write_examples(run.spec, found.records)),
        draw(found, selected=position),
        describe_candidate(run, found, position, problem=problem),
        describe_table(found, selected=position),
    ]


def find_candidates(services: Services, run: RunRecord) -> Candidates:
    """Return what a search evaluated, with front and best."""
    chosen = (run.chosen_ranks or {}).get("ranks")
    return read_candidates(list_candidates(services.database, run.id), chosen=chosen)


def find_selected(found: Candidates, query: Mapping[str, str]) -> int | None:
    """Return the position the address names, else the best one's; None where there is neither."""
    given = query.get("candidate", "")
    if given.isascii() and given.isdigit() and len(given) <= MOST_DIGITS:
        record = find_record(found, int(given))
        if record is not None:
            return record.position
    return None if found.best is None else found.records[found.best].position


def read_position(event: gr.EventData) -> int | None:
    """Return the configuration an event of the figure, table or view is about."""
    for name in ("position", "customdata"):
        value = getattr(event, name, None)
        if isinstance(value, int):
            return value
    return None


def evaluate_candidate(services: Services, run: RunRecord, position: int | None) -> tuple[Any, str]:
    """Queue the evaluation of a configuration.

    Returns:
        The view with what is wrong, and the address of the new run; "" where there is none.
    """
    found = find_candidates(services, run)
    record = find_record(found, position)
    if record is None or run.parent_id is None:
        return gr.skip(), ""
    asked = {"ranks": list(record.ranks)}
    try:
        child = submit.submit_evaluation(services.desk, run.parent_id, asked)
    except BitdialError as error:
        return describe_candidate(run, found, record.position, problem=str(error)), ""
    return gr.skip(), f"/run?id={child.id}"
