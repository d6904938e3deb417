"""Calls a handler when the page being built is opened. Start with `listen_to_load`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.context import Context

FAST: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "concurrency_limit": None,
    "api_visibility": "private",
}
# For a listener that answers with an address to leave for, or with nothing to stay.
TO_PAGE = "(address) => { if (address) location.assign(address); }"


def listen_to_load(
    handler: Callable[..., Any], inputs: Sequence[gr.components.Component], outputs: Sequence[Any]
) -> None:
    """Wire the load event of the page whose `gr.Blocks` is open.

    Args:
        handler: Called with the inputs' values, unqueued.
        inputs: Components whose values it takes.
        outputs: Components it fills.

    Raises:
        RuntimeError: Outside a page.
    """
    page = Context.root_block
    if page is None:
        raise RuntimeError("a page is built inside gr.Blocks")
    page.load(handler, list(inputs), list(outputs), **FAST)
