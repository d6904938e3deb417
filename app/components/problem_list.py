"""What is wrong with a form: a list on top, and each sentence at its field.

Which problems there are is decided elsewhere (`app.forms.problems`). Start with `ProblemList`.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.components.assembling import read_scripts


class ProblemList(gr.HTML):
    """A list of problems whose entries lead to their fields.

    The value is `{"heading": str, "problems": [{"message", "title", "element"}]}`, or None. Fields
    are found by `element`, the id of their component; a folded section is opened on the way.
    """

    def __init__(
        self, value: dict[str, Any] | None = None, *, elem_id: str, render: bool = True
    ) -> None:
        super().__init__(
            value=value,
            render=render,
            html_template='<div class="bd-problems" role="status" aria-live="polite"></div>',
            js_on_load=read_scripts("dom.js", "problem_list.js"),
            apply_default_css=False,
            elem_id=elem_id,
        )
