"""The door for pages, REST and command line: preview, submit, cancel, retry, delete, clone.

Light on purpose: no torch, and Celery only when a hint is sent. Every refusal is an error with a
sentence (`engine.errors`, `tasks.errors`). Runs that train nothing are in `children`,
`map_evaluations` and `sensitivities`, handed out here as well. Start with `open_desk` and `submit`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import BitdialError, Problem, SpecError
from engine.models.shapes import ModelShapes
from engine.specs import ResolvedSpec, resolve, to_yaml
from tasks.children import submit_evaluation, submit_search
from tasks.desk import Desk, open_desk, wake
from tasks.errors import WrongState
from tasks.map_evaluations import MapPreview, preview_map_evaluation, submit_map_evaluation
from tasks.prediction import Estimate, list_misfits, list_unknown, load_shapes, predict
from tasks.requests import queue
from tasks.sensitivities import SensitivityPreview, preview_sensitivity, submit_sensitivity
from tasks.store.records import RunRecord
from tasks.store.run_changes import delete_run, request_cancel, requeue
from tasks.store.runs import get_run


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
        problems += list_unknown(desk.settings, resolved.spec)
    except BitdialError as error:
        return Preview(resolved, text, None, (_to_problem(error),))
    return Preview(resolved, text, predicted, problems)


def submit(
    desk: Desk, resolved: ResolvedSpec, *, priority: int = 0, with_baseline: bool = True
) -> RunRecord:
    """Queue a run, and before it the 16-bit baseline of its setting where there is none.

    A higher `priority` goes first; `with_baseline=False` leaves the baseline out.

    Raises:
        SpecError: When the spec does not fit the model's layers, or names an unknown benchmark.
        ModelError: When the model cannot be found.
    """
    shapes = check_fit(desk, resolved)
    return queue(desk, resolved, shapes, priority=priority, with_baseline=with_baseline)


def check_fit(desk: Desk, resolved: ResolvedSpec) -> ModelShapes:
    """Return the shapes of a request's model, which it fits; refusals as for `submit`."""
    shapes = load_shapes(desk.settings, resolved.spec)
    problems = list_misfits(resolved.spec, shapes) + list_unknown(desk.settings, resolved.spec)
    if problems:
        raise SpecError(*problems)
    return shapes


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
        WrongState: When it is in another state, or builds on a run that was deleted.
    """
    requeue(desk.database, run_id)
    wake(desk, [run_id])
    return get_run(desk.database, run_id)


def resume(desk: Desk, run_id: int) -> RunRecord:
    """Make a run ready to be carried out by the caller, from its last checkpoint.

    As `retry`, but no worker is woken, and a run that waits in the queue already is left there.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it is running or succeeded, or builds on a run that was deleted.
    """
    if get_run(desk.database, run_id).state != "queued":
        requeue(desk.database, run_id)
    return get_run(desk.database, run_id)


def delete(desk: Desk, run_id: int) -> None:
    """Remove a run that is not running, with its files.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it is running, or others wait for its files.
    """
    delete_run(desk.database, run_id)
    shutil.rmtree(desk.settings.runs_folder / str(run_id), ignore_errors=True)


def clone(desk: Desk, run_id: int) -> dict[str, Any]:
    """Return what was asked for a run, as values for a new form.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it builds on another, which no form asks for.
    """
    run = get_run(desk.database, run_id)
    if run.kind != "experiment":
        parent = run.spec["parent"]
        if parent is None:
            raise WrongState(f"run {run_id} trains nothing; ask for another sensitivity run")
        raise WrongState(f"run {run_id} builds on run {parent}; clone that, or start from its page")
    preset = {"preset": run.preset} if run.preset else {}
    return {**preset, **run.asked}


def _to_problem(error: BitdialError) -> Problem:
    message = str(error)
    return Problem(
        error.field, message.removeprefix(f"{error.field}: ") if error.field else message
    )


__all__ = [
    "Desk",
    "MapPreview",
    "Preview",
    "SensitivityPreview",
    "cancel",
    "check_fit",
    "clone",
    "delete",
    "open_desk",
    "preview",
    "preview_map_evaluation",
    "preview_sensitivity",
    "resume",
    "retry",
    "submit",
    "submit_evaluation",
    "submit_map_evaluation",
    "submit_search",
    "submit_sensitivity",
    "wake",
]
