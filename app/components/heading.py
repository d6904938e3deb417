"""The title of a page and the sentence under it. Start with `build_heading`."""

from __future__ import annotations

import html

import gradio as gr


def build_heading(title: str, lead: str) -> gr.HTML:
    """Build the heading; both texts are constants of `app.text`, escaped all the same."""
    return gr.HTML(
        html_template=f"<h1>{html.escape(title)}</h1><p class='bd-lead'>{html.escape(lead)}</p>",
        js_on_load=None,
        apply_default_css=False,
    )
