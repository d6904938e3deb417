"""Sections of facts: tables with notes, badges, downloads, an empty state each.

What they say is built in `app.tables`; this only shows it (`facts.js`). Start with `Facts`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles


class Facts(gr.HTML):
    """A column of sections.

    The value is `{"sections": [...]}` as `app.tables.sections` builds it; a section whose content
    did not change is left as it is.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str | None = None) -> None:
        super().__init__(
            value={"sections": []},
            html_template='<div class="facts"></div>',
            css_template=read_styles("pieces.css", "facts.css"),
            js_on_load=read_scripts("dom.js", "facts.js"),
            apply_default_css=False,
            elem_id=elem_id,
        )
