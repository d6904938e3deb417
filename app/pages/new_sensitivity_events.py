"""What the form of a sensitivity run answers to opening, editing and launch.

Every handler takes what the widgets hold and returns one value per output: first the panels (draft,
problems, estimate, spec, launch button, what is measured, its card, every switched block), then,
where the form is filled anew, every widget. Layout and wiring stand in `new_sensitivity.py`. Start
with `handle_edit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import gradio as gr

from app.components.estimate_panel import describe_estimate, describe_lack
from app.components.spec_panel import describe_spec
from app.forms import drafts
from app.forms.drafts import Nested, TabState
from app.forms.experiment_form import show_switched
from app.forms.problems import place_problems
from app.forms.sensitivity_form import SUBJECT, SensitivityForm
from app.forms.values import fill, find_current, read_asked
from app.pages.new_experiment_events import Notice
from app.services import Services
from app.tables.describing import SENSITIVITY
from app.text import new_experiment as shared_text
from app.text import sensitivity as text
from engine.errors import BitdialError, Problem, SpecError
from engine.specs import ResolvedSpec
from engine.specs.resolve import INHERITED
from tasks.sensitivities import SensitivityPreview, preview_sensitivity, submit_sensitivity
from tasks.store.drafts import get_draft
from tasks.store.records import RunRecord
from tasks.store.runs import find_run

if TYPE_CHECKING:
    from engine.specs import ExperimentSpec

KIND, PARENT = "kind", "parent"
SHOWN_COSTS = ("time", "memory")


@dataclass(frozen=True)
class Editor:
    """What the handlers work with: the services and the built form."""

    services: Services
    form: SensitivityForm


def handle_open(editor: Editor, query: Mapping[str, str]) -> list[Any]:
    """Fill the form from `?run=`, `?model=` or `?draft=`; a usual start without."""
    state, asked, notice = _find_start(editor, query)
    return [*_review(editor, state, asked, notice), *fill(editor.form.fields, asked)]


def handle_edit(editor: Editor, tab: object, *widgets: Any) -> list[Any]:
    """Keep the draft after a change and review it."""
    return _review(editor, *_keep_form(editor, tab, widgets))


def handle_launch(editor: Editor, tab: object, *widgets: Any) -> list[Any]:
    """Queue what the form shows and leave for the run's page; or say what is wrong."""
    state, asked, notice = _keep_form(editor, tab, widgets)
    try:
        run = submit_sensitivity(editor.services.desk, asked)
    except SpecError:
        return _review(editor, state, asked, notice)
    except BitdialError as error:
        return _review(editor, state, asked, Notice(str(error), "danger"))
    done = _describe_tab(state, Notice(text.LAUNCHED.format(run_id=run.id), "good"))
    rest = [gr.skip()] * (2 + len(editor.form.switched))
    button = gr.update(interactive=False)
    return [done | {"go": f"/run?id={run.id}"}, *[gr.skip()] * 3, button, *rest]


def _find_start(editor: Editor, query: Mapping[str, str]) -> tuple[TabState, Nested, Notice]:
    """Return what the address asks for; a sentence where it cannot be had."""
    if "draft" in query:
        return _open_draft(editor, query["draft"])
    if "run" in query:
        return _open_run(editor, query["run"])
    source = query.get("model", "").strip()
    return drafts.new_tab(), {"model": {"source": source}} if source else {}, Notice()


def _open_draft(editor: Editor, wanted: str) -> tuple[TabState, Nested, Notice]:
    state, given = drafts.new_tab(), wanted[:20]
    try:
        draft = get_draft(editor.services.database, drafts.read_id(wanted) or 0)
    except BitdialError:
        return state, {}, Notice(shared_text.DRAFT_MISSING.format(draft_id=given), "warn")
    asked = drafts.asked_of(draft)
    if asked.pop(KIND, None) != SENSITIVITY:
        return state, {}, Notice(text.NOT_A_DRAFT.format(draft_id=given), "warn")
    return TabState(draft.id, draft.revision, state.tab), asked, Notice()


def _open_run(editor: Editor, wanted: str) -> tuple[TabState, Nested, Notice]:
    """Start from a run: its layers, those of the run it builds on, or what it asked itself."""
    state, run_id = drafts.new_tab(), drafts.read_id(wanted)
    run = find_run(editor.services.database, run_id) if run_id else None
    if run is None:
        reason = text.NEW_NO_SUCH_RUN
        sentence = text.NEW_RUN_MISSING.format(given=wanted[:20], reason=reason)
        return state, {}, Notice(sentence, "warn")
    asked = _ask_like(run)
    state, notice = _keep(editor, state, asked)
    return state, asked, notice


def _ask_like(run: RunRecord) -> Nested:
    if run.kind == SENSITIVITY:
        return {key: value for key, value in run.asked.items() if key != KIND}
    if run.kind != "experiment":
        return {PARENT: run.spec.get(PARENT)}
    is_rounded = (run.spec.get("quantizer") or {}).get("grid", "float") != "float"
    return {PARENT: run.id} if is_rounded else {"model": dict(run.spec.get("model") or {})}


def _keep_form(
    editor: Editor, tab: object, widgets: Sequence[Any]
) -> tuple[TabState, Nested, Notice]:
    state = drafts.read_tab(tab)
    before = drafts.find_asked(editor.services.database, state)
    before.pop(KIND, None)
    parent = before.pop(PARENT, None)
    asked = read_asked(editor.form.fields, widgets, before)
    if parent is not None:
        own = {key: value for key, value in asked.items() if key not in SUBJECT}
        asked = {PARENT: parent, **own}
    state, notice = _keep(editor, state, asked)
    return state, asked, notice


def _keep(editor: Editor, state: TabState, asked: Nested) -> tuple[TabState, Notice]:
    """Save the draft; a store that does not answer costs the draft, not the form."""
    kept = {KIND: SENSITIVITY, **asked}
    try:
        state, sentence = drafts.keep_draft(editor.services.database, state, kept)
    except BitdialError as error:
        return state, Notice(shared_text.NOT_SAVED.format(reason=error), "danger")
    return state, Notice(sentence, "warn" if sentence else "")


def _review(editor: Editor, state: TabState, asked: Nested, notice: Notice) -> list[Any]:
    """Return the panels for what is asked."""
    form = editor.form
    current = find_current(form.fields, fill(form.fields, asked))
    seen, problems = _preview(editor, asked)
    placed = place_problems(problems, form.fields, current)
    parent = asked.get(PARENT)
    return [
        _describe_tab(state, notice),
        {"heading": _heading(len(placed)), "problems": placed},
        _describe_cost(seen, problems),
        _describe_spec(seen, asked) if seen else None,
        gr.update(interactive=not placed),
        _name_subject(editor, parent),
        gr.update(visible=parent is None),
        *show_switched(form, current),
    ]


def _preview(
    editor: Editor, asked: Nested
) -> tuple[SensitivityPreview | None, tuple[Problem, ...]]:
    try:
        return preview_sensitivity(editor.services.desk, asked), ()
    except SpecError as error:
        return None, error.problems
    except BitdialError as error:
        return None, (Problem(error.field, str(error)),)


def _describe_cost(seen: SensitivityPreview | None, problems: Sequence[Problem]) -> dict[str, Any]:
    """Return time and memory; a size says nothing of a run that changes widths all the time."""
    if seen is None:
        reason = problems[0].message if problems else ""
        return describe_lack(shared_text.NO_ESTIMATE_BECAUSE.format(reason=reason))
    if seen.estimate is None:
        return describe_lack(shared_text.NO_ESTIMATE)
    shown = describe_estimate(seen.estimate)
    return shown | {"tiles": [each for each in shown["tiles"] if each["key"] in SHOWN_COSTS]}


def _describe_spec(seen: SensitivityPreview, asked: Nested) -> dict[str, Any]:
    # Provenance asks a spec for nothing but its values, whatever its kind.
    resolved = ResolvedSpec(cast("ExperimentSpec", seen.spec), asked, None)
    left_out = INHERITED if PARENT in asked else ()
    return describe_spec(resolved, left_out=left_out, command=text.COMMAND, kind=SENSITIVITY)


def _name_subject(editor: Editor, parent: object) -> str:
    """Say which training run is measured; "" for a model as it is."""
    if not isinstance(parent, int):
        return ""
    run = find_run(editor.services.database, parent)
    name = text.NEW_DELETED if run is None else run.name
    return text.NEW_ON_RUN.format(id=parent, name=_escape(name))


def _escape(name: str) -> str:
    """Write a name so that Markdown shows it as it is."""
    return "".join(f"\\{each}" if each in "\\`*_{}[]()<>#+-.!|~&$" else each for each in name)


def _describe_tab(state: TabState, notice: Notice) -> dict[str, Any]:
    usual = shared_text.DRAFT.format(draft_id=state.draft_id) if state.draft_id else ""
    return {
        "id": state.draft_id,
        "revision": state.revision,
        "tab": state.tab,
        "note": notice.sentence or usual,
        "tone": notice.tone,
    }


def _heading(count: int) -> str:
    return shared_text.PROBLEM if count == 1 else shared_text.PROBLEMS.format(count=count)
