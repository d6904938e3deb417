"""Promises of what the page New experiment answers, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.components.number_dial import NumberDial
from app.forms.drafts import asked_of
from app.forms.experiment_form import ExperimentForm, build_form
from app.pages.new_experiment_events import (
    Editor,
    handle_edit,
    handle_launch,
    handle_open,
    handle_preset,
    handle_upload,
)
from app.services import Services
from tasks.store import drafts, runs
from tests.app.loops import build_in_loop
from tests.tiny_models import save_llama

DRAFT, PROBLEMS, ESTIMATE, SPEC, LAUNCH, NOTE = range(6)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model of two blocks."""
    return save_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def editor(services: Services) -> Editor:
    """Build the form outside any page."""

    def build() -> ExperimentForm:
        with gr.Blocks():
            return build_form()

    return Editor(services, build_in_loop(build))


class Tab:
    """A browser's tab: what the widgets hold, and the last answer."""

    def __init__(self, editor: Editor, **query: str) -> None:
        self.editor = editor
        self.names = [field.key for field in editor.form.fields]
        self.take(handle_open(editor, query))

    def take(self, answer: list[Any]) -> None:
        """Show an answer as the page does."""
        self.panels = answer[: 6 + len(self.editor.form.switched)]
        if len(answer) > len(self.panels):
            self.preset, *self.widgets = answer[len(self.panels) :]

    def type(self, **values: Any) -> None:
        """Change fields by the last part of their key and let the page review it."""
        for name, value in values.items():
            place = next(i for i, key in enumerate(self.names) if key.endswith(name))
            self.widgets[place] = value
        self.take(self.send(handle_edit))

    def send(self, handler: Any) -> list[Any]:
        """Call a handler with what the page would send."""
        answer = handler(self.editor, self.panels[DRAFT], self.preset, *self.widgets)
        assert isinstance(answer, list)
        return answer

    @property
    def problems(self) -> list[str]:
        """Elements at which a problem stands."""
        return [problem["element"] for problem in self.panels[PROBLEMS]["problems"]]


def test_number_dials_appear_and_disappear_within_columns(editor: Editor) -> None:
    """A custom component that is told to hide loses its texts, so its column is told instead."""
    switched = {id(item.block) for item in editor.form.switched}
    dials = [each for each in editor.form.widgets if isinstance(each, NumberDial)]
    assert dials
    assert not switched.intersection(map(id, dials))
    held = [each for each in dials if id(each.parent) in switched]
    assert "field-quantizer-integer-cache-fixed-bits" in {each.elem_id for each in held}


def open_tiny(editor: Editor, model: Path) -> Tab:
    """Open the page and choose a model that is there."""
    tab = Tab(editor)
    tab.type(source=str(model), group_size="32")
    return tab


def test_a_usual_start_is_a_preset_and_no_draft(editor: Editor) -> None:
    """Looking at the page writes nothing."""
    tab = Tab(editor)
    assert tab.preset == "rtn"
    assert tab.panels[DRAFT]["id"] is None


def test_an_edit_is_kept_reviewed_and_found_again(editor: Editor, tiny_model: Path) -> None:
    """A change becomes a draft whose address brings the same form back."""
    tab = open_tiny(editor, tiny_model)
    assert tab.problems == []
    assert "tiles" in tab.panels[ESTIMATE]
    assert f"source: {tiny_model}" in tab.panels[SPEC]["yaml"]
    again = Tab(editor, draft=str(tab.panels[DRAFT]["id"]))
    assert again.widgets == tab.widgets
    assert again.panels[SPEC] == tab.panels[SPEC]


def test_a_problem_stands_at_its_field_and_stops_the_launch(
    editor: Editor, tiny_model: Path
) -> None:
    """A wrong group size is marked, the button is off, and it comes back with the right one."""
    tab = open_tiny(editor, tiny_model)
    tab.type(group_size="7")
    assert tab.problems == ["field-quantizer-integer-group_size"]
    assert tab.panels[LAUNCH]["interactive"] is False
    assert "why" in tab.panels[ESTIMATE]
    tab.type(group_size="32")
    assert tab.panels[LAUNCH]["interactive"] is True


def test_a_group_that_does_not_divide_a_layer_is_said(editor: Editor, tiny_model: Path) -> None:
    """What only the model's layers tell is told at the field too."""
    tab = open_tiny(editor, tiny_model)
    tab.type(group_size="48")
    assert tab.problems == ["field-quantizer-integer-group_size"]


def test_bits_out_of_range_stand_at_their_box(editor: Editor, tiny_model: Path) -> None:
    """A width nobody can have is marked where it was typed."""
    tab = open_tiny(editor, tiny_model)
    tab.type(**{"quantizer[integer].bits": "9"})
    assert tab.problems == ["field-quantizer-integer-bits"]
    assert "8" in tab.panels[PROBLEMS]["problems"][0]["message"]


def test_a_missing_model_is_said_at_its_field(editor: Editor, tmp_path: Path) -> None:
    """The sentence stands at the model, and where the estimate would be."""
    tab = Tab(editor)
    tab.type(**{"model.source": str(tmp_path / "nowhere")})
    assert tab.problems == ["field-model-source"]
    assert tab.panels[PROBLEMS]["problems"][0]["message"] in tab.panels[ESTIMATE]["why"]


def test_choices_decide_what_is_shown(editor: Editor) -> None:
    """Only the chosen variant's fields are there, and of them only those that matter."""
    tab = Tab(editor)
    tab.type(**{"quantizer.grid": "float"})
    assert not is_shown(tab, "group-quantizer-integer")
    tab.type(**{"quantizer.grid": "integer", "granularity": "channel"})
    assert is_shown(tab, "group-quantizer-integer")
    assert not is_shown(tab, "field-quantizer-integer-group_size")


def is_shown(tab: Tab, element: str) -> bool:
    """Whether the last answer shows the block with this id."""
    blocks = [item.block.elem_id for item in tab.editor.form.switched]
    shown = tab.panels[6:][blocks.index(element)]["visible"]
    assert isinstance(shown, bool)
    return shown


def test_another_preset_keeps_the_model(editor: Editor, tiny_model: Path) -> None:
    """The method changes, the model and what is measured stay."""
    tab = open_tiny(editor, tiny_model)
    tab.preset = "qat-lora"
    tab.take(tab.send(handle_preset))
    assert f"source: {tiny_model}" in tab.panels[SPEC]["yaml"]
    assert "method: qat" in tab.panels[SPEC]["yaml"]


def test_another_preset_brings_its_head(editor: Editor, tiny_model: Path) -> None:
    """A classifier's head and benchmarks come with its preset and go with the next one."""
    tab = open_tiny(editor, tiny_model)
    tab.preset = "loftq-classify"
    tab.take(tab.send(handle_preset))
    written = tab.panels[DRAFT]["id"]
    assert asked_of(drafts.get_draft(editor.services.database, written)) == {
        "preset": "loftq-classify",
        "model": {"source": str(tiny_model)},
    }
    tab.preset = "rtn"
    tab.take(tab.send(handle_preset))
    spec = tab.panels[SPEC]["yaml"]
    assert "head: causal-lm" in spec
    assert "benchmarks: []" in spec
    assert f"source: {tiny_model}" in spec


def test_a_preset_of_another_head_says_what_it_takes_back(editor: Editor, tiny_model: Path) -> None:
    """A head and tasks chosen by hand do not vanish unsaid; what the last preset set does."""
    tab = open_tiny(editor, tiny_model)
    tab.type(**{"model.head": "classification", "evaluation.benchmarks": "sst2"})
    tab.preset = "qat-lora"
    tab.take(tab.send(handle_preset))
    assert "head: causal-lm" in tab.panels[SPEC]["yaml"]
    assert tab.panels[DRAFT]["tone"] == "warn"
    assert "Head, Benchmarks went back" in tab.panels[DRAFT]["note"]
    for preset in ("loftq-classify", "rtn"):
        tab.preset = preset
        tab.take(tab.send(handle_preset))
        assert tab.panels[DRAFT]["tone"] == ""


def test_a_fraction_of_bits_asks_how_to_mix_them(editor: Editor, tiny_model: Path) -> None:
    """The rule for mixing appears with a fraction and goes with a whole number."""
    tab = open_tiny(editor, tiny_model)
    rule = "field-quantizer-integer-mixing-rule"
    assert not is_shown(tab, rule)
    tab.type(**{"quantizer[integer].bits": "2.5"})
    assert is_shown(tab, rule)
    tab.type(**{"quantizer[integer].bits": "3"})
    assert not is_shown(tab, rule)


def test_a_file_fills_the_form(editor: Editor, tmp_path: Path) -> None:
    """Fields of the file are in the widgets, and count as set."""
    file = tmp_path / "mine.yaml"
    file.write_text("preset: rtn\nname: from a file\nquantizer: {bits: 2}\n")
    tab = Tab(editor)
    tab.take(handle_upload(editor, tab.panels[DRAFT], str(file)))
    assert "from a file" in tab.widgets
    assert {"text": "  bits: 2", "origin": "set"} in tab.panels[SPEC]["lines"]


def test_a_file_is_taken_as_far_as_it_can_be(editor: Editor, tmp_path: Path) -> None:
    """Unknown fields and presets are named and left out; wrong values stand at their fields."""
    file = tmp_path / "mine.yaml"
    file.write_text("preset: magic\nquantizer: {grid: integer, bit: 2, group_size: many}\n")
    tab = Tab(editor)
    tab.take(handle_upload(editor, tab.panels[DRAFT], str(file)))
    assert "magic" in tab.panels[DRAFT]["note"]
    assert tab.problems == ["field-quantizer-integer-group_size"]
    file.write_text("quantizer: {grid: integer, bit: 2}\n")
    tab.take(handle_upload(editor, tab.panels[DRAFT], str(file)))
    assert "did you mean bits?" in tab.panels[DRAFT]["note"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"- a list", b"a: [", b"x" * 1_000_001])
def test_a_file_that_is_no_spec_changes_nothing(
    editor: Editor, tmp_path: Path, content: bytes
) -> None:
    """One sentence says why, and the form stays as it was."""
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    tab = Tab(editor)
    answer = handle_upload(editor, tab.panels[DRAFT], str(file))
    assert "mine.yaml was not taken" in answer[DRAFT]["note"]
    assert all(isinstance(item, dict) and "value" not in item for item in answer[1:])


def test_launching_queues_what_is_shown(
    editor: Editor, services: Services, tiny_model: Path
) -> None:
    """The run in the store holds the spec of the page, and the page leaves for it."""
    tab = open_tiny(editor, tiny_model)
    answer = tab.send(handle_launch)
    newest = runs.list_runs(services.database)[0]
    assert answer[DRAFT]["go"] == f"/run?id={newest.id}"
    assert newest.spec["model"]["source"] == str(tiny_model)
    assert newest.state == "queued"
    assert answer[LAUNCH]["interactive"] is False


def test_launching_what_is_wrong_queues_nothing(
    editor: Editor, services: Services, tiny_model: Path
) -> None:
    """Ctrl+Enter on a form with problems shows them and leaves the store alone."""
    tab = open_tiny(editor, tiny_model)
    tab.type(group_size="7")
    tab.take(tab.send(handle_launch))
    assert tab.problems == ["field-quantizer-integer-group_size"]
    assert runs.list_runs(services.database) == ()


def test_a_run_can_be_cloned(editor: Editor, services: Services, tiny_model: Path) -> None:
    """The form opens with what was asked for the run."""
    tab = open_tiny(editor, tiny_model)
    tab.send(handle_launch)
    newest = runs.list_runs(services.database)[0]
    copy = Tab(editor, clone=str(newest.id))
    assert copy.panels[SPEC]["yaml"] == tab.panels[SPEC]["yaml"]


@pytest.mark.parametrize("query", [{"draft": "77"}, {"clone": "x"}, {"preset": "<b>"}])
def test_an_address_that_names_nothing_is_a_new_form(editor: Editor, query: dict[str, str]) -> None:
    """A stale link says what is missing and starts anew."""
    tab = Tab(editor, **query)
    assert tab.preset == "rtn"
    assert tab.panels[DRAFT]["tone"] == "warn"


def test_two_tabs_on_one_draft_lose_nothing(editor: Editor, tiny_model: Path) -> None:
    """The tab that was overtaken goes on as a new draft and says so."""
    first = open_tiny(editor, tiny_model)
    second = Tab(editor, draft=str(first.panels[DRAFT]["id"]))
    second.type(name="theirs")
    first.type(name="mine")
    assert first.panels[DRAFT]["id"] != second.panels[DRAFT]["id"]
    assert "name: mine" in first.panels[SPEC]["yaml"]
    assert "Nothing is lost" in first.panels[DRAFT]["note"]


def open_elastic(editor: Editor, model: Path) -> Tab:
    """Choose the preset with elastic adapters on a model that is there."""
    tab = open_tiny(editor, model)
    tab.preset = "qat-nls"
    tab.take(tab.send(handle_preset))
    tab.type(group_size="32")
    return tab


def test_the_rank_space_says_what_it_spans(editor: Editor, tiny_model: Path) -> None:
    """The number of configurations follows ranks and grouping, and is gone with the adapter."""
    tab = open_elastic(editor, tiny_model)
    assert tab.panels[NOTE] == "3 ranks in each of 2 blocks: 9 configurations"
    tab.type(rank_space="16, 8", grouping="layer")
    assert tab.panels[NOTE] == "2 ranks in each of 14 layers: 16\u202f384 configurations"
    tab.type(rank_space="8, 16")
    assert tab.panels[NOTE] == ""
    assert tab.problems == ["field-adapter-elastic-lora-rank_space"]
    tab.type(**{"adapter.kind": "lora"})
    assert tab.panels[NOTE] == ""


def test_a_run_is_cloned_with_chosen_ranks(editor: Editor, tiny_model: Path) -> None:
    """Ranks in the address become what the adapters of the new run keep."""
    tab = open_elastic(editor, tiny_model)
    tab.send(handle_launch)
    newest = runs.list_runs(editor.services.database)[0]
    copy = Tab(editor, clone=str(newest.id), ranks="16,8")
    assert copy.panels[SPEC] is not None
    assert "rank_policy: fixed" in copy.panels[SPEC]["yaml"]
    assert "  ranks:\n  - 16\n  - 8\n" in copy.panels[SPEC]["yaml"]
    assert "chosen ranks" in copy.panels[DRAFT]["note"]


def test_training_data_is_switched_inside_the_training(editor: Editor, tiny_model: Path) -> None:
    """The fields of a task are there for a task, those of a text for a text."""
    tab = open_elastic(editor, tiny_model)
    assert is_shown(tab, "field-training-qat-data-task-task")
    assert not is_shown(tab, "field-training-qat-data-text-source")
    tab.type(**{"data.kind": "text"})
    assert is_shown(tab, "field-training-qat-data-text-source")
