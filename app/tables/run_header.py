"""The head of a run's page as values: name, state, stages, progress, failure.

How it looks stands in `app/components/run_header.js`. Start with `describe_header`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.quantities import write_count, write_seconds
from app.tables.describing import (
    SENSITIVITY,
    count_maps,
    describe_head,
    describe_layer_map,
    describe_method,
    describe_model,
    describe_policy,
    describe_scored_widths,
    describe_width,
    list_benchmarks,
)
from app.tables.run_actions import elapsed_seconds, list_actions, progress_ratio
from app.text import run as text
from app.text import runs as runs_text
from tasks.store.records import TERMINAL_STATES, RunRecord, StageRecord

# Stages of a sensitivity run; in the others sensitivity comes before the start.
_SCORING = ("load", "teach", "initialize", "facts", "sensitivity")
_STATUS_OF_LAST = {"running": "now", "failed": "failed", "cancelled": "cancelled"}


def describe_missing(title: str, hint: str) -> dict[str, Any]:
    """Return the head of a page that has no run to show."""
    missing = {"title": title, "hint": hint, "action": text.TO_RUNS}
    return {"back": text.HEADER["back"], "missing": missing}


def describe_header(
    run: RunRecord, stages: Sequence[StageRecord], *, num_before: int | None = None
) -> dict[str, Any]:
    """Return the head of a run's page.

    Args:
        run: The run.
        stages: Stages of its newest attempt, in order.
        num_before: How many queued runs go before it; None where it is not queued.
    """
    return {
        "back": text.HEADER["back"],
        "run": {
            "id": run.id,
            "name": run.name,
            "state": run.state,
            "actions": list(list_actions(run)),
        },
        "state": runs_text.STATES[run.state],
        "sub": " · ".join(_list_words(run)),
        "stages": _list_steps(run, stages),
        "progress": _describe_progress(run),
        "failure": _describe_failure(run),
        "hint": _write_hint(run, num_before),
        "words": {"traceback": text.HEADER["traceback"], "stages": text.HEADER["stages"]},
    }


def _list_words(run: RunRecord) -> list[str]:
    words = [f"#{run.id}", describe_model(run), describe_method(run), *_list_widths(run)]
    if run.device:
        words.append(run.device)
    if run.attempt > 1:
        words.append(text.HEADER["attempt"].format(number=run.attempt))
    elapsed = elapsed_seconds(run)
    if elapsed is not None:
        words.append(write_seconds(elapsed))
    return words


def _list_widths(run: RunRecord) -> list[str]:
    """Return the widths a run trains and is measured at or scores, or how many maps it measures."""
    if run.kind == "map-evaluation":
        return [count_maps(run)]
    if run.kind == SENSITIVITY:
        return [describe_scored_widths(run)]
    policy, width = describe_policy(run), describe_width(run)
    measured = text.HEADER["measured_at"].format(width=width) if policy else width
    return list(filter(None, (policy, measured, describe_layer_map(run))))


def _list_steps(run: RunRecord, stages: Sequence[StageRecord]) -> list[dict[str, str]]:
    """Return the stages the run had, as they began, and those it will have, with their status."""
    is_current = run.state not in ("queued", "draft")
    seen = {stage.name: stage for stage in stages} if is_current else {}
    if run.state in TERMINAL_STATES and not seen:
        return []
    planned = [] if run.state == "succeeded" else _plan(run)
    names = _order_steps(tuple(seen), planned)
    return [_describe_step(run, name, seen.get(name)) for name in names]


def _order_steps(seen: Sequence[str], planned: Sequence[str]) -> list[str]:
    """Put stages that have not begun among those that have: before what the plan has after them."""
    ordered = list(seen)
    for at, name in enumerate(planned):
        if name not in ordered:
            later = [ordered.index(each) for each in planned[at + 1 :] if each in ordered]
            ordered.insert(min(later, default=len(ordered)), name)
    return ordered


def _plan(run: RunRecord) -> list[str]:
    if run.kind == SENSITIVITY:
        return [name for name in _SCORING if name != "teach" or _asks_original(run)]
    is_map_evaluation = run.kind == "map-evaluation"
    is_trained = run.spec.get("training", {}).get("method", "none") != "none"
    wanted = {
        "train": is_trained and run.kind == "experiment",
        "search": run.kind == "search",
        "maps": is_map_evaluation,
        "range-test": run.kind == "experiment" and _tests_range(run),
        "teach": not describe_head(run),
        "sensitivity": _measures_sensitivity(run),
        "facts": False,
        "evaluate": not describe_head(run) and not is_map_evaluation,
        "benchmarks": bool(list_benchmarks(run)) and not is_map_evaluation,
    }
    return [name for name in text.STAGES if wanted.get(name, True)]


def _asks_original(run: RunRecord) -> bool:
    """Whether layers are switched one by one and the text compared with the 16-bit model's."""
    method = run.spec.get("method") or {}
    return method.get("method") == "ablation" and method.get("measured_on", "text") == "text"


def _measures_sensitivity(run: RunRecord) -> bool:
    """Whether layers get widths by what each one's rounding costs."""
    bits = run.spec.get("quantizer", {}).get("bits", 0)
    rule = (run.spec.get("quantizer", {}).get("mixing") or {}).get("rule")
    return bits != int(bits) and rule == "sensitivity"


def _tests_range(run: RunRecord) -> bool:
    """Whether widths are tried before the training, to find the lowest that learns."""
    policy = run.spec.get("training", {}).get("bit_policy") or {}
    return policy.get("policy") == "cyclic" and bool(policy.get("range_test"))


def _describe_step(run: RunRecord, name: str, stage: StageRecord | None) -> dict[str, str]:
    title = text.STAGES.get(name, name.replace("_", " ").capitalize())
    if stage is None:
        return {"title": title, "status": "todo", "took": ""}
    is_last = name == run.stage
    status = _STATUS_OF_LAST.get(run.state, "done") if is_last else "done"
    return {"title": title, "status": status, "took": write_seconds(stage.seconds)}


def _describe_progress(run: RunRecord) -> dict[str, Any] | None:
    if run.state != "running" or run.stage is None:
        return None
    ratio = progress_ratio(run)
    title = text.STAGES.get(run.stage, run.stage)
    counted = ""
    if run.progress_total:
        counted = f" {write_count(run.progress_done)} / {write_count(run.progress_total)}"
    eta = "" if run.eta_seconds is None else write_seconds(run.eta_seconds)
    return {
        "label": text.HEADER["progress"].format(stage=title),
        "text": f"{title}{counted}",
        "percent": None if ratio is None else round(100 * ratio),
        "eta": text.HEADER["eta"].format(time=eta) if eta else "",
    }


def _describe_failure(run: RunRecord) -> dict[str, str] | None:
    if run.state != "failed":
        return None
    return {
        "title": text.FAILURES.get(run.failure_kind or "bug", text.FAILURES["bug"]),
        "message": run.failure_message or "",
        "traceback": run.failure_traceback or "",
    }


def _write_hint(run: RunRecord, num_before: int | None) -> str:
    if run.control == "cancel" and run.state == "running":
        return text.HEADER["stopping"]
    if run.state != "queued":
        return ""
    if num_before == 1:
        return text.HEADER["waiting_behind_one"]
    if num_before:
        return text.HEADER["waiting_behind"].format(count=num_before)
    return text.HEADER["waiting_next"]
