"""Promises of what the form of a sensitivity run answers to opening, editing and launch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.forms.sensitivity_form import (
    SensitivityForm,
    build_sensitivity_form,
    list_sensitivity_fields,
)
from app.pages.new_sensitivity_events import Editor, handle_edit, handle_launch, handle_open
from app.services import Services, open_services
from app.text import new_experiment as shared_text
from app.text import sensitivity as text
from tasks.settings import Settings
from tasks.store import runs
from tasks.store.drafts import create_draft, get_draft
from tests.app.loops import build_in_loop
from tests.sensitivity_samples import SensitivitySamples, add_sensitivity_runs
from tests.store_samples import open_sample_desk

DRAFT, PROBLEMS, COST, SPEC, LAUNCH, SUBJECT, CARD = range(7)
METHOD = "method.method"
FIELDS = list_sensitivity_fields()


@pytest.fixture(scope="module")
def form() -> SensitivityForm:
    """Build the form once; its blocks are only counted."""

    def build() -> SensitivityForm:
        with gr.Blocks():
            return build_sensitivity_form()

    return build_in_loop(build)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SensitivitySamples]:
    """Fill a store once; nobody may change it."""
    path = tmp_path_factory.mktemp("form") / "data"
    path.mkdir()
    desk = open_sample_desk(path)
    try:
        return path, add_sensitivity_runs(desk)
    finally:
        desk.database.dispose()


@pytest.fixture
def samples(folder: tuple[Path, SensitivitySamples]) -> SensitivitySamples:
    """Return where the runs are."""
    return folder[1]


@pytest.fixture
def editor(
    folder: tuple[Path, SensitivitySamples], tmp_path: Path, form: SensitivityForm
) -> Iterator[Editor]:
    """Work on a copy of the filled store."""
    path = tmp_path / "data"
    shutil.copytree(folder[0], path)
    services: Services = open_services(Settings(data_folder=path, database_url="", broker_url=None))
    yield Editor(services, form)
    services.database.dispose()


def open_form(editor: Editor, **query: str) -> tuple[list[Any], list[Any]]:
    """Open the page; return its panels, and what the widgets hold."""
    answered = handle_open(editor, query)
    count = len(answered) - len(FIELDS)
    return answered[:count], answered[count:]


def find_place(editor: Editor, key: str) -> int:
    """Return where a field's value stands among the widgets'."""
    return [field.key for field in editor.form.fields].index(key)


def typed(editor: Editor, widgets: list[Any], changes: dict[str, Any]) -> list[Any]:
    """Return the widgets' values with some changed, by key."""
    for key, value in changes.items():
        widgets[find_place(editor, key)] = value
    return widgets


def test_the_usual_is_ready_to_launch(editor: Editor) -> None:
    """Without any change there is no problem, an estimate, and the whole spec."""
    panels, widgets = open_form(editor)
    assert panels[PROBLEMS]["problems"] == []
    assert [tile["key"] for tile in panels[COST]["tiles"]] == ["time", "memory"]
    assert panels[LAUNCH]["interactive"] is True
    assert panels[CARD]["visible"] is True
    assert "kind: sensitivity" in panels[SPEC]["yaml"]
    assert panels[SPEC]["command"] == "bitdial sensitivity sensitivity.yaml"
    done = handle_launch(editor, panels[DRAFT], *widgets)
    assert len(done) == len(panels)
    run = runs.get_run(editor.services.database, int(done[DRAFT]["go"].partition("=")[2]))
    assert (run.kind, run.asked) == ("sensitivity", {})


def test_the_common_case_is_short() -> None:
    """What few people change is folded away, and what changes no score is not asked."""
    plain = [field.path for field in FIELDS if not field.advanced]
    assert plain.count("quantizer.group_size") == 3
    assert {path for path in plain if not path.startswith(("quantizer.", "evaluation."))} == {
        "model.source", "method.method", "method.measured_on", "unit", "widths", "start_bits",
        "calibration.data.source", "calibration.data.split", "calibration.num_samples",
        "calibration.max_length",
    }  # fmt: skip
    assert not {"quantizer.bits", "quantizer.layer_bits"} & {field.path for field in FIELDS}
    grid = next(field for field in FIELDS if field.path == "quantizer.grid")
    assert "float" not in grid.choices


def test_a_change_is_kept_and_reviewed(editor: Editor) -> None:
    """Another method is in the draft, in the spec, and in the estimate."""
    panels, widgets = open_form(editor)
    before = panels[COST]["tiles"][0]["value"]
    changed = handle_edit(editor, panels[DRAFT], *typed(editor, widgets, {METHOD: "ablation"}))
    assert "method: ablation" in changed[SPEC]["yaml"]
    assert changed[COST]["tiles"][0]["value"] != before
    draft = get_draft(editor.services.database, changed[DRAFT]["id"])
    assert draft.values["asked"] == {"kind": "sensitivity", "method": {"method": "ablation"}}
    again, again_widgets = open_form(editor, draft=str(draft.id))
    assert again_widgets == widgets
    assert again[DRAFT]["id"] == draft.id


@pytest.mark.parametrize(
    ("changes", "element"),
    [
        ({"widths": "9"}, "field-widths"),
        ({"widths": ""}, "field-widths"),
        ({"start_bits": "many"}, "field-start_bits"),
        ({"start_map": "nowhere=4", METHOD: "ablation"}, "field-start_map"),
        ({"model.source": "/nowhere/at/all"}, "field-model-source"),
        ({"calibration.num_samples": "0"}, "field-calibration-num_samples"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    editor: Editor, *, changes: dict[str, str], element: str
) -> None:
    """One sentence at the field, no estimate, and no launch."""
    panels, widgets = open_form(editor)
    changed = handle_edit(editor, panels[DRAFT], *typed(editor, widgets, changes))
    assert [each["element"] for each in changed[PROBLEMS]["problems"]] == [element]
    assert changed[LAUNCH]["interactive"] is False
    assert changed[COST]["why"].startswith("No estimate")
    assert len(handle_launch(editor, panels[DRAFT], *widgets)) == len(panels)


def test_a_training_run_brings_its_model(editor: Editor, samples: SensitivitySamples) -> None:
    """Its name stands there instead of model and quantizer, also after a change and a reload."""
    panels, widgets = open_form(editor, run=str(samples.trained))
    assert f"/run?id={samples.trained}" in panels[SUBJECT]
    assert panels[CARD]["visible"] is False
    assert "quantizer" not in panels[SPEC]["yaml"]
    changed = handle_edit(editor, panels[DRAFT], *typed(editor, widgets, {"unit": "block"}))
    assert changed[PROBLEMS]["problems"] == []
    again, _ = open_form(editor, draft=str(changed[DRAFT]["id"]))
    assert f"/run?id={samples.trained}" in again[SUBJECT]
    done = handle_launch(editor, changed[DRAFT], *widgets)
    run = runs.get_run(editor.services.database, int(done[DRAFT]["go"].partition("=")[2]))
    assert (run.parent_id, run.spec["unit"]) == (samples.trained, "block")


def test_a_sensitivity_run_can_be_asked_again(editor: Editor, samples: SensitivitySamples) -> None:
    """The form holds what was asked for it."""
    _, widgets = open_form(editor, run=str(samples.ablation))
    assert widgets[find_place(editor, "widths")] == "4\n2"
    assert widgets[find_place(editor, "method.method")] == "ablation"
    panels, _ = open_form(editor, run=str(samples.trained_scores))
    assert f"/run?id={samples.trained}" in panels[SUBJECT]


def test_a_model_may_be_named(editor: Editor) -> None:
    """?model= fills the source and nothing else."""
    _, widgets = open_form(editor, model="bundled:smollm2-135m-instruct")
    assert widgets[find_place(editor, "model.source")] == "bundled:smollm2-135m-instruct"
    _, widgets = open_form(editor, model="org/other")
    assert widgets[find_place(editor, "model.source")] == "org/other"


def test_what_cannot_be_opened_says_so(editor: Editor) -> None:
    """A run that is not there, a draft of another form, and no draft at all are a sentence each."""
    panels, _ = open_form(editor, run="999999")
    assert panels[DRAFT]["note"] == text.NEW_RUN_MISSING.format(
        given="999999", reason=text.NEW_NO_SUCH_RUN
    )
    other = create_draft(editor.services.database, {"asked": {"preset": "rtn"}})
    panels, _ = open_form(editor, draft=str(other.id))
    assert panels[DRAFT]["note"] == text.NOT_A_DRAFT.format(draft_id=other.id)
    panels, _ = open_form(editor, draft="x")
    assert panels[DRAFT]["note"] == shared_text.DRAFT_MISSING.format(draft_id="x")


def test_benchmarks_are_asked_where_they_matter() -> None:
    """Benchmarks belong to ablation on tasks alone."""
    field = next(field for field in FIELDS if field.path == "evaluation.benchmarks")
    assert {(c.path, c.values) for c in field.conditions} == {
        ("method.method", ("ablation",)),
        ("method.measured_on", ("tasks",)),
    }
