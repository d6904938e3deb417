"""The head of a run's page: name, state, stages, what failed, what can be done.

What it says is built in `app.tables.run_header`; what it does in the browser stands in
`run_header.js`. Start with `RunHeader`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import runs as text


class RunHeader(gr.HTML):
    """The head of one run.

    The value is what `app.tables.run_header` builds. Listen with `header.acted(fn, ...)`: an action
    changed the run, read it again.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str | None = None) -> None:
        super().__init__(
            html_template='<div class="run-header"></div>',
            css_template=read_styles("pieces.css", "run_header.css"),
            js_on_load=read_scripts("dom.js", "run_actions.js", "run_header.js"),
            apply_default_css=False,
            elem_id=elem_id,
            actions=dict(text.ACTIONS),
        )
