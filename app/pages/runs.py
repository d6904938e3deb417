"""The Runs page (`/runs?state=&search=`): queue and history with their actions.

Everything on it is the table's, which reads REST; see `app/components/run_table.py`.
"""

from __future__ import annotations

from app.components.heading import build_heading
from app.components.run_table import RunTable
from app.services import Services
from app.text import runs as text


def build(services: Services) -> None:
    """Build the page; the browser reads what it shows."""
    del services
    build_heading(text.TITLE, text.LEAD)
    RunTable(elem_id="runs")
