"""Runs made without a model, for tests that never train."""

from __future__ import annotations

from typing import Any

from engine.specs import resolve
from tasks.naming import baseline_key, make_name
from tasks.store.database import Database
from tasks.store.run_changes import NewRun, create_run

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
