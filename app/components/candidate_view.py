"""One configuration of ranks: what it scored and what can be done with it.

What it says is built in `app.tables.candidates`; what it does in the browser stands in
`candidate_view.js`. Start with `CandidateView`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import ranks as text


class CandidateView(gr.HTML):
    """The selected configuration with its three actions.

    Listen with `view.evaluate(fn, ...)`: `evt.position` is the configuration's position.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str, render: bool = True) -> None:
        super().__init__(
            value=None,
            render=render,
            html_template='<div class="candidate" role="status" aria-live="polite"></div>',
            css_template=read_styles("pieces.css", "candidate_view.css"),
            js_on_load=read_scripts("dom.js", "candidate_view.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words=dict(text.VIEW),
        )
