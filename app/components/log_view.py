"""A run's log, read by the browser from REST as it grows. Start with `LogView`.

Filtering by level is the server's, searching the browser's; see `log_view.js`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import run as text
from tasks.store.logs import LEVELS


class LogView(gr.HTML):
    """The log of one run.

    The value is `{"run_id": 12, "attempt": 1}`; a change of either starts reading again.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str | None = None) -> None:
        super().__init__(
            html_template='<div class="log"></div>',
            css_template=read_styles("pieces.css", "log_view.css"),
            js_on_load=read_scripts("dom.js", "log_view.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words=dict(text.LOG),
            levels=list(LEVELS),
        )
