"""The head of a layer's page: where it stands, its name, and the layers beside it.

What it says is built in `app.tables.layer_facts`; what it does in the browser stands in
`layer_header.js`. Start with `LayerHeader`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.text import sensitivity as text


class LayerHeader(gr.HTML):
    """Breadcrumb, name, and links to the layers before and after; ← and → follow these.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str, render: bool = True) -> None:
        super().__init__(
            value=None,
            render=render,
            html_template='<div class="layer-header" role="status"></div>',
            css_template=read_styles("pieces.css", "layer_header.css"),
            js_on_load=read_scripts("dom.js", "layer_header.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words=dict(text.HEAD),
        )
