"""What is known of a run beside its curves: scores, estimates, files, environment, attempts.

Each function makes one section; `describe_facts` puts them in order. Start there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.quantities import (
    NOTHING,
    write_bytes,
    write_fixed,
    write_moment,
    write_seconds,
    write_span,
)
from app.tables.describing import SCORED_APART, SENSITIVITY
from app.tables.lineage import Child, describe_children, describe_origin
from app.tables.score_section import describe_scores
from app.tables.sections import Fact, FactRow, Section, build_row
from app.tables.sensitivity_facts import MapMade, describe_maps, describe_offer
from app.text import run as text
from tasks.store.records import (
    AttemptRecord,
    CandidateRecord,
    FileRecord,
    RunRecord,
    ScoreRecord,
)

_Writer = Callable[[float | None], str]


@dataclass(frozen=True)
class Findings:
    """What the store knows of a run besides its own row.

    Attributes:
        scores: Its scores.
        baseline_scores: Those of the baseline of its setting.
        baseline_id: The baseline's run; None where none is finished.
        files: Its files.
        attempts: Its attempts, oldest first.
        parent: The run it builds on; None where there is none any more.
        children: Searches and evaluations that build on it, the newest first.
        candidates: What it evaluated itself, where it is a search.
        maps: Bit maps with its scores, where it is a sensitivity run.
    """

    scores: tuple[ScoreRecord, ...]
    baseline_scores: tuple[ScoreRecord, ...]
    baseline_id: int | None
    files: tuple[FileRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    parent: RunRecord | None = None
    children: tuple[Child, ...] = ()
    candidates: tuple[CandidateRecord, ...] = ()
    maps: tuple[MapMade, ...] = ()


def describe_facts(run: RunRecord, found: Findings) -> tuple[Section, ...]:
    """Return the sections beside the curves."""
    origin = describe_origin(run, found.parent, found.candidates)
    is_parent = origin is None and run.spec.get("adapter", {}).get("kind") == "elastic-lora"
    offer = describe_offer(run)
    scores = describe_scores(run, found.scores, found.baseline_scores, found.baseline_id)
    return (
        *([origin] if origin else []),
        *([] if run.kind in SCORED_APART else [scores]),
        *([describe_children(found.children)] if is_parent or found.children else []),
        *([describe_maps(found.maps)] if run.kind == SENSITIVITY else []),
        *([offer] if offer else []),
        describe_estimates(run),
        describe_files(found.files),
        *([describe_export(run)] if _can_be_exported(run, found.files) else []),
        describe_environment(run),
        describe_attempts(found.attempts),
    )


def describe_estimates(run: RunRecord) -> Section:
    """Return what was predicted beside what was measured.

    An evaluation of maps has a size at each of its maps, and a sensitivity run changes its widths
    all the time: they have none of their own.
    """
    guess, size, used = run.estimate or {}, run.size or {}, run.resources or {}
    stages = used.get("seconds_by_stage") or {}
    seconds = sum(stages.values()) if stages else None
    memory = (guess.get("peak_memory_bytes"), used.get("peak_memory_bytes"))
    bits = (guess.get("effective_bits"), size.get("effective_bits"))
    total = (guess.get("total_bytes"), size.get("total_bytes"))
    sizes = (
        _estimate_row(text.SIZE, *total, write_bytes),
        _estimate_row(text.EFFECTIVE_BITS, *bits, _write_bits),
    )
    rows = (
        *(() if run.kind in SCORED_APART else sizes),
        _estimate_row(text.MEMORY, *memory, write_bytes),
        _estimate_row(text.TIME, guess.get("seconds"), seconds, write_seconds),
    )
    known = any(part is not None for part in (*guess.values(), *size.values(), *stages.values()))
    basis = text.BASIS.format(basis=guess["basis"]) if guess.get("basis") else ""
    return Section(
        "estimates",
        text.ESTIMATES,
        rows if known else (),
        text.NO_ESTIMATE,
        columns=text.ESTIMATE_COLUMNS,
        numbers=(1, 2, 3),
        note=basis,
    )


def describe_files(files: Sequence[FileRecord]) -> Section:
    """Return files with size, SHA-256 and download."""
    rows = tuple(
        build_row(
            Fact(record.path.rpartition("/")[2], note=record.kind, title=record.path),
            write_bytes(record.size_bytes),
            Fact(
                record.sha256[:10],
                title=record.sha256,
                mono=True,
                copies=record.sha256,
                copy_label=text.COPY_HASH.format(name=record.path.rpartition("/")[2]),
            ),
            Fact(
                text.DOWNLOAD,
                href=f"/api/v1/runs/{record.run_id}/files/{record.id}",
                is_download=True,
            ),
        )
        for record in files
    )
    return Section(
        "files", text.FILES, rows, text.NO_FILES, columns=text.FILE_COLUMNS, numbers=(1,)
    )


def describe_export(run: RunRecord) -> Section:
    """Return the commands that write a run's model and its widths for other tools, to be copied."""
    rows = [build_row(_build_command(text.EXPORT_COMMAND.format(id=run.id), text.COPY_EXPORT))]
    if run.spec["quantizer"]["grid"] != "float":
        command = text.MAP_COMMAND.format(id=run.id)
        rows.append(build_row(_build_command(command, text.COPY_MAP, note=text.MAP_NOTE)))
    return Section("export", text.EXPORT, tuple(rows), "", note=text.EXPORT_NOTE)


def _build_command(command: str, label: str, *, note: str = "") -> Fact:
    return Fact(command, mono=True, note=note, copies=command, copy_label=label)


def _can_be_exported(run: RunRecord, files: Sequence[FileRecord]) -> bool:
    """Whether a run changed its model and left the result; `tasks.exporting` decides for good."""
    has_result = any(record.kind == "result" for record in files)
    return run.state == "succeeded" and not run.is_baseline and has_result


def describe_environment(run: RunRecord) -> Section:
    """Return versions, device, dtype, seed and commit as the worker saw them."""
    rows = tuple(
        build_row(name.replace("_", " "), Fact(str(value), mono=True))
        for name, value in sorted(run.environment.items())
    )
    return Section("environment", text.ENVIRONMENT, rows, text.NO_ENVIRONMENT)


def describe_attempts(attempts: Sequence[AttemptRecord]) -> Section:
    """Return who tried the run, when, and how it ended."""
    rows = tuple(
        build_row(
            str(attempt.number),
            Fact(attempt.owner, mono=True, note=write_moment(attempt.started_at)),
            write_span(attempt.started_at, attempt.ended_at),
            attempt.outcome or text.STILL_RUNNING,
        )
        for attempt in reversed(attempts)
    )
    return Section("attempts", text.ATTEMPTS, rows, text.NO_ATTEMPTS, columns=text.ATTEMPT_COLUMNS)


def _write_bits(bits: float | None) -> str:
    return NOTHING if bits is None else write_fixed(bits, 2)


def _estimate_row(
    title: str, guess: float | None, measured: float | None, write: _Writer
) -> FactRow:
    off = "–"
    if guess and measured is not None:
        percent = 100 * (measured / guess - 1)
        off = f"{'+' if percent >= 0 else '−'}{write_fixed(abs(percent), 1)} %"
    return build_row(title, write(guess), write(measured), off)
