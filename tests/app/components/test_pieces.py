"""Promises that hold for every component of ours."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import gradio as gr
import pytest

import app.components
from app.components.candidate_table import CandidateTable
from app.components.candidate_view import CandidateView
from app.components.chart import PlotlyChart
from app.components.draft_keeper import DraftKeeper
from app.components.estimate_panel import EstimatePanel
from app.components.field_note import FieldNote
from app.components.number_dial import NumberDial
from app.components.problem_list import ProblemList
from app.components.spec_panel import SpecPanel
from app.components.table_twin import TableTwin

FOLDER = Path(app.components.__file__).parent
# Those that an event may leave as they are.
PIECES = (
    CandidateTable,
    CandidateView,
    DraftKeeper,
    EstimatePanel,
    FieldNote,
    NumberDial,
    PlotlyChart,
    ProblemList,
    SpecPanel,
    TableTwin,
)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.__name__)
def test_a_piece_can_be_left_as_it_is(piece: type[gr.HTML]) -> None:
    """Gradio builds an unchanged piece anew, without drawing it: `gr.skip()` needs `render`."""
    assert "render" in inspect.signature(piece.__init__).parameters


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.js")), ids=lambda path: path.name)
def test_no_script_reads_data_as_html(script: Path) -> None:
    """What people write reaches the page as text: no script sets HTML from a value."""
    found = re.findall(
        r"\.(?:innerHTML|outerHTML)\s*=|insertAdjacentHTML|document\.write|\beval\(",
        script.read_text(encoding="utf-8"),
    )
    assert found == []
