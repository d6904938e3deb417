"""A sensitivity run's scores on the Run page: map or bars, choices, table, agreement with others.

Which metric, width and scale are drawn, and what the run is compared with, stand in the address
(`&score=&width=&scale=&span=&with=`). A click on a layer opens its page. What is read from the
store stands in `run_sensitivity_reading`. Start with `show_sensitivity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import gradio as gr

from app.components.chart import PlotlyChart
from app.components.map_opener import MapOpener
from app.components.page_load import FAST, TO_PAGE
from app.components.sortable_table import SortableTable
from app.pages.run_finding import Missing, find_asked_run
from app.pages.run_sensitivity_reading import (
    Chosen,
    Seen,
    choose,
    count_pairs,
    explain_empty,
    list_telling,
    name_method,
    read_seen,
    write_lead,
)
from app.plots import sensitivity_agreement, sensitivity_bars, sensitivity_map
from app.quantities import write_count
from app.services import Services
from app.tables.describing import SENSITIVITY
from app.tables.sensitivity_table import (
    address_of_layer,
    list_agreement,
    list_scores,
    say_agreement,
)
from app.text import sensitivity as text
from tasks.store.records import RunRecord

MAP_PIXELS = 300
LINEAR, LOGARITHMIC = "linear", "log"
COMMON, OWN = "all", "width"
# Puts the choices into the address, in their order.
_TO_ADDRESS = """(...values) => {
  const query = new URLSearchParams(location.search);
  ['score', 'width', 'scale', 'span', 'with'].forEach((key, at) => {
    let value = values[at];
    if (key === 'scale') value = value ? 'log' : 'linear';
    if (key === 'span') value = value ? 'all' : 'width';
    if (value !== null && value !== undefined && value !== '') query.set(key, String(value));
  });
  history.replaceState(history.state, '', location.pathname + '?' + query);
}"""


@dataclass(frozen=True)
class SensitivityPanels:
    """The components, in the order in which `show_sensitivity` answers."""

    card: gr.Column
    lead: gr.Markdown
    metric: gr.Radio
    width: gr.Radio
    is_log: gr.Checkbox
    is_common: gr.Checkbox
    figure: PlotlyChart
    opener: MapOpener
    table: SortableTable
    agreement: gr.Column
    said: gr.Markdown
    compared: gr.Radio
    scatter: PlotlyChart
    twin: SortableTable

    def list_outputs(self) -> list[Any]:
        """Return them all."""
        return [
            self.card, self.lead, self.metric, self.width, self.is_log, self.is_common,
            self.figure, self.opener, self.table, self.agreement, self.said, self.compared,
            self.scatter, self.twin,
        ]  # fmt: skip

    def list_choices(self) -> list[Any]:
        """Return what a person chooses, in the order of the address."""
        return [self.metric, self.width, self.is_log, self.is_common, self.compared]


def build_sensitivity_panels() -> SensitivityPanels:
    """Build both cards inside the open column, hidden."""
    with gr.Column(visible=False, elem_id="sensitivity", elem_classes="bd-card") as card:
        gr.Markdown(f"## {text.TITLE}")
        lead = gr.Markdown("", elem_classes="bd-group-lead")
        with gr.Row(elem_classes="bd-choices"):
            metric = _build_choice(text.SCORE, "sensitivity-score")
            width = _build_choice(text.WIDTH, "sensitivity-width")
            is_log = gr.Checkbox(
                label=text.LOG_COLORS, value=True, container=False, elem_id="sensitivity-log"
            )
            is_common = gr.Checkbox(
                label=text.COMMON_SCALE, value=False, container=False, elem_id="sensitivity-common"
            )
        figure = PlotlyChart(label=text.MAP_TITLE, height=MAP_PIXELS, elem_id="sensitivity-map")
        opener = MapOpener(elem_id="open-map")
        table = SortableTable(label=text.TITLE, elem_id="sensitivity-table")
    with gr.Column(visible=False, elem_id="agreement", elem_classes="bd-card") as agreement:
        gr.Markdown(f"## {text.AGREEMENT}")
        said = gr.Markdown("", elem_classes="bd-group-lead")
        compared = _build_choice(text.COMPARED, "agreement-with")
        scatter = PlotlyChart(
            label=text.AGREEMENT,
            height=sensitivity_agreement.SCATTER_PIXELS,
            elem_id="agreement-scatter",
        )
        twin = SortableTable(label=text.AGREEMENT, elem_id="agreement-table")
    return SensitivityPanels(
        card, lead, metric, width, is_log, is_common, figure, opener, table, agreement, said,
        compared, scatter, twin,
    )  # fmt: skip


def hide_sensitivity() -> list[Any]:
    """Answer for a page of another kind of run."""
    hidden, none = gr.Column(visible=False), gr.Radio(visible=False)
    shown = [hidden, "", none, none, gr.skip(), gr.skip(), None, None, None]
    return [*shown, hidden, "", none, None, None]


def show_sensitivity(services: Services, run: RunRecord, query: Mapping[str, str]) -> list[Any]:
    """Return both cards of a sensitivity run, as the address selects."""
    if run.kind != SENSITIVITY:
        return hide_sensitivity()
    seen = read_seen(services, run)
    chosen = choose(seen, query)
    figure, table = _draw_scores(seen, chosen)
    has_scores = bool(seen.scores)
    return [
        gr.Column(visible=True),
        write_lead(seen, chosen),
        _offer([(title, key) for key, title in seen.metrics.items()], chosen.metric),
        _offer([(text.BITS.format(bits=bits), bits) for bits in chosen.widths], chosen.bits),
        gr.Checkbox(value=chosen.is_log, visible=has_scores),
        gr.Checkbox(value=chosen.is_common, visible=_has_common(seen, chosen)),
        figure,
        {SENSITIVITY: run.id} if has_scores else None,
        table,
        *_show_agreement(seen, chosen),
    ]


def sign_sensitivity(services: Services, run: RunRecord) -> str:
    """Return a text that changes whenever what `show_sensitivity` answers may have changed."""
    return count_pairs(services, run) if run.kind == SENSITIVITY else ""


def wire_sensitivity(services: Services, panels: SensitivityPanels) -> None:
    """Make choices redraw and stand in the address; let a click on a layer open its page."""
    target = gr.Textbox(visible=False)

    def redraw(request: gr.Request, *values: Any) -> list[Any]:
        run = find_asked_run(services, request.query_params)
        if isinstance(run, Missing):
            return hide_sensitivity()
        return show_sensitivity(services, run, read_choices(values))

    def open_layer(event: gr.EventData, request: gr.Request) -> str:
        run = find_asked_run(services, request.query_params)
        return "" if isinstance(run, Missing) else address_of_clicked(run, event)

    choices = panels.list_choices()
    for each in choices:
        each.input(redraw, choices, panels.list_outputs(), trigger_mode="always_last", **FAST).then(
            None, choices, None, js=_TO_ADDRESS
        )
    panels.figure.point_click(open_layer, None, [target], trigger_mode="multiple", **FAST).then(
        None, [target], None, js=TO_PAGE
    )


def read_choices(values: Sequence[Any]) -> dict[str, str]:
    """Return choices as the address has them: metric, width, scale, what it spans, other run."""
    metric, width, is_log, is_common, compared = values
    return {
        "score": str(metric),
        "width": str(width),
        "scale": LOGARITHMIC if is_log else LINEAR,
        "span": COMMON if is_common else OWN,
        "with": str(compared),
    }


def address_of_clicked(run: RunRecord, event: gr.EventData) -> str:
    """Return where the clicked layer's page is; "" for what is no layer."""
    name = getattr(event, "customdata", None)
    if run.kind != SENSITIVITY or run.spec.get("unit") != "layer":
        return ""
    return address_of_layer(run.id, unescape(name)) if isinstance(name, str) and name else ""


def _draw_scores(seen: Seen, chosen: Chosen) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the figure of the chosen width, and the table of all."""
    found, sentence = chosen.found, explain_empty(seen, chosen)
    table = list_scores(found, chosen.bits, run_id=seen.run.id, facts=seen.facts)
    if found.unit == "layer":
        figure = sensitivity_map.draw(
            found,
            chosen.bits,
            is_log=chosen.is_log,
            is_common=chosen.is_common,
            facts=seen.facts,
            empty=sentence,
        )
    else:
        figure = sensitivity_bars.draw(found, chosen.bits, is_log=chosen.is_log, empty=sentence)
    return figure, table


def _has_common(seen: Seen, chosen: Chosen) -> bool:
    """Whether there are colors of several widths."""
    return bool(seen.scores) and chosen.found.unit == "layer" and len(chosen.widths) > 1


def _show_agreement(seen: Seen, chosen: Chosen) -> list[Any]:
    if not seen.scores:
        return [gr.Column(visible=False), "", gr.Radio(visible=False), None, None]
    own, found = name_method(seen.run), chosen.found
    told = [say_agreement(own, each, found, bits=chosen.bits) for each in list_telling(chosen)]
    sentences = "\n\n".join(filter(None, told))
    said = f"{sentences}\n\n{text.AGREEMENT_NOTE}" if sentences else text.AGREEMENT_EMPTY
    pairs = chosen.pairs
    if pairs is not None and pairs.num_left_out:
        said += " " + text.SCATTER_LEFT_OUT.format(count=write_count(pairs.num_left_out))
    return [
        gr.Column(visible=True),
        said,
        _offer([(each.name, each.run_id) for each in chosen.compared], chosen.other),
        sensitivity_agreement.draw(pairs) if pairs is not None else None,
        list_agreement(chosen.compared),
    ]


def _build_choice(label: str, element: str) -> gr.Radio:
    return gr.Radio(
        choices=[],
        label=label,
        show_label=False,
        visible=False,
        elem_id=element,
        elem_classes=["bd-field", "bd-switch"],
    )


def _offer(choices: list[tuple[str, Any]], chosen: Any) -> gr.Radio:
    """Return a choice; hidden where there is nothing to choose."""
    return gr.Radio(choices=choices, value=chosen or None, visible=len(choices) > 1)
