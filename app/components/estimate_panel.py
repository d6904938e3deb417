"""What a run will cost, before it runs: size, memory with its parts, time with its basis.

Nothing is predicted here; `describe_estimate` turns an estimate into words and shares. Start there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from app.components.assembling import read_scripts
from app.quantities import MIB, write_bytes, write_fixed, write_seconds
from app.text import new_experiment as text
from app.theme import SERIES_COLORS
from tasks.prediction import Estimate


class EstimatePanel(gr.HTML):
    """Tiles and a memory bar; the value is what `describe_estimate` or `describe_lack` returns."""

    def __init__(
        self, value: dict[str, Any] | None = None, *, elem_id: str, render: bool = True
    ) -> None:
        super().__init__(
            value=value,
            render=render,
            html_template='<div class="bd-estimate" aria-live="polite"></div>',
            js_on_load=read_scripts("dom.js", "estimate_panel.js"),
            apply_default_css=False,
            elem_id=elem_id,
        )


def describe_estimate(estimate: Estimate) -> dict[str, Any]:
    """Turn an estimate into what the panel shows."""
    share = 100 * estimate.total_bytes / max(estimate.original_bytes, 1)
    span = text.TIME_RANGE.format(
        low=write_seconds(estimate.seconds_low), high=write_seconds(estimate.seconds_high)
    )
    return {
        "tiles": [
            _tile(
                text.SIZE,
                f"{write_fixed(estimate.total_bytes / MIB, 1)} MiB",
                text.SIZE_SHARE.format(percent=write_fixed(share, 1)),
                key="size",
            ),
            _tile(
                text.EFFECTIVE_BITS,
                write_fixed(estimate.effective_bits, 2),
                text.EFFECTIVE_BITS_UNIT,
                key="bits",
            ),
            _tile(text.TIME, write_seconds(estimate.seconds), span, key="time"),
            _tile(text.MEMORY, write_bytes(estimate.peak_memory_bytes), "", key="memory"),
        ],
        "memory": describe_parts(estimate.memory_parts),
        "memory_title": text.MEMORY_PARTS,
        "basis": text.BASIS.format(basis=estimate.basis),
    }


def describe_lack(reason: str) -> dict[str, Any]:
    """Say why there is no estimate."""
    return {"why": reason}


def describe_parts(parts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return name, size, share in percent and color of each part that takes memory, in order."""
    total = sum(parts.values()) or 1
    taken = [(name, size) for name, size in parts.items() if size > 0]
    return [
        {
            "name": name.replace("_", " ").capitalize(),
            "size": write_bytes(size),
            "percent": round(100 * size / total, 2),
            "color": SERIES_COLORS[index % len(SERIES_COLORS)],
        }
        for index, (name, size) in enumerate(taken)
    ]


def _tile(title: str, value: str, note: str, *, key: str) -> dict[str, str]:
    return {"title": title, "value": value, "note": note, "key": key}
