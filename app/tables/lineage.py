"""What a run builds on and what builds on it: training run, searches, evaluations.

Start with `describe_origin`; `describe_children` is the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.plots.candidates import describe_error, read_candidates
from app.plots.map_points import key_of, list_metrics, name_score, write_value
from app.quantities import NOTHING, write_count, write_score
from app.tables.describing import SENSITIVITY, count_maps, describe_scored_widths
from app.tables.metrics import name_metric, order_of_metric
from app.tables.sections import Fact, FactRow, Section, build_row
from app.tables.sensitivity_facts import describe_how, describe_scoring
from app.text import maps as maps_text
from app.text import ranks as text
from app.text import runs as runs_text
from engine.specs import GradientAttack, MapEvaluationSpec, load_spec
from engine.specs.quantizer import BITS_UNQUANTIZED
from tasks.store.records import CandidateRecord, MapScoreRecord, RunRecord, ScoreRecord


@dataclass(frozen=True)
class Child:
    """A run that builds on another, with what it found out so far; maps have their own scores."""

    run: RunRecord
    scores: tuple[ScoreRecord, ...]
    candidates: tuple[CandidateRecord, ...]
    map_scores: tuple[MapScoreRecord, ...] = ()


def describe_origin(
    run: RunRecord, parent: RunRecord | None, candidates: Sequence[CandidateRecord] = ()
) -> Section | None:
    """Return what a run builds on and how it chose; None for a training run.

    Args:
        run: The search or evaluation.
        parent: What it builds on; None where that was deleted.
        candidates: What a search evaluated so far.
    """
    if run.kind == "experiment":
        return None
    if run.kind == SENSITIVITY:
        return describe_scoring(run, parent)
    number = run.spec.get("parent")
    link = Fact(text.PARENT_GONE.format(id=number))
    if parent is not None:
        link = Fact(parent.name, note=f"#{parent.id}", href=f"/run?id={parent.id}")
    rows = [build_row(text.PARENT, link)]
    if run.kind == "search":
        rows += [
            build_row(text.STRATEGY, _write_strategy(run.spec)),
            build_row(text.CHOSEN_ON, write_examples(run.spec, candidates)),
        ]
    elif run.kind == "map-evaluation":
        rows += _list_maps(run)
    else:
        ranks = ", ".join(map(str, run.spec.get("ranks", ())))
        rows.append(build_row(text.RANKS_TITLE, Fact(ranks, mono=True)))
    return Section("origin", text.ORIGIN_TITLE, tuple(rows), "")


def describe_children(children: Sequence[Child]) -> Section:
    """Return the searches and evaluations of a training run, the newest first."""
    rows = tuple(
        build_row(
            Fact(
                child.run.name,
                note=f"#{child.run.id} · {text.KINDS[child.run.kind]}",
                href=f"/run?id={child.run.id}",
            ),
            Fact(runs_text.STATES[child.run.state], badge=child.run.state),
            _find_best(child),
        )
        for child in children
    )
    return Section(
        "children",
        text.CHILDREN,
        rows,
        text.NO_CHILDREN,
        columns=text.CHILD_COLUMNS,
        numbers=(2,),
    )


def write_examples(spec: dict[str, Any], candidates: Sequence[CandidateRecord]) -> str:
    """Say what a search compares configurations on, and that it is never the test split.

    Args:
        spec: The search's.
        candidates: What it evaluated so far; they know how many examples there were. Before, the
            spec tells at most how many there can be.
    """
    objective = spec.get("objective", {})
    data = spec.get("training", {}).get("data", {})
    held_out = objective.get("split") == "held-out"
    count = _count_examples(objective.get("limit"), data.get("held_out") if held_out else None)
    if candidates:
        count = write_count(candidates[0].num_samples)
    where = text.HELD_OUT if held_out else text.VALIDATION
    metric = text.METRICS.get(objective.get("metric", ""), "").lower()
    examples = " ".join(f"{count} {where}".split())
    return text.CHOSEN_ON_WHAT.format(examples=examples, task=data.get("task", ""), metric=metric)


def _count_examples(limit: int | None, held_out: int | None) -> str:
    """Write how many examples there will be; a limit alone may be more than there are."""
    if held_out:
        return write_count(min(held_out, limit or held_out))
    return text.AT_MOST.format(count=write_count(limit)) if limit else ""


def _write_strategy(spec: dict[str, Any]) -> str:
    search = spec.get("search", {})
    name = text.STRATEGIES.get(search.get("strategy", ""), search.get("strategy", ""))
    count = search.get("num_evaluations")
    return text.STRATEGY_WITH_BUDGET.format(name=name, count=write_count(count)) if count else name


def _list_maps(run: RunRecord) -> list[FactRow]:
    """Return which maps an evaluation measures, and how it attacks."""
    spec = load_spec(run.spec)
    if not isinstance(spec, MapEvaluationSpec):
        return []
    rows = [build_row(maps_text.LABELS, " · ".join(each.label for each in spec.maps))]
    if isinstance(spec.attack, GradientAttack):
        asked = {"count": write_count(spec.attack.num_samples), "steps": spec.attack.num_steps}
        rows.append(build_row(maps_text.ATTACK, maps_text.ATTACKS["gbda"].format(**asked)))
    return rows


def _find_best(child: Child) -> Fact:
    """Return a search's best configuration, or the best of an evaluation's first score."""
    if child.run.kind == SENSITIVITY:
        return Fact(describe_how(child.run), note=describe_scored_widths(child.run))
    if child.run.kind == "map-evaluation":
        return _find_best_map(child)
    if child.run.kind == "search":
        found = read_candidates(
            child.candidates, chosen=(child.run.chosen_ranks or {}).get("ranks")
        )
        if found.best is None:
            return Fact(NOTHING)
        best = found.records[found.best]
        metric = text.METRICS.get(best.metric, best.metric).lower()
        count = write_count(len(found.records))
        return Fact(
            describe_error(best), note=text.OF_CONFIGURATIONS.format(metric=metric, count=count)
        )
    final = [score for score in child.scores if score.phase == "final"]
    if not final:
        return Fact(NOTHING)
    score = min(final, key=lambda each: ("/" in each.benchmark, order_of_metric(each.metric)))
    written = write_score(score.metric, score.value, score.standard_error)
    return Fact(written, note=f"{score.benchmark.rpartition(':')[2]}, {name_metric(score.metric)}")


def _find_best_map(child: Child) -> Fact:
    """Return the best of the first score over the maps, those that leave all at 16 bits aside."""
    key = next(iter(list_metrics(child.map_scores)), "")
    found = [
        score
        for score in child.map_scores
        if key_of(score) == key and score.bits < BITS_UNQUANTIZED and math.isfinite(score.value)
    ]
    if not found:
        return Fact(NOTHING, note=count_maps(child.run))
    first = found[0]
    choose = min if first.direction == "lower" else max
    best = choose(found, key=lambda each: each.value)
    where = maps_text.BEST_OF.format(
        metric=name_score(best.benchmark, best.metric),
        label=best.label,
        maps=count_maps(child.run),
    )
    return Fact(write_value(best), note=where)
