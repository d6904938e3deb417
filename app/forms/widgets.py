"""From form fields to Gradio components.

Numbers are typed as text: a browser's number box hides what it cannot read, and Gradio refuses
limits before our own sentence could be shown. Start with `build_widget`.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from app.components.number_dial import NumberDial
from app.forms.fields import FormField
from app.forms.kinds import LISTS
from app.forms.values import write_widget

_LONG_HELP = 240
_PLAIN_TYPING = gr.InputHTMLAttributes(
    autocapitalize="off", autocorrect="off", spellcheck=False, autocomplete="off"
)


def build_widget(field: FormField) -> Component:
    """Build the component of one field, with its default, label and help sentence."""
    if field.kind == "dial":
        return _build_dial(field)
    own: dict[str, Any] = {
        "label": field.label,
        "info": field.help,
        "value": write_widget(field, field.default),
        "elem_id": field.element,
        "elem_classes": _classes(field),
        "visible": True,
    }
    if field.kind == "flag":
        return gr.Checkbox(**own)
    if field.kind == "choice":
        return gr.Radio(choices=[(str(choice), choice) for choice in field.choices], **own)
    if field.kind in LISTS:
        return gr.Textbox(lines=3, max_lines=8, html_attributes=_PLAIN_TYPING, **own)
    return gr.Textbox(lines=1, max_lines=1, html_attributes=_PLAIN_TYPING, **own)


def _build_dial(field: FormField) -> Component:
    return NumberDial(
        write_widget(field, field.default),
        label=field.label,
        info=field.help,
        choices=field.choices,
        elem_id=field.element,
        elem_classes=_classes(field),
    )


def _classes(field: FormField) -> list[str]:
    wide = ["bd-field-wide"] if field.long or len(field.help) > _LONG_HELP else []
    return ["bd-field", f"bd-field-{field.kind}", *wide]
