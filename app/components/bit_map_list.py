"""The bit maps there are, and how a new one is made. Start with `BitMapList`.

What it shows and does in the browser stands in `bit_map_list.js`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import layer_list as text
from app.text.runs import STATES


class BitMapList(gr.HTML):
    """Every bit map with its address, and a form for a new one; nothing where one is open.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str | None = None) -> None:
        super().__init__(
            html_template='<div class="bit-map-list"></div>',
            css_template=read_styles("pieces.css", "bit_map_list.css"),
            js_on_load=read_scripts("dom.js", "bit_map_list.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words={**text.LIST, "title": text.TITLE, "lead": text.LEAD},
            states=dict(STATES),
        )
