"""What a layer map is about: it keeps the start of its scores and stands on their text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SpecError
from engine.specs import ExperimentSpec, resolve, resolve_sensitivity
from tasks.bit_map.checking import verify
from tasks.bit_map.opening import open_map
from tasks.bit_map.viewing import view_state
from tasks.map_subjects import build_subject, tell_apart
from tasks.settings import Settings
from tasks.store.runs import get_run
from tasks.submit import Desk, submit
from tests.bit_map_samples import list_layers, save_model
from tests.tasks.builders import make_scored
from tests.tasks.test_map_corrections import WIDTHS, score

LAYERS = list_layers(2)


@pytest.fixture
def model(desk: Desk) -> str:
    """A model of two blocks."""
    return str(save_model(desk.settings.data_folder / "models" / "two", num_blocks=2))


def make_subject(settings: Settings, **values: Any) -> ExperimentSpec:
    spec = resolve_sensitivity(values)
    return build_subject(settings, spec, spec)


def with_mirror(settings: Settings, folder: Path, *splits: str) -> Settings:
    """Put a data set with these splits into a mirror."""
    own = folder / "org" / "text" / "plain"
    own.mkdir(parents=True)
    for split in splits:
        (own / f"{split}.jsonl").write_text(json.dumps({"text": "some words"}) + "\n")
    return settings.model_copy(update={"data_mirror": folder})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"quantizer": {"group_size": 32}}, r"quantizer\.group_size 64, .* has 32; give one"),
        ({"quantizer": {"symmetry": "symmetric"}}, r"\.symmetry asymmetric, .* has symmetric;"),
        ({"quantizer": {"exclude": ["*.v_proj"]}}, r"quantizer\.exclude .* has .*v_proj"),
        ({"model": {"dtype": "bfloat16"}}, r"model\.dtype auto, .* has bfloat16;"),
        (
            {"initialization": {"method": "minimal-error"}},
            r"initialization\.method round-to-nearest, .* has minimal-error;",
        ),
    ],
)
def test_scores_of_another_question_are_refused(
    desk: Desk, model: str, values: dict[str, Any], words: str
) -> None:
    """At "sensitivity", naming what differs; widths, inputs and caches may."""
    scored = make_scored(desk, score(), model={"source": model}, widths=list(WIDTHS))
    own = {**values, "model": {"source": model, **values.get("model", {})}}
    run = submit(desk, resolve({"preset": "rtn", **own})).id
    with pytest.raises(SpecError, match=f"^sensitivity: run {scored} scored with .*{words}"):
        open_map(desk, {"run": run, "sensitivity": scored})
    same = {"quantizer": {"bits": 3, "inputs": {"rounding": "layer"}}}
    run = submit(desk, resolve({"preset": "rtn", "model": {"source": model}, **same})).id
    assert open_map(desk, {"run": run, "sensitivity": scored}).note == ""


def test_a_map_starts_as_its_scores_did(desk: Desk, model: str) -> None:
    """The run that measures it is initialized as they were."""
    start = {"method": "minimal-error"}
    asked: dict[str, Any] = {
        "model": {"source": model},
        "widths": list(WIDTHS),
        "initialization": start,
    }
    map_id = open_map(desk, {"sensitivity": make_scored(desk, score(), **asked)}).record.id
    found = view_state(desk, map_id).prediction
    assert found is not None
    assert (found.note, found.low is None) == ("", False)
    assert get_run(desk.database, verify(desk, map_id)).spec["initialization"] == start


def test_adapters_filled_before_training_are_told() -> None:
    """What LoftQ puts into them is in no map, whose start is then the plain one."""
    values = {
        "adapter": {"kind": "lora", "placement": "parallel"},
        "initialization": {"method": "loftq"},
    }
    spec = resolve_sensitivity(values)
    subject = build_subject(Settings(data_folder=Path("unused")), spec, spec)
    assert subject.initialization.method == "round-to-nearest"
    assert tell_apart(spec, subject) == (
        "Scored with adapters filled by loftq; bit maps measure the model without them"
    )


def test_a_map_is_measured_on_held_out_text_of_its_scores(desk: Desk, tmp_path: Path) -> None:
    """The test split, else validation, of their source and window length."""
    text = {"source": "org/text", "config": "plain"}
    for splits, held_out in ((("train", "test"), "test"), (("train", "validation"), "validation")):
        settings = with_mirror(desk.settings, tmp_path / held_out, *splits)
        calibration = {"data": text, "max_length": 64}
        found = make_subject(settings, calibration=calibration).evaluation
        assert (found.data.source, found.data.split, found.max_length) == ("org/text", held_out, 64)


def test_where_there_is_no_other_split_or_a_choice_the_evaluation_stays(
    desk: Desk, tmp_path: Path
) -> None:
    """A file, an unknown data set and one with a single split have none to hold out."""
    usual = make_subject(desk.settings).evaluation
    settings = with_mirror(desk.settings, tmp_path / "mirror", "train")
    (tmp_path / "own.txt").write_text("some words")
    for source in ("org/text", "org/unknown", str(tmp_path / "own.txt")):
        calibration = {"data": {"source": source}, "max_length": 64}
        assert make_subject(settings, calibration=calibration).evaluation == usual
    chosen = {"max_length": 128}
    found = make_subject(settings, calibration={"max_length": 64}, evaluation=chosen).evaluation
    assert (found.max_length, found.data) == (128, usual.data)


def test_another_text_is_said_where_it_stands(desk: Desk, model: str) -> None:
    """In the prediction's note and in the check, both texts in words."""
    calibration = {"max_length": 64}
    asked: dict[str, Any] = {
        "model": {"source": model},
        "widths": list(WIDTHS),
        "calibration": calibration,
    }
    run = make_scored(desk, score(), evaluation={"max_length": 128}, **asked)
    map_id = open_map(desk, {"sensitivity": run}).record.id
    verify(desk, map_id)
    view = view_state(desk, map_id)
    scored_on = "bundled:python-docs (train), windows of 64 tokens"
    measured_on = "bundled:python-docs (test), windows of 128 tokens"
    assert view.prediction is not None
    assert view.prediction.note == (
        f"Scores are of {scored_on}; a map is measured on {measured_on}."
    )
    (check,) = view.checks
    assert (check.scored_on, check.measured_on) == (scored_on, measured_on)


def test_a_file_of_another_model_is_named(desk: Desk, model: str) -> None:
    """Taken where its layers fit, and said whose it is; refused where they do not."""
    lines = "\n".join(f"  {name}: 3" for name in LAYERS)
    text = f"format: bitdial-layer-map-1\nmodel: other/model\nlayers:\n{lines}\n"
    opened = open_map(desk, {"model": model, "file": text})
    assert opened.note == (
        f"Widths were taken from the layer map, made for other/model, as {model} has all its "
        "layers."
    )
    own = text.replace("other/model", model)
    assert open_map(desk, {"model": model, "file": own}).note == ""
    with pytest.raises(SpecError, match=r"made for other/model, names model\.layers\.7"):
        open_map(desk, {"model": model, "file": text.replace("layers.1.", "layers.7.")})
