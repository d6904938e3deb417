"""Gradio opens an event loop where none runs and leaves it open; here one runs and is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def build_in_loop(build: Callable[[], T]) -> T:
    """Call `build`, which makes Gradio's blocks or mounts them, inside a loop of its own."""

    async def build_here() -> T:
        return build()

    return asyncio.run(build_here())
