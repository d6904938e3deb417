"""A sentence under a field of a form that follows what is typed, such as what a list spans.

What it says is told by the page. Start with `FieldNote`.
"""

from __future__ import annotations

import gradio as gr


class FieldNote(gr.HTML):
    """A line of text; the value is the sentence, empty for none.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str, render: bool = True) -> None:
        super().__init__(
            value="",
            render=render,
            html_template='<p class="bd-field-note" role="status" aria-live="polite"></p>',
            js_on_load=(
                "const line = element.querySelector('.bd-field-note');\n"
                "const show = () => { line.textContent = props.value || ''; };\n"
                "watch('value', show);\nshow();"
            ),
            apply_default_css=False,
            elem_id=elem_id,
        )
