"""The door for pages, REST and command line: preview, submit, cancel, retry, delete, clone.

Light on purpose: no torch, and Celery only when a hint is sent. Every refusal is an error with a
sentence (`engine.errors`, `tasks.errors`). Start with `open_desk` and `submit`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.errors import BitdialError, Problem, SpecError
from engine.models.shapes import ModelShapes
from engine.specs import ExperimentSpec, ResolvedSpec, resolve, to_yaml
from tasks.naming import baseline_key, build_baseline, make_name
from tasks.prediction import Estimate, list_misfits, load_shapes, predict
from tasks.settings import Settings
from tasks.store.database import Database, open_database
from tasks.store.records import RunRecord
from tasks.store.run_changes import (
    NewRun,
    create_run,
    delete_run,
    mark_sent,
    request_cancel,
    requeue,
)
from tasks.store.runs import get_run
from tasks.store.schema import check_current


@dataclass(frozen=True)
class Desk:
    """Where requests are handed in: the settings and the open database."""

    settings: Settings
    database: Database


@dataclass(frozen=True)
class Preview:
    """What a request would do.

    Attributes:
        resolved: The complete request; None where it cannot be accepted.
        yaml: The complete spec as text; empty where there is none.
        estimate: Size, memory and time; None where they cannot be told.
        problems: What keeps it from being submitted, and why there is no estimate.
    """

    resolved: ResolvedSpec | None
    yaml: str
    estimate: Estimate | None
    problems: tuple[Problem, ...]


def open_desk(settings: Settings) -> Desk:
    """Open the database of these settings.

    Raises:
        SchemaOutdated: When `bitdial db upgrade` has not been run.
        StoreUnavailable: When the database cannot be reached.
    """
    database = open_database(settings)
    try:
        check_current(database)
    except BitdialError:
        database.dispose()
        raise
    return Desk(settings, database)


def preview(desk: Desk, values: Mapping[str, Any], overrides: Sequence[str] = ()) -> Preview:
    """Say what a request would do, or what is wrong with it; changes nothing."""
    try:
        resolved = resolve(values, overrides)
    except SpecError as error:
        return Preview(None, "", None, error.problems)
    text = to_yaml(resolved.spec)
    try:
        shapes = load_shapes(desk.settings, resolved.spec)
        problems = list_misfits(resolved.spec, shapes)
        predicted = None
        if not problems:
            predicted = predict(desk.database, desk.settings, resolved.spec, shapes=shapes)
    except BitdialError as error:
        return Preview(resolved, text, None, (_to_problem(error),))
    return Preview(resolved, text, predicted, problems)


def submit(
    desk: Desk, resolved: ResolvedSpec, *, priority: int = 0, with_baseline: bool = True
) -> RunRecord:
    """Queue a run, and before it the 16-bit baseline of its setting where there is none.

    A higher `priority` goes first; `with_baseline=False` leaves the baseline out.

    Raises:
        SpecError: When the spec does not fit the model's layers.
        ModelError: When the model cannot be found.
    """
    shapes = load_shapes(desk.settings, resolved.spec)
    problems = list_misfits(resolved.spec, shapes)
    if problems:
        raise SpecError(*problems)
    new = _build_new_run(desk, resolved, shapes, priority=priority)
    baseline = None
    if with_baseline and not new.is_baseline:
        baseline = _build_new_run(desk, _request_baseline(resolved), shapes, priority=priority)
    created = create_run(desk.database, new, baseline=baseline)
    wake(desk, created)
    return get_run(desk.database, created[-1])


def cancel(desk: Desk, run_id: int) -> RunRecord:
    """Cancel a queued run, or ask a running one to stop within a step.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it has ended.
    """
    request_cancel(desk.database, run_id)
    return get_run(desk.database, run_id)


def retry(desk: Desk, run_id: int) -> RunRecord:
    """Queue a failed or cancelled run again under its id; it goes on from its last checkpoint.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it is in another state.
    """
    requeue(desk.database, run_id)
    wake(desk, [run_id])
    return get_run(desk.database, run_id)


def delete(desk: Desk, run_id: int) -> None:
    """Remove a run that is not running, with its files.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it is running.
    """
    delete_run(desk.database, run_id)
    shutil.rmtree(desk.settings.runs_folder / str(run_id), ignore_errors=True)


def clone(desk: Desk, run_id: int) -> dict[str, Any]:
    """Return what was asked for a run, as values for a new form.

    Raises:
        RunNotFound: When there is no such run.
    """
    run = get_run(desk.database, run_id)
    preset = {"preset": run.preset} if run.preset else {}
    return {**preset, **run.asked}


def _request_baseline(resolved: ResolvedSpec) -> ResolvedSpec:
    """Ask for the baseline as a person would, so that it can be cloned."""
    wanted = resolved.spec.model_dump(mode="json", include={"seed", "model", "evaluation"})
    return ResolvedSpec(build_baseline(resolved.spec), wanted, "baseline")


def _build_new_run(
    desk: Desk, resolved: ResolvedSpec, shapes: ModelShapes, *, priority: int
) -> NewRun:
    """Fill in what the store keeps of a request: name, baseline key, estimate."""
    spec = resolved.spec
    predicted = predict(desk.database, desk.settings, spec, shapes=shapes)
    return NewRun(
        name=make_name(spec),
        spec=_to_json(spec),
        asked=resolved.asked,
        preset=resolved.preset,
        baseline_key=baseline_key(spec),
        is_baseline=spec.is_baseline,
        queue=desk.settings.queue,
        priority=priority,
        estimate=asdict(predicted),
    )


def wake(desk: Desk, run_ids: Sequence[int]) -> None:
    """Send hints for queued runs; where no broker takes them, the workers' patrol does."""
    from tasks.wake import send_hints  # noqa: PLC0415 - Celery is loaded with the first hint only

    if send_hints(desk.settings, run_ids):
        mark_sent(desk.database, run_ids)


def _to_json(spec: ExperimentSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json")


def _to_problem(error: BitdialError) -> Problem:
    message = str(error)
    return Problem(
        error.field, message.removeprefix(f"{error.field}: ") if error.field else message
    )
