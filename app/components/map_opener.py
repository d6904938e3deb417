"""A button that makes a bit map of a sensitivity run and leaves for its page.

What it does in the browser stands in `map_opener.js`. Start with `MapOpener`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import sensitivity as text


class MapOpener(gr.HTML):
    """The button with what it is for; the value is `{"sensitivity": RUN}`, or None for no button.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str, render: bool = True) -> None:
        super().__init__(
            value=None,
            render=render,
            html_template='<div class="opener"></div>',
            css_template=read_styles("pieces.css", "map_opener.css"),
            js_on_load=read_scripts("dom.js", "map_opener.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words=dict(text.OPENER),
        )
