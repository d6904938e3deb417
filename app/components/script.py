"""Reads the JavaScript that stands beside a component. Start with `read_script`."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def read_script(name: str) -> str:
    """Return the text of a `.js` file of this folder, for Gradio's `js_on_load`.

    In it `element`, `props`, `trigger` and `watch` are in scope, and `dom` of `dom.js`. A quoted
    event name in it becomes a listener of the component.
    """
    shared = (_FOLDER / "dom.js").read_text(encoding="utf-8")
    return f"{shared}\n{(_FOLDER / name).read_text(encoding='utf-8')}"
