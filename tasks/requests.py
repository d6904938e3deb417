"""From a complete request to rows in the queue: name, baseline, estimate. Start with `queue`.

What may be asked is decided before, in `submit` and `children`.
"""

from __future__ import annotations

from engine.models.shapes import ModelShapes
from engine.specs import (
    ExperimentSpec,
    MapEvaluationSpec,
    RankEvaluationSpec,
    RankSearchSpec,
    ResolvedSpec,
    RunSpec,
    SensitivitySpec,
)
from tasks.desk import Desk, wake
from tasks.naming import baseline_key, build_baseline, make_name
from tasks.prediction import describe_estimate, predict, predict_child
from tasks.store.records import RunRecord
from tasks.store.run_changes import NewRun, create_run
from tasks.store.runs import get_run


def queue(
    desk: Desk,
    resolved: ResolvedSpec,
    shapes: ModelShapes,
    *,
    priority: int = 0,
    with_baseline: bool = True,
) -> RunRecord:
    """Queue an experiment, and before it the 16-bit baseline of its setting where there is none.

    A head that starts at random has no baseline to speak of until it is trained: none is queued.
    """
    new, baseline = plan(desk, resolved, shapes, priority=priority, with_baseline=with_baseline)
    return _create(desk, new, baseline)


def plan(
    desk: Desk,
    resolved: ResolvedSpec,
    shapes: ModelShapes,
    *,
    priority: int = 0,
    with_baseline: bool = True,
) -> tuple[NewRun, NewRun | None]:
    """Return the rows that `queue` would make: the run's, and its baseline's where it has one."""
    new = _build_new_run(desk, resolved, shapes, priority=priority)
    if not with_baseline or not _has_baseline(resolved.spec) or new.is_baseline:
        return new, None
    return new, _build_baseline_run(desk, resolved.spec, shapes, priority=priority)


def queue_child(
    desk: Desk,
    spec: RankSearchSpec | RankEvaluationSpec | MapEvaluationSpec | SensitivitySpec,
    asked: dict[str, object],
    shapes: ModelShapes,
    *,
    priority: int = 0,
) -> RunRecord:
    """Queue a run that trains nothing, and the baseline of what it measures where missing.

    A sensitivity run tells what is lost against its own start, and needs no baseline.

    Raises:
        RunNotFound: When the run it builds on was deleted meanwhile.
    """
    predicted = predict_child(desk.database, desk.settings, spec, shapes=shapes)
    new = NewRun(
        name=make_name(spec),
        kind=spec.kind,
        spec=spec.model_dump(mode="json"),
        asked=asked,
        preset=None,
        baseline_key=baseline_key(spec),
        is_baseline=False,
        queue=desk.settings.queue,
        priority=priority,
        parent_id=spec.parent,
        estimate=describe_estimate(spec, predicted),
    )
    baseline = None
    if _has_baseline(spec) and not isinstance(spec, SensitivitySpec):
        baseline = _build_baseline_run(desk, spec, shapes, priority=priority)
    return _create(desk, new, baseline)


def _has_baseline(spec: RunSpec) -> bool:
    """Whether the model says something without training."""
    return spec.model.head in ("causal-lm", "seq2seq")


def _create(desk: Desk, new: NewRun, baseline: NewRun | None) -> RunRecord:
    created = create_run(desk.database, new, baseline=baseline)
    wake(desk, created)
    return get_run(desk.database, created[-1])


def _build_baseline_run(desk: Desk, spec: RunSpec, shapes: ModelShapes, *, priority: int) -> NewRun:
    """Ask for the baseline as a person would, so that it can be cloned."""
    baseline = build_baseline(spec)
    wanted = baseline.model_dump(mode="json", include={"seed", "model", "evaluation"})
    resolved = ResolvedSpec(baseline, wanted, "baseline")
    return _build_new_run(desk, resolved, shapes, priority=priority)


def _build_new_run(
    desk: Desk, resolved: ResolvedSpec, shapes: ModelShapes, *, priority: int
) -> NewRun:
    """Fill in what the store keeps of a request: name, baseline key, estimate."""
    spec: ExperimentSpec = resolved.spec
    predicted = predict(desk.database, desk.settings, spec, shapes=shapes)
    return NewRun(
        name=make_name(spec),
        spec=spec.model_dump(mode="json"),
        asked=resolved.asked,
        preset=resolved.preset,
        baseline_key=baseline_key(spec),
        is_baseline=spec.is_baseline,
        queue=desk.settings.queue,
        priority=priority,
        estimate=describe_estimate(spec, predicted),
    )
