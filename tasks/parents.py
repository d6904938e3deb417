"""What an attempt needs of the run it builds on, as it is on disk now. Start with `load_parent`."""

from __future__ import annotations

from pathlib import Path

from engine.specs import (
    Ablation,
    ExperimentSpec,
    MapEvaluationSpec,
    RankSearchSpec,
    RunSpec,
    SensitivitySpec,
    load_spec,
)
from tasks.errors import ParentGone
from tasks.runners.context import ParentRun
from tasks.store.candidates import list_known
from tasks.store.database import Database
from tasks.store.files import find_newest
from tasks.store.map_scores import list_done
from tasks.store.records import CandidateRecord
from tasks.store.runs import find_run
from tasks.store.sensitivity_scores import list_done as list_scored


def load_parent(database: Database, spec: RunSpec, *, data_folder: Path) -> ParentRun | None:
    """Return the run a spec builds on; None where it builds on none.

    Raises:
        ParentGone: When it was deleted, or its result is not on this machine's disk.
    """
    if isinstance(spec, ExperimentSpec) or spec.parent is None:
        return None
    parent = find_run(database, spec.parent)
    trained = load_spec(parent.spec) if parent else None
    if not isinstance(trained, ExperimentSpec):
        raise ParentGone(f"run {spec.parent}, whose adapters this run uses, was deleted")
    result, history, head = (
        find_newest(database, spec.parent, kind, data_folder=data_folder)
        for kind in ("result", "ranks", "head")
    )
    if result is None:
        raise ParentGone(f"run {spec.parent} has no result in {data_folder} any more")
    return ParentRun(spec.parent, trained, result, history, head)


def load_known(database: Database, spec: RunSpec) -> tuple[CandidateRecord, ...]:
    """Return what earlier searches, or earlier attempts of this one, found out already."""
    if not isinstance(spec, RankSearchSpec):
        return ()
    return list_known(database, spec.parent, spec.objective.model_dump(mode="json"))


def load_done(database: Database, run_id: int, spec: RunSpec) -> tuple[int, ...]:
    """Return the places of the maps that earlier attempts of a run measured whole."""
    return list_done(database, run_id) if isinstance(spec, MapEvaluationSpec) else ()


def load_scored(database: Database, run_id: int, spec: RunSpec) -> frozenset[tuple[str, int]]:
    """Return the units and widths that earlier attempts of an ablation measured whole.

    Other methods score everything at once, and go on from their checkpoint.
    """
    if isinstance(spec, SensitivitySpec) and isinstance(spec.method, Ablation):
        return list_scored(database, run_id)
    return frozenset()
