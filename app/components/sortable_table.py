"""A table that can be sorted by any of its columns, by mouse or keyboard; rows may be links.

What it says is built in `app.tables`; what it does in the browser stands in `sortable_table.js`.
Start with `SortableTable`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import sensitivity as text


class SortableTable(gr.HTML):
    """A table; the value is what `app.tables.sortable.show_table` returns, or None for nothing.

    What a person sorted by stays over updates, until another table says what it is sorted by.

    Args:
        label: What the table holds, for screen readers.
        elem_id: Id of the element.
    """

    def __init__(self, *, label: str, elem_id: str, render: bool = True) -> None:
        super().__init__(
            value=None,
            render=render,
            html_template='<div class="sortable"></div>',
            css_template=read_styles("pieces.css", "sortable_table.css"),
            js_on_load=read_scripts("dom.js", "sortable_table.js"),
            apply_default_css=False,
            elem_id=elem_id,
            caption=label,
            words=dict(text.SORTABLE),
        )
