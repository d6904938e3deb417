"""What a search on a training run may choose on, or why there is nothing to search.

The engine decides; here it gets words. Start with `describe_offer`.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.text import ranks as text
from engine.search.objective import (
    REPORTED_ON_VALIDATION,
    WITHOUT_VALIDATION,
    list_metrics,
    list_splits,
)
from engine.specs import ElasticLoraAdapter, QatTraining, Subject, TaskData


@dataclass(frozen=True)
class SearchOffer:
    """What a person can choose from.

    Attributes:
        splits: Examples to compare configurations on, the preferred first; empty for no search.
        metrics: Metrics to compare them by, the preferred first.
        reason: Why there is no search; empty where there is one.
    """

    splits: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    reason: str = ""


def describe_offer(spec: Subject) -> SearchOffer:
    """Return what a search on a run of this spec may choose on."""
    adapter, training = spec.adapter, spec.training
    if not isinstance(adapter, ElasticLoraAdapter) or adapter.rank_policy == "fixed":
        return SearchOffer(reason=text.NO_SEARCH_FIXED)
    data = training.data if isinstance(training, QatTraining) else None
    if not isinstance(data, TaskData):
        return SearchOffer(reason=text.NO_SEARCH_TEXT)
    splits = list_splits(data)
    if not splits:
        why = _find_reason(data).format(task=data.task)
        return SearchOffer(reason=text.NO_SEARCH_EXAMPLES.format(why=why))
    return SearchOffer(splits, list_metrics(data))


def _find_reason(data: TaskData) -> str:
    """Return why the validation split is of no use."""
    if data.source is not None:
        return text.OWN_FILE
    if data.task in WITHOUT_VALIDATION:
        return text.WITHOUT_VALIDATION
    assert data.task in REPORTED_ON_VALIDATION, data.task
    return text.REPORTED_ON_VALIDATION
