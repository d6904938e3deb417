"""Runs made without a model, for tests that never train."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.events import SensitivityScored
from engine.specs import resolve
from tasks.fingerprint import fingerprint
from tasks.lease import claim_run
from tasks.naming import baseline_key, make_name
from tasks.settings import Settings
from tasks.store.database import Database
from tasks.store.recording import Batch, Ending, finish
from tasks.store.run_changes import NewRun, create_run
from tasks.submit import Desk, submit_sensitivity

QAT = {"preset": "qat-lora", "training": {"per_device_train_batch_size": 4}}


def make_run(database: Database, name: str = "", *, queue: str = "cpu", **values: Any) -> int:
    """Queue a run of a spec; its name decides what the counting runner does."""
    priority = values.pop("priority", 0)
    resolved = resolve({"preset": "rtn", "name": name, **values})
    new = NewRun(
        name=make_name(resolved.spec),
        spec=resolved.spec.model_dump(mode="json"),
        asked=resolved.asked,
        preset=resolved.preset,
        baseline_key=baseline_key(resolved.spec),
        is_baseline=resolved.spec.is_baseline,
        queue=queue,
        priority=priority,
    )
    return create_run(database, new)[-1]


def make_scored(
    desk: Desk,
    scores: Iterable[SensitivityScored],
    *,
    ending: Ending = "succeeded",
    **values: Any,
) -> int:
    """Make a sensitivity run that ended with these scores; `values` are what it was asked."""
    run_id = submit_sensitivity(desk, values).id
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    batch = Batch(sensitivity_scores=list(scores))
    finish(desk.database, claim, batch, ending=ending, columns={})
    return run_id


def make_trained(
    database: Database,
    settings: Settings,
    *,
    files: tuple[str, ...] = ("result", "ranks"),
    groups: int = 30,
    **values: Any,
) -> int:
    """Make a run with elastic adapters that succeeded and left files of these kinds."""
    run_id = make_run(database, **{"preset": "qat-nls", **values})
    claim = claim_run(database, settings, "host/0", run_id=run_id)
    assert claim is not None
    folder = settings.attempt_folder(run_id, claim.attempt)
    folder.mkdir(parents=True)
    recorded = []
    for kind in files:
        (folder / kind).write_text(kind)
        recorded.append(fingerprint(kind, folder / kind, data_folder=settings.data_folder))
    names = [f"block {index}" for index in range(groups)]
    ranks = {"groups": names, "ranks": [12] * groups}
    batch = Batch(run={"chosen_ranks": ranks}, files=recorded)
    finish(database, claim, batch, ending="succeeded", columns={})
    return run_id
