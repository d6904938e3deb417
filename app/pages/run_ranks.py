"""The ranks on the Run page: what training sampled, what was chosen, and how to choose better.

Shown for runs with elastic adapters and for those that build on them. Handlers read the store and
the address; `RankPanels` holds the components in the order of their values. Start with
`show_ranks`; the candidates of a search stand in `run_candidates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.components.chart import PlotlyChart
from app.components.table_twin import TableTwin
from app.plots import rank_map, sampled_ranks
from app.services import Services
from app.tables.rank_space import find_shapes
from app.text import ranks as text
from engine.errors import BitdialError
from engine.estimates.rank_space import list_groups
from engine.models.sources import HubSource, parse_source
from engine.specs import ElasticLoraAdapter, load_spec
from tasks.store import runs
from tasks.store.records import RunRecord

CHART_PIXELS = 300


@dataclass(frozen=True)
class RankPanels:
    """The components, in the order in which `show_ranks` answers."""

    map_card: gr.Column
    map_note: gr.Markdown
    map_figure: PlotlyChart
    map_table: TableTwin
    sampled_card: gr.Column
    sampled_figure: PlotlyChart
    sampled_table: TableTwin

    def list_outputs(self) -> list[Any]:
        """Return them all."""
        return [
            self.map_card,
            self.map_note,
            self.map_figure,
            self.map_table,
            self.sampled_card,
            self.sampled_figure,
            self.sampled_table,
        ]


def build_rank_panels() -> RankPanels:
    """Build the cards inside the open column, hidden."""
    with gr.Column(visible=False, elem_id="rank-map", elem_classes="bd-card") as map_card:
        gr.Markdown(f"## {text.MAP}")
        map_note = gr.Markdown("", elem_classes="bd-group-lead")
        map_figure = PlotlyChart(label=text.MAP, height=160, elem_id="rank-map-figure")
        map_table = TableTwin(label=text.MAP, elem_id="rank-map-table")
    with gr.Column(visible=False, elem_id="sampled-ranks", elem_classes="bd-card") as sampled_card:
        gr.Markdown(f"## {text.SAMPLED}")
        gr.Markdown(text.SAMPLED_NOTE, elem_classes="bd-group-lead")
        sampled = PlotlyChart(
            label=text.SAMPLED, height=CHART_PIXELS, elem_id="sampled-ranks-figure"
        )
        sampled_table = TableTwin(label=text.SAMPLED, elem_id="sampled-ranks-table")
    return RankPanels(
        map_card, map_note, map_figure, map_table, sampled_card, sampled, sampled_table
    )


def hide_ranks() -> list[Any]:
    """Answer for a page without ranks."""
    hidden = gr.Column(visible=False)
    return [hidden, "", None, None, hidden, None, None]


def show_ranks(
    services: Services, run: RunRecord, *, ranks: Sequence[int] | None = None
) -> list[Any]:
    """Return the rank map and the sampled ranks of a run.

    Args:
        services: Where the sizes of local models are read.
        run: The run.
        ranks: Shown instead of the chosen ones, such as those of a selected configuration.
    """
    groups = find_groups(run) or _find_parent_groups(services, run)
    chosen = ranks or (run.chosen_ranks or {}).get("ranks") or ()
    shown: list[Any] = hide_ranks()
    if groups and len(chosen) == len(groups):
        found = rank_map.read_map(
            groups, chosen, find_rank_space(run), members=_find_members(services, run)
        )
        note, figure = text.MAP_NOTE[run.kind], rank_map.draw(found)
        shown[:4] = [gr.Column(visible=True), note, figure, rank_map.list_table(found)]
    if _samples_ranks(run):
        samples = sampled_ranks.read_samples(run.rank_counts)
        table = sampled_ranks.list_table(samples) if samples.groups else None
        shown[4:] = [gr.Column(visible=True), sampled_ranks.draw(samples), table]
    return shown


def find_groups(run: RunRecord) -> tuple[str, ...]:
    """Return the groups of layers as the run told them, in the model's order; empty before."""
    told: Mapping[str, Any] = run.chosen_ranks or run.rank_counts or {}
    return tuple(told.get("groups", ()))


def _find_parent_groups(services: Services, run: RunRecord) -> tuple[str, ...]:
    """Return those of the training run: a search tells its own only with its choice."""
    parent = runs.find_run(services.database, run.parent_id) if run.parent_id else None
    return () if parent is None else find_groups(parent)


def find_rank_space(run: RunRecord) -> tuple[int, ...]:
    """Return the ranks a group may have; empty where a run has no elastic adapters."""
    return tuple(run.spec.get("adapter", {}).get("rank_space", ()))


def _samples_ranks(run: RunRecord) -> bool:
    adapter = run.spec.get("adapter", {})
    is_elastic = adapter.get("kind") == "elastic-lora"
    return run.kind == "experiment" and is_elastic and adapter.get("rank_policy") != "fixed"


def _find_members(services: Services, run: RunRecord) -> Mapping[str, Sequence[str]] | None:
    """Return each group's layers where the model lies on this machine; a hub is not asked."""
    spec = load_spec(run.spec)
    try:
        is_remote = isinstance(parse_source(spec.model.source), HubSource)
    except BitdialError:
        return None
    shapes = None if is_remote else find_shapes(services.settings, spec)
    if shapes is None or not isinstance(spec.adapter, ElasticLoraAdapter):
        return None
    return {
        group.name: [layer.name for layer in group.layers] for group in list_groups(spec, shapes)
    }
