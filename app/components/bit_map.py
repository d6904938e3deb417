"""A bit map: the grid of layers that a person paints, and all that stands beside it.

The browser paints at once, sends every change to `/api/v1/bit-maps` in order, and believes what is
answered. `bit_map_edits.js` keeps the queue of changes, `bit_map_grid.js` the grid,
`bit_map_pointing.js` mouse and keys, `bit_map_budget.js` slider and prediction, `bit_map_curve.js`
the loss against bits, `bit_map_sizes.js` ledger, layer and checks, `bit_map_panels.js` versions,
limits and files, `bit_map.js` puts them together. Colors are chosen here. Start with `BitMap`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.tables.metrics import METRIC_TITLES
from app.text import layers as text
from app.text.runs import STATES
from app.text.sensitivity import METRICS, UNITS_OF_METRIC
from app.theme import BITS_COLORS, color_of_heat

NUM_STEPS = 9
"""Into how many colors the scale of sensitivity is cut: more can hardly be told apart."""
_SCRIPTS = (
    "dom.js",
    "bit_map_figures.js",
    "bit_map_edits.js",
    "bit_map_grid.js",
    "bit_map_pointing.js",
    "bit_map_curve.js",
    "bit_map_budget.js",
    "bit_map_sizes.js",
    "bit_map_panels.js",
    "bit_map.js",
)


class BitMap(gr.HTML):
    """The map that the page's address names (`?map=7`); empty where it names none.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str | None = None) -> None:
        super().__init__(
            html_template='<div class="bit-map"></div>',
            css_template=read_styles("pieces.css", "bit_map.css", "bit_map_panels.css"),
            js_on_load=read_scripts(*_SCRIPTS),
            apply_default_css=False,
            elem_id=elem_id,
            words=text.WORDS,
            states=dict(STATES),
            metrics=list_metrics(),
            colors=list_colors(),
        )


def list_metrics() -> dict[str, list[str]]:
    """Return what a score is called and its unit, as on the pages of sensitivity, by metric."""
    titles = {**METRIC_TITLES, **METRICS}
    return {name: [title, UNITS_OF_METRIC.get(name, "")] for name, title in titles.items()}


def list_colors() -> dict[str, dict[str, list[str]]]:
    """Return ground and ink of every width and of every step of sensitivity, least first."""
    steps = [color_of_heat(step / (NUM_STEPS - 1)) for step in range(NUM_STEPS)]
    return {
        "bits": {str(bits): [color, ink_on(color)] for bits, color in BITS_COLORS.items()},
        "steps": {str(step): [color, ink_on(color)] for step, color in enumerate(steps)},
    }


def ink_on(color: str) -> str:
    """Return the color of text on a ground, black or white, whichever stands out more.

    Source: relative luminance of WCAG 2.2; both contrasts are equal where it is 0.179.
    """
    return "#000000" if _luminance(color) > 0.179 else "#ffffff"


def _luminance(color: str) -> float:
    parts: list[float] = []
    for start in (1, 3, 5):
        part = int(color[start : start + 2], 16) / 255
        parts.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    red, green, blue = parts
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
