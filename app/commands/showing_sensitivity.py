"""What a sensitivity run found, as lines for a terminal. Start with `describe_sensitivity`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from tasks.store.records import SensitivityScoreRecord

if TYPE_CHECKING:
    from tasks.store.records import RunRecord
    from tasks.submit import Desk

SHOWN = 5


def describe_sensitivity(desk: Desk, run: RunRecord) -> tuple[str, ...]:
    """Return what is missing, the most and least sensitive units, and who agrees.

    At the lowest width that has scores, by the usual metric; nothing for runs of another kind.
    """
    if run.kind != "sensitivity":
        return ()
    from tasks.agreements import list_agreements
    from tasks.score_tables import choose_metric, list_metrics
    from tasks.store.sensitivity_scores import list_scores

    scores = list_scores(desk.database, run.id)
    note = _find_note(desk, run)
    metric = choose_metric(run, list_metrics(scores), None)
    own = [each for each in scores if each.metric == metric and isfinite(each.value)]
    agreed = [each.sentence for each in list_agreements(desk, run.id)] if own else []
    return (*note, *_describe_ends(own, str(run.spec["unit"])), *agreed)


def _find_note(desk: Desk, run: RunRecord) -> tuple[str, ...]:
    """Return what the run lacks; that its model is gone is no reason to show nothing."""
    from engine.errors import ModelError
    from tasks.score_tables import load_scores

    try:
        found = load_scores(desk, run.id).note
    except ModelError as error:
        found = str(error)
    return (found,) if found else ()


def _describe_ends(scores: Sequence[SensitivityScoreRecord], unit: str) -> Iterator[str]:
    """Yield the most sensitive units and the least, each with its error."""
    if not scores:
        return
    bits = min(each.bits for each in scores)
    found = sorted((each for each in scores if each.bits == bits), key=lambda each: -each.value)
    about = f"{found[0].metric} lost at {bits} bits, of {len(found)} {unit}{'s' * (len(found) > 1)}"
    if len(found) <= 2 * SHOWN:
        yield f"{about}:"
        yield from map(_write, found)
        return
    yield f"{about}; the most sensitive:"
    yield from map(_write, found[:SHOWN])
    yield "the least sensitive:"
    yield from map(_write, found[-SHOWN:])


def _write(score: SensitivityScoreRecord) -> str:
    error = "" if score.standard_error is None else f" ± {score.standard_error:.2g}"
    count = f" (n={score.num_samples})" if score.num_samples else ""
    return f"  {score.unit}: {score.value:.4g}{error}{count}"
