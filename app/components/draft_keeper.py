"""Remembers which draft a form is: its id in the address, its revision for the next save.

Drafts are kept by the store (`app.forms.drafts`), not here. Start with `DraftKeeper`.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.components.script import read_script


class DraftKeeper(gr.HTML):
    """A line about the draft, and the value that travels with every event of the form.

    The value is `{"id": int | None, "revision": int, "tab": str, "note": str, "tone": str,
    "go": str}`: with an `id` the address becomes `?draft=ID` without a new page; `go` is an address
    to leave for. Ctrl+Enter presses the button with the id given as `launch`. Listen with
    `keeper.edited(fn, ...)` for what a person changes in any field of class `bd-field`.
    """

    def __init__(self, *, elem_id: str, launch: str, render: bool = True) -> None:
        super().__init__(
            value=None,
            render=render,
            html_template='<p class="bd-draft" role="status" aria-live="polite"></p>',
            js_on_load=read_script("draft_keeper.js"),
            apply_default_css=False,
            elem_id=elem_id,
            launch=launch,
        )

    def preprocess(self, payload: Any) -> Any:
        """Return the value as it was sent; handlers do not trust it."""
        return payload
