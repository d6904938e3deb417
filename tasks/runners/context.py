"""What a runner is handed, and its signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from engine.events import CandidateEvaluated, Listener
from engine.specs import ExperimentSpec, RunSpec
from tasks.store.records import CandidateRecord


@dataclass(frozen=True)
class ParentRun:
    """The training run whose adapters a run uses.

    Attributes:
        run_id: Its number.
        spec: What it was asked.
        result: Its newest result: adapters and ranges.
        history: Its newest history of sampled ranks, or None where there is none any more.
        head: Its newest head that was trained whole, or None where there is none.
    """

    run_id: int
    spec: ExperimentSpec
    result: Path
    history: Path | None
    head: Path | None = None


@dataclass(frozen=True)
class RunContext:
    """One attempt, as a runner sees it.

    Attributes:
        spec: What to do, with microbatches as small as memory asked for.
        folder: The attempt's own folder; exists.
        data_folder: Shared by all runs.
        mirror: Folder of data sets to look in before the hub, or None.
        resume_from: Newest checkpoint of an earlier attempt, or None.
        listener: Told of everything; may raise `Cancelled`.
        parent: The run it builds on, or None.
        known: Configurations of ranks that are evaluated already, for a search.
        done: Places of layer maps that are measured already, for an evaluation of maps.
        scored: Units and widths that are measured already, for an ablation.
    """

    spec: RunSpec
    folder: Path
    data_folder: Path
    mirror: Path | None
    resume_from: Path | None
    listener: Listener
    parent: ParentRun | None = None
    known: tuple[CandidateRecord, ...] = ()
    done: tuple[int, ...] = ()
    scored: frozenset[tuple[str, int]] = frozenset()


Runner = Callable[[RunContext], None]


def index_known(
    records: Iterable[CandidateRecord],
) -> dict[tuple[int, ...], CandidateEvaluated]:
    """Return what the store knows, by ranks, as events that took no time."""
    names = [each.name for each in fields(CandidateEvaluated)]
    return {
        record.ranks: CandidateEvaluated(
            **{name: getattr(record, name) for name in names} | {"seconds": 0.0}
        )
        for record in records
    }
