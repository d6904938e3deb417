"""A Plotly figure on a page, drawn with the plotly.js that the plotly package carries.

`gr.Plot` knows no clicks and remounts on every update; this keeps the drawn figure, its zoom and
its legend. What to draw is decided in `app/plots`; how it behaves in the browser stands in
`chart.js`.
Start with `PlotlyChart`.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from app.components.script import read_script

PLOTLY_ADDRESS = f"/vendor/plotly-{version('plotly')}.min.js"


def find_plotly_script() -> Path:
    """Return the file of plotly.js inside the plotly package, without importing plotly."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package plotly is not installed")
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


class PlotlyChart(gr.HTML):
    """A figure that follows dark mode and its container, and reports clicks.

    The value is one of

    - a figure: `{"data": [...], "layout": {...}, "meta": {"aria": "...", "empty": "..."}}`; `meta`
      is optional, `aria` replaces the label for screen readers, and `empty` is what is said where
      `data` is empty;
    - `{"source_url": "/api/v1/..."}`: the browser fetches `{"figure": FIGURE, "done": bool}` itself
      every 2 seconds while the page is visible, until `done` is true;
    - None: nothing, also where a figure was.

    Put `uirevision` into the layout to keep zoom and hidden curves over updates. Colors of text,
    grid and background come from the page. Listen with `chart.point_click(fn, ...)`: the handler's
    `evt: gr.EventData` holds `curve`, `point`, `x`, `y` and `customdata` of the nearest point, or
    `row` and `column` too for a heatmap.

    Args:
        value: See above; large figures belong in a load event instead.
        label: What the figure shows, for screen readers.
        height: Pixels.
        elem_id: Id of the element.
    """

    def __init__(
        self,
        value: dict[str, Any] | None = None,
        *,
        label: str,
        height: int = 380,
        elem_id: str | None = None,
        visible: bool = True,
        render: bool = True,
    ) -> None:
        super().__init__(
            value=value,
            label=label,
            html_template='<div class="bd-chart"><div class="bd-chart-plot"></div>'
            '<p class="bd-empty" hidden></p></div>',
            css_template=f".bd-chart, .bd-chart-plot {{ min-height: {height}px; }}",
            js_on_load=read_script("chart.js"),
            head=f'<script src="{PLOTLY_ADDRESS}"></script>',
            apply_default_css=False,
            elem_id=elem_id,
            visible=visible,
            render=render,
            aria=label,
            height=height,
        )
