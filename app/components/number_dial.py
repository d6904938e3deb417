"""A number that is mostly whole: a box to type any, and a row of buttons for the whole ones.

The value is the text in the box, so that a number that cannot be read is still there to be named.
What it does in the browser stands in `number_dial.js`. Start with `NumberDial`.
"""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from app.components.assembling import read_scripts, read_styles


class NumberDial(gr.HTML):
    """A field of a form; the value is text.

    Args:
        value: What stands in the box.
        label: The field's name.
        info: Its help sentence.
        choices: The whole numbers that are one click away.
        elem_id: Id of the element.
        elem_classes: Classes of the element.
    """

    def __init__(
        self,
        value: str,
        *,
        label: str,
        info: str,
        choices: Sequence[int],
        elem_id: str,
        elem_classes: list[str],
        render: bool = True,
    ) -> None:
        super().__init__(
            value=value,
            label=label,
            html_template='<div class="number-dial"></div>',
            css_template=read_styles("number_dial.css"),
            js_on_load=read_scripts("dom.js", "number_dial.js"),
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=elem_classes,
            render=render,
            title=label,
            help=info,
            name=elem_id,
            choices=list(choices),
        )
