"""What an initialization left of each layer's weight: a map after so many iterations, and the mean.

A layer counts with its best error until then, which is what it starts from. Start with
`read_errors`; `list_table` says the same as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.plots.layer_map import LayerMap, arrange_layers, build_layout, build_trace
from app.quantities import write_number
from app.text import starts as text
from app.theme import RANK_RAMP, SERIES_COLORS

MEAN_PIXELS = 190


@dataclass(frozen=True)
class InitializationError:
    """What the figure shows.

    Attributes:
        layers: Where each layer stands.
        errors: Relative error of every iteration made, by layer.
        mean: Mean over layers of the best until each iteration.
        iteration: After which iteration the map stands, from 1.
    """

    layers: LayerMap
    errors: Mapping[str, tuple[float, ...]]
    mean: tuple[float, ...]
    iteration: int

    def best(self, name: str) -> float:
        """Return a layer's best error until the shown iteration."""
        return min(self.errors[name][: self.iteration])


def read_errors(
    errors: Mapping[str, Sequence[float]],
    mean: Sequence[float],
    *,
    iteration: int | None = None,
) -> InitializationError:
    """Sort a run's errors into kinds and blocks.

    Args:
        errors: Relative error of every iteration made, by layer; a layer may have stopped early.
        mean: Mean over layers of the best until each iteration.
        iteration: After which to stand; the last where None or beyond it.
    """
    last = max(1, len(mean))
    shown = last if iteration is None else min(max(iteration, 1), last)
    found = {name: tuple(each) for name, each in errors.items()}
    return InitializationError(arrange_layers(found), found, tuple(mean), shown)


def draw_map(found: InitializationError) -> dict[str, Any]:
    """Draw the map; its colors mean the same after every iteration.

    Returns:
        A Plotly figure as a plain dictionary.
    """
    everything = [100 * each for errors in found.errors.values() for each in _running(errors)]
    trace = build_trace(
        found.layers,
        found.layers.fill(lambda name: 100 * found.best(name)),
        written=found.layers.fill(lambda name: write_error(found.best(name))),
    ) | {
        "colorscale": _scale_colors(),
        "zmin": min(everything, default=0),
        "zmax": max(everything, default=1),
        "colorbar": {"ticksuffix": " %", "thickness": 12, "outlinewidth": 0, "nticks": 5},
        "hovertemplate": text.ERROR_HOVER + "<extra></extra>",
    }
    worst = max(found.errors, key=found.best, default="")
    aria = text.ERROR_LABEL.format(
        count=len(found.errors),
        iteration=found.iteration,
        total=len(found.mean),
        mean=write_error(found.mean[found.iteration - 1]),
        worst=write_error(found.best(worst)),
        layer=worst,
    )
    aria += found.layers.describe_hidden()
    layout = build_layout(found.layers.kinds, "initialization-error")
    return {"data": [trace], "layout": layout, "meta": {"aria": aria}}


def draw_mean(found: InitializationError) -> dict[str, Any]:
    """Draw the mean after each iteration, the shown one marked.

    Returns:
        A Plotly figure as a plain dictionary; without data after a single iteration.
    """
    steps = list(range(1, len(found.mean) + 1))
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": text.ERROR_MEAN,
        "x": steps,
        "y": [100 * each for each in found.mean],
        "text": [write_error(each) for each in found.mean],
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": SERIES_COLORS[0], "width": 2},
        "marker": {"size": [13 if step == found.iteration else 7 for step in steps]},
    }
    aria = text.ERROR_MEAN_LABEL.format(
        total=len(steps), first=write_error(found.mean[0]), last=write_error(found.mean[-1])
    )
    layout = {
        "uirevision": "initialization-mean",
        "height": MEAN_PIXELS,
        "showlegend": False,
        "xaxis": {"title": text.ITERATION_AXIS, "dtick": max(1, len(steps) // 10)},
        "yaxis": {"title": {"text": text.ERROR_AXIS, "standoff": 10}},
    }
    return {"data": [line] if len(steps) > 1 else [], "layout": layout, "meta": {"aria": aria}}


def draw_nothing(sentence: str) -> dict[str, Any]:
    """Return a figure that says why it is empty."""
    return {"data": [], "layout": {}, "meta": {"aria": sentence, "empty": sentence}}


def list_table(found: InitializationError) -> dict[str, Any]:
    """Return every error as columns and rows for a table: the best, then each iteration's own."""
    steps = range(len(found.mean))
    means = [write_error(each) for each in found.mean]
    rows = [[text.MEAN, means[-1], *means]]
    for name, errors in found.errors.items():
        written = [write_error(errors[step]) if step < len(errors) else "" for step in steps]
        rows.append([name, write_error(min(errors)), *written])
    titles = [text.AFTER.format(iteration=step + 1) for step in steps]
    return {"columns": [text.LAYER, text.BEST, *titles], "rows": rows}


def write_error(error: float) -> str:
    """Write a relative error in percent."""
    return f"{write_number(100 * error, 3)} %"


def _running(errors: Sequence[float]) -> list[float]:
    return [min(errors[: step + 1]) for step in range(len(errors))]


def _scale_colors() -> list[list[float | str]]:
    return [[place / (len(RANK_RAMP) - 1), color] for place, color in enumerate(RANK_RAMP)]
