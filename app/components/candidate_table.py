"""The configurations a search evaluated as a table; each row can be chosen by mouse or keyboard.

What it says is built in `app.tables.candidates`; what it does in the browser stands in
`candidate_table.js`. Start with `CandidateTable`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import ranks as text


class CandidateTable(gr.HTML):
    """Evaluated configurations, the best first.

    Listen with `table.chosen(fn, ...)`: `evt.position` is the configuration's position.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str, render: bool = True) -> None:
        super().__init__(
            value=None,
            render=render,
            html_template='<div class="candidates"></div>',
            css_template=read_styles("pieces.css", "candidate_table.css"),
            js_on_load=read_scripts("dom.js", "candidate_table.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words=dict(text.TABLE),
        )
