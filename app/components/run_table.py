"""The queue and history of runs, read by the browser from REST. Start with `RunTable`.

What it shows and does in the browser stands in `run_table.js`; what an action does in
`tasks.submit`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import runs as text
from app.text.run import STAGES


class RunTable(gr.HTML):
    """Runs, newest first, refreshed every 2 seconds while the page is visible.

    State filter and search are kept in the page's address (`?state=running&search=2-bit`).

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str | None = None) -> None:
        super().__init__(
            html_template='<div class="run-table"></div>',
            css_template=read_styles("pieces.css", "run_table.css"),
            js_on_load=read_scripts("dom.js", "run_actions.js", "run_table.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words=dict(text.TABLE),
            states=dict(text.STATES),
            actions=dict(text.ACTIONS),
            stages=dict(STAGES),
        )
