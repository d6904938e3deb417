"""What the page New experiment answers to opening, editing, choosing a preset, a file, and launch.

Every handler takes what the widgets hold and returns one value per output: first the panels (draft,
problems, estimate, spec, launch button, rank space, every switched block), then, where the form is
filled anew, the preset's choice and every widget. Layout and wiring stand in `new_experiment.py`.
Start with `handle_edit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.components.estimate_panel import describe_estimate, describe_lack
from app.components.spec_panel import describe_spec
from app.forms import drafts
from app.forms.drafts import Nested, TabState
from app.forms.experiment_form import ExperimentForm, show_switched
from app.forms.problems import place_problems
from app.forms.values import (
    change_preset,
    fill,
    find_current,
    find_value,
    list_reset,
    preset_values,
    read_asked,
)
from app.services import Services
from app.tables.rank_space import describe_spec as describe_rank_space
from app.text import new_experiment as text
from engine.errors import BitdialError, Problem, SpecError
from engine.specs import PRESETS, ModelSpec, find_preset, parse_yaml, resolve
from engine.specs.yaml_text import MAX_YAML_BYTES
from tasks.store.drafts import get_draft
from tasks.submit import Preview, clone, preview, submit

DEFAULT_PRESET = "rtn"
RANK_POLICY, RANKS = "adapter.rank_policy", "adapter.ranks"
HEAD = "model.head"
DEFAULT_HEAD = ModelSpec().head
_SOURCES_OF_PRESETS = frozenset(
    find_value(preset.values, "model.source", ModelSpec().source) for preset in PRESETS
)
_FOLLOWS_HEAD = (HEAD, "model.source", "evaluation.benchmarks")
_KEPT_BY_PRESET = ("name", "seed", "model", "evaluation")


@dataclass(frozen=True)
class Editor:
    """What the handlers work with: the services and the built form."""

    services: Services
    form: ExperimentForm


@dataclass(frozen=True)
class Notice:
    """A sentence beside the form; the tone is "", "good", "warn" or "danger"."""

    sentence: str = ""
    tone: str = ""


def handle_open(editor: Editor, query: Mapping[str, str]) -> list[Any]:
    """Fill the form from `?draft=`, `?clone=` or `?preset=`; a usual start without."""
    state, asked, notice = _find_start(editor, query)
    return _answer_filled(editor, state, asked, notice)


def handle_edit(editor: Editor, tab: object, preset: object, *widgets: Any) -> list[Any]:
    """Keep the draft after a change and review it."""
    state, asked, notice = _keep_form(editor, tab, preset, widgets)
    return _review(editor, state, asked, notice)


def handle_preset(editor: Editor, tab: object, preset: object, *widgets: Any) -> list[Any]:
    """Start from another preset; model, evaluation, name and seed stay as they are."""
    state = drafts.read_tab(tab)
    before = drafts.find_asked(editor.services.database, state)
    written = _read_form(editor, state, None, widgets)
    asked = _follow_head(change_preset(written, str(preset), _KEPT_BY_PRESET))
    said = _say_reset(list_reset(editor.form.fields, before, asked, _FOLLOWS_HEAD), str(preset))
    state, trouble = _keep(editor, state, asked)
    return _answer_filled(editor, state, asked, trouble if trouble.sentence else said)


def _say_reset(titles: Sequence[str], name: str) -> Notice:
    """Say what a preset of another head took back of what a person chose."""
    preset = find_preset(name)
    if not titles or preset is None:
        return Notice()
    listed = ", ".join(titles)
    return Notice(text.PRESET_RESET.format(preset=preset.title, titles=listed), "warn")


def _follow_head(asked: Nested) -> Nested:
    """Return the values with the head the preset is about; a model and tasks of another go."""
    model, evaluation = ({**asked.get(part, {})} for part in ("model", "evaluation"))
    head = find_value(preset_values(asked.get("preset")), HEAD, DEFAULT_HEAD)
    if model.pop("head", DEFAULT_HEAD) != head:
        evaluation.pop("benchmarks", None)
        if model.get("source") in _SOURCES_OF_PRESETS:
            del model["source"]
    changed = {"model": model, "evaluation": evaluation}
    others = {key: value for key, value in asked.items() if key not in changed}
    return others | {key: value for key, value in changed.items() if value}


def handle_upload(editor: Editor, tab: object, path: str | None) -> list[Any]:
    """Fill the form from a YAML file; what cannot be taken over is said, the rest is filled."""
    state = drafts.read_tab(tab)
    name = Path(path or "").name
    try:
        values = parse_yaml(_read_text(path or ""))
    except SpecError as error:
        reason = Notice(text.UPLOAD_REFUSED.format(name=name, reason=error), "danger")
        return _answer_unchanged(editor, state, reason)
    asked, left_out = _take_over(editor, values)
    notice = Notice(text.UPLOADED.format(name=name), "good")
    if left_out:
        sentences = "; ".join(map(str, left_out))
        notice = Notice(text.UPLOAD_LEFT_OUT.format(name=name, sentences=sentences), "warn")
    state, trouble = _keep(editor, state, asked)
    return _answer_filled(editor, state, asked, trouble if trouble.sentence else notice)


def handle_launch(editor: Editor, tab: object, preset: object, *widgets: Any) -> list[Any]:
    """Queue what the form shows and leave for the run's page; or say what is wrong."""
    state, asked, notice = _keep_form(editor, tab, preset, widgets)
    try:
        run = submit(editor.services.desk, resolve(asked))
    except BitdialError as error:
        return _review(editor, state, asked, _refusal(error) or notice)
    done = _describe_tab(state, Notice(text.LAUNCHED.format(run_id=run.id), "good"))
    rest = [gr.skip()] * len(editor.form.switched)
    button = gr.update(interactive=False)
    kept = [gr.skip()] * 3
    return [done | {"go": f"/run?id={run.id}"}, *kept, button, gr.skip(), *rest]


def _find_start(editor: Editor, query: Mapping[str, str]) -> tuple[TabState, Nested, Notice]:
    """Return what the address asks for; a sentence where it cannot be had."""
    if "draft" in query:
        return _open_draft(editor, query["draft"])
    if "clone" in query:
        return _open_clone(editor, query["clone"], query.get("ranks", ""))
    wanted = query.get("preset", DEFAULT_PRESET)
    if find_preset(wanted) is not None:
        return drafts.new_tab(), {"preset": wanted}, Notice()
    sentence = text.PRESET_MISSING.format(name=wanted[:60], instead=DEFAULT_PRESET)
    return drafts.new_tab(), {"preset": DEFAULT_PRESET}, Notice(sentence, "warn")


def _open_draft(editor: Editor, wanted: str) -> tuple[TabState, Nested, Notice]:
    state, draft_id = drafts.new_tab(), drafts.read_id(wanted)
    try:
        draft = get_draft(editor.services.database, draft_id or 0)
    except BitdialError:
        sentence = text.DRAFT_MISSING.format(draft_id=wanted[:20])
        return state, {"preset": DEFAULT_PRESET}, Notice(sentence, "warn")
    return TabState(draft.id, draft.revision, state.tab), drafts.asked_of(draft), Notice()


def _open_clone(editor: Editor, wanted: str, ranks: str) -> tuple[TabState, Nested, Notice]:
    """Fill in what was asked for a run; with `ranks` these are what its adapters keep."""
    state, run_id = drafts.new_tab(), drafts.read_id(wanted)
    try:
        asked, _ = _take_over(editor, clone(editor.services.desk, run_id or 0))
        if ranks:
            asked = _fix_ranks(editor, asked, ranks)
    except BitdialError:
        sentence = text.CLONE_MISSING.format(run_id=wanted[:20])
        return state, {"preset": DEFAULT_PRESET}, Notice(sentence, "warn")
    state, trouble = _keep(editor, state, asked)
    sentence = text.CLONED_WITH_RANKS if ranks else text.CLONED
    notice = Notice(sentence.format(run_id=run_id), "good")
    return state, asked, trouble if trouble.sentence else notice


def _fix_ranks(editor: Editor, asked: Nested, ranks: str) -> Nested:
    """Return the values with these ranks as the adapter's own."""
    fields = editor.form.fields
    widgets = fill(fields, asked)
    given = {RANK_POLICY: "fixed", RANKS: ranks}
    typed = [given.get(field.path, value) for field, value in zip(fields, widgets, strict=True)]
    return read_asked(fields, typed, asked)


def _take_over(editor: Editor, values: Nested) -> tuple[Nested, tuple[Problem, ...]]:
    """Return what of foreign values the form can hold, and the problems of what it cannot."""
    try:
        resolve(values)
        problems: tuple[Problem, ...] = ()
    except SpecError as error:
        problems = error.problems
    if find_preset(str(values.get("preset"))) is None:
        values = {key: value for key, value in values.items() if key != "preset"}
    fields = editor.form.fields
    asked = read_asked(fields, fill(fields, values), values)
    still = {problem.field for problem in _problems_of(asked)}
    return asked, tuple(problem for problem in problems if problem.field not in still)


def _problems_of(asked: Nested) -> tuple[Problem, ...]:
    try:
        resolve(asked)
    except SpecError as error:
        return error.problems
    return ()


def _read_text(path: str) -> str:
    """Read a file that somebody uploaded, as far as a spec may be long."""
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_YAML_BYTES + 1).decode()
    except UnicodeDecodeError:
        raise SpecError.at("", text.NOT_TEXT) from None
    except OSError:
        raise SpecError.at("", text.NOT_READ) from None


def _read_form(editor: Editor, state: TabState, preset: object, widgets: Sequence[Any]) -> Nested:
    before = drafts.find_asked(editor.services.database, state)
    before.pop("preset", None)
    if isinstance(preset, str) and find_preset(preset) is not None:
        before["preset"] = preset
    return read_asked(editor.form.fields, widgets, before)


def _keep_form(
    editor: Editor, tab: object, preset: object, widgets: Sequence[Any]
) -> tuple[TabState, Nested, Notice]:
    state = drafts.read_tab(tab)
    asked = _read_form(editor, state, preset, widgets)
    state, notice = _keep(editor, state, asked)
    return state, asked, notice


def _keep(editor: Editor, state: TabState, asked: Nested) -> tuple[TabState, Notice]:
    """Save the draft; a store that does not answer costs the draft, not the form."""
    try:
        state, sentence = drafts.keep_draft(editor.services.database, state, asked)
    except BitdialError as error:
        return state, Notice(text.NOT_SAVED.format(reason=error), "danger")
    if sentence:
        return state, Notice(sentence, "warn")
    return state, Notice()


def _answer_filled(editor: Editor, state: TabState, asked: Nested, notice: Notice) -> list[Any]:
    """Review what is asked and fill every widget with it."""
    panels = _review(editor, state, asked, notice)
    return [*panels, asked.get("preset"), *fill(editor.form.fields, asked)]


def _answer_unchanged(editor: Editor, state: TabState, notice: Notice) -> list[Any]:
    """Say something and leave the form as it is."""
    others = 5 + len(editor.form.switched) + 1 + len(editor.form.fields)
    return [_describe_tab(state, notice), *[gr.skip()] * others]


def _review(editor: Editor, state: TabState, asked: Nested, notice: Notice) -> list[Any]:
    """Return the panels for what is asked."""
    form = editor.form
    current = find_current(form.fields, fill(form.fields, asked))
    seen = preview(editor.services.desk, asked)
    placed = place_problems(seen.problems, form.fields, current)
    return [
        _describe_tab(state, notice),
        {"heading": _heading(len(placed)), "problems": placed},
        _describe_cost(seen),
        describe_spec(seen.resolved) if seen.resolved else None,
        gr.update(interactive=not placed),
        describe_rank_space(editor.services.settings, seen.resolved.spec) if seen.resolved else "",
        *show_switched(form, current),
    ]


def _describe_cost(seen: Preview) -> dict[str, Any]:
    if seen.estimate is not None:
        return describe_estimate(seen.estimate)
    if seen.resolved is None:
        return describe_lack(text.NO_ESTIMATE_PROBLEMS)
    if seen.problems:
        return describe_lack(text.NO_ESTIMATE_BECAUSE.format(reason=seen.problems[0].message))
    return describe_lack(text.NO_ESTIMATE)


def _refusal(error: BitdialError) -> Notice | None:
    """What a launch met beyond the spec's own problems, which stand at their fields."""
    return None if isinstance(error, SpecError) else Notice(str(error), "danger")


def _describe_tab(state: TabState, notice: Notice) -> dict[str, Any]:
    usual = text.DRAFT.format(draft_id=state.draft_id) if state.draft_id else ""
    return {
        "id": state.draft_id,
        "revision": state.revision,
        "tab": state.tab,
        "note": notice.sentence or usual,
        "tone": notice.tone,
    }


def _heading(count: int) -> str:
    return text.PROBLEM if count == 1 else text.PROBLEMS.format(count=count)
