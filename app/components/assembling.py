"""Joins the JavaScript and styles that several components share. Start with `read_scripts`."""

from __future__ import annotations

from pathlib import Path

from app.components.script import read_script


def read_scripts(*names: str) -> str:
    """Return `.js` files of this folder as one body, the shared ones first."""
    return "\n".join(read_script(name) for name in names)


def read_styles(*names: str) -> str:
    """Return `.css` files of this folder as one; Gradio scopes them to the component."""
    return "\n".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in names)
