"""Reads the JavaScript that stands beside a component. Start with `read_script`."""

from __future__ import annotations

from pathlib import Path


def read_script(name: str) -> str:
    """Return the text of a `.js` file of this folder.

    The file is the body of Gradio's `js_on_load`: `element`, `props`, `trigger` and `watch` are in
    scope. A quoted event name in it becomes a listener of the component.
    """
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
