"""A figure's numbers as a table, folded under it: for screen readers, keyboards and copying.

Start with `TableTwin`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import ranks as text


class TableTwin(gr.HTML):
    """A folded table; the value is `{"columns": [...], "rows": [[...]]}`, or None for nothing.

    The first column names the row; the others are set as numbers.

    Args:
        label: What the table holds, for screen readers.
        elem_id: Id of the element.
        opened: Whether the table is unfolded at first.
    """

    def __init__(
        self, *, label: str, elem_id: str, opened: bool = False, render: bool = True
    ) -> None:
        super().__init__(
            value=None,
            render=render,
            html_template='<div class="twin"></div>',
            css_template=read_styles("pieces.css", "table_twin.css"),
            js_on_load=read_scripts("dom.js", "table_twin.js"),
            apply_default_css=False,
            elem_id=elem_id,
            caption=label,
            summary=text.TABLE_TWIN,
            opened=opened,
        )
