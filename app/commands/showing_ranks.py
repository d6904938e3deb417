"""What is known of a run's ranks, as lines for a terminal. Start with `describe_ranks`."""

from __future__ import annotations

from collections.abc import Iterator

from engine.search.ordering import order_best_first
from tasks.store.candidates import list_candidates
from tasks.store.database import Database
from tasks.store.records import CandidateRecord, RunRecord
from tasks.store.runs import list_children

SHOWN_CANDIDATES = 5


def describe_ranks(database: Database, run: RunRecord) -> tuple[str, ...]:
    """Return what a run builds on, its ranks, the best it tried, and what builds on it."""
    return (
        *_describe_parent(run),
        *_describe_chosen(run),
        *_describe_candidates(list_candidates(database, run.id)),
        *_describe_children(list_children(database, run.id)),
    )


def write_list(ranks: tuple[int, ...] | list[int]) -> str:
    """Return ranks as `bitdial evaluate --ranks` takes them."""
    return ",".join(map(str, ranks))


def _describe_parent(run: RunRecord) -> Iterator[str]:
    parent = run.spec.get("parent")
    if parent is not None:
        yield f"builds on: run {parent}" + ("" if run.parent_id else ", which was deleted")


def _describe_chosen(run: RunRecord) -> Iterator[str]:
    if run.chosen_ranks:
        groups, ranks = run.chosen_ranks["groups"], run.chosen_ranks["ranks"]
        where = f" ({groups[0]} … {groups[-1]})" if len(groups) > 1 else ""
        yield f"ranks{where}: {write_list(ranks)}"


def _describe_candidates(candidates: tuple[CandidateRecord, ...]) -> Iterator[str]:
    if not candidates:
        return
    yield f"{len(candidates)} configurations of ranks evaluated; the best:"
    for each in order_best_first(candidates)[:SHOWN_CANDIDATES]:
        error = "" if each.standard_error is None else f" ± {each.standard_error:.3g}"
        score = f"{each.metric} {each.value:.5g}{error} (n={each.num_samples})"
        size = f"{each.adapter_parameters:,} adapter parameters"
        yield f"  {score}, {size}, {each.origin}: {write_list(each.ranks)}"


def _describe_children(children: tuple[RunRecord, ...]) -> Iterator[str]:
    if children:
        yield "runs that build on it:"
    for child in children:
        yield f"  #{child.id} {child.name}: {child.state}"
