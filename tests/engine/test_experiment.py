"""Promises of a whole run on a tiny model and a local text: stages, scores, stopping, resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import Cancelled, CheckpointError, DataError, ModelError, SpecError
from engine.events import (
    EnvironmentSeen,
    Event,
    FileWritten,
    Listener,
    MetricPoint,
    Progressed,
    ResourcesMeasured,
    ScoreMeasured,
    SizeMeasured,
    StageStarted,
)
from engine.experiment import Workspace, run_experiment
from engine.specs import (
    DataAware,
    DataSpec,
    EvaluationSpec,
    ExperimentSpec,
    FloatQuantizer,
    IntegerQuantizer,
    LoftQ,
    LoraAdapter,
    ModelSpec,
    NormalFloatQuantizer,
    QatTraining,
    TextData,
)
from tests.tiny_models import save_llama

STEPS = 4
LENGTH, LIMIT = 16, 6
STAGES = ["load", "teach", "initialize", "evaluate"]
METRICS = ["perplexity", "kl_divergence", "top1_agreement"]


class Room:
    """A folder with a model, a text, and the events of the runs made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = save_llama(folder / "model")
        self.text = folder / "text.txt"
        lines = [
            f"Line {number} says {number * 7 % 13} is less than {number}." for number in range(60)
        ]
        self.text.write_text("\n\n".join(lines), encoding="utf-8")

    def spec(self, **values: Any) -> ExperimentSpec:
        """Return a baseline, or whatever the values make of it."""
        evaluation = EvaluationSpec(
            data=DataSpec(source=str(self.text)), max_length=LENGTH, limit=LIMIT
        )
        defaults: dict[str, Any] = {
            "model": ModelSpec(source=str(self.model)),
            "evaluation": evaluation,
        }
        return ExperimentSpec(**defaults | values)

    def rtn(self, bits: int = 4) -> ExperimentSpec:
        """Return round-to-nearest."""
        return self.spec(quantizer=IntegerQuantizer(bits=bits, group_size=16))

    def qat(self, **values: Any) -> ExperimentSpec:
        """Return a short training of adapters and ranges."""
        training: dict[str, Any] = {
            "data": TextData(source=str(self.text)),
            "max_length": LENGTH,
            "max_steps": STEPS,
            "per_device_train_batch_size": 2,
            "save_steps": 1,
        }
        return self.spec(
            quantizer=IntegerQuantizer(bits=2, group_size=16),
            adapter=LoraAdapter(r=4),
            training=QatTraining(**training | values),
        )

    def run(
        self,
        spec: ExperimentSpec,
        name: str,
        *,
        resume_from: Path | None = None,
        listener: Listener | None = None,
    ) -> list[Event]:
        """Carry a run out in a folder of that name; return what it announced."""
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if listener is not None:
                listener(event)

        workspace = Workspace(self.folder / name, self.folder / "data", resume_from=resume_from)
        run_experiment(spec, workspace=workspace, listener=listen, device="cpu")
        return events


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Return a room for all tests: the model is read, never written."""
    return Room(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def finished(room: Room) -> list[Event]:
    """Return the events of a training that was not interrupted."""
    return room.run(room.qat(), "finished")


def stages(events: list[Event]) -> list[str]:
    """Return the stages in order."""
    return [event.stage for event in events if isinstance(event, StageStarted)]


def scores(events: list[Event]) -> dict[str, ScoreMeasured]:
    """Return the scores by metric."""
    return {event.metric: event for event in events if isinstance(event, ScoreMeasured)}


def only(events: list[Event], kind: type) -> Any:
    """Return the one event of a kind."""
    (found,) = (event for event in events if isinstance(event, kind))
    return found


def test_a_baseline_agrees_with_itself(room: Room) -> None:
    """The 16-bit run has all stages but training, all scores with their counts, and full size."""
    events = room.run(room.spec(quantizer=FloatQuantizer()), "baseline")
    found = scores(events)
    assert stages(events) == STAGES
    assert list(found) == METRICS
    assert {score.num_samples for score in found.values()} == {LIMIT * (LENGTH - 1)}
    assert all(score.limited and score.standard_error is not None for score in found.values())
    assert found["kl_divergence"].value == pytest.approx(0.0, abs=1e-6)
    assert found["top1_agreement"].value == 1.0
    assert [found[name].direction for name in METRICS] == ["lower", "lower", "higher"]
    assert {score.benchmark for score in found.values()} == {f"text/{room.text}"}
    size = only(events, SizeMeasured)
    assert size.total_bytes == size.original_bytes
    assert size.effective_bits == 16.0


def test_fewer_bits_weigh_less_and_diverge_more(room: Room) -> None:
    """Rounded to 8, 4 and 2 bits, size falls and divergence from the 16-bit model grows."""
    runs = [room.run(room.rtn(bits), f"rtn-{bits}") for bits in (8, 4, 2)]
    assert all(stages(events) == STAGES for events in runs)
    divergences = [scores(events)["kl_divergence"].value for events in runs]
    assert 0 < divergences[0] < divergences[1] < divergences[2]
    sizes = [only(events, SizeMeasured) for events in runs]
    assert sizes[0].total_bytes > sizes[1].total_bytes > sizes[2].total_bytes
    assert [size.effective_bits for size in sizes] == [9.5, 5.25, 3.125]


def test_a_training_has_its_stage_curves_and_files(room: Room, finished: list[Event]) -> None:
    """QAT trains between start and measuring, and leaves checkpoints and the result behind."""
    assert stages(finished) == [*STAGES[:-1], "train", "evaluate"]
    losses = [event.step for event in finished if isinstance(event, MetricPoint)
              and event.key == "train/loss"]  # fmt: skip
    assert losses == list(range(1, STEPS + 1))
    files = {event.path: event.kind for event in finished if isinstance(event, FileWritten)}
    assert files["result.safetensors"] == "result"
    assert list(files.values()).count("checkpoint") == STEPS - 1
    assert (room.folder / "finished" / "result.safetensors").is_file()
    assert list(scores(finished)) == METRICS


def test_a_run_says_where_and_what_it_used(finished: list[Event]) -> None:
    """Environment, seconds of every stage and peak memory are announced, the last at the end."""
    environment = only(finished, EnvironmentSeen).values
    assert environment["seed"] == "42"
    assert environment["dtype"] == "float32"
    resources = finished[-1]
    assert isinstance(resources, ResourcesMeasured)
    assert resources.peak_memory_bytes > 10 << 20
    assert list(resources.seconds_by_stage) == stages(finished)
    assert all(seconds > 0 for seconds in resources.seconds_by_stage.values())


def test_progress_never_runs_past_its_total(finished: list[Event]) -> None:
    """In every stage what is done grows to its total and not beyond."""
    for stage in ("train", "evaluate"):
        seen = [event for event in finished if isinstance(event, Progressed)
                and event.stage == stage]  # fmt: skip
        done = [event.done for event in seen]
        assert done == sorted(done)
        assert done[-1] == seen[-1].total


@pytest.mark.parametrize("at", [1, 3])
def test_a_cancelled_run_stops_within_a_step(room: Room, at: int) -> None:
    """When the listener raises, nothing is announced afterwards: no further step, no score."""
    events: list[Event] = []

    def cancel(event: Event) -> None:
        events.append(event)
        if isinstance(event, Progressed) and event.stage == "train" and event.done == at:
            raise Cancelled

    with pytest.raises(Cancelled):
        room.run(room.qat(), f"cancelled-{at}", listener=cancel)
    assert events[-1] == Progressed("train", at, STEPS)
    assert scores(events) == {}
    assert not (room.folder / f"cancelled-{at}" / "result.safetensors").exists()


@pytest.mark.parametrize("stage", ["load", "teach", "initialize", "evaluate"])
def test_a_run_can_be_cancelled_in_every_stage(room: Room, stage: str) -> None:
    """A listener that raises at the beginning of a stage is not overheard."""

    def cancel(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        room.run(room.rtn(), f"stopped-{stage}", listener=cancel)


def test_a_resumed_run_has_the_scores_of_an_uninterrupted_one(
    room: Room, finished: list[Event]
) -> None:
    """Going on from a checkpoint in another folder, scores are equal to the last digit."""
    checkpoint = room.folder / "finished" / f"checkpoint-{STEPS - 2:08d}.safetensors"
    events = room.run(room.qat(), "resumed", resume_from=checkpoint)
    assert scores(events) == scores(finished)
    steps = [event.step for event in events if isinstance(event, MetricPoint)]
    assert min(steps) == STEPS - 1


def test_a_seed_decides_everything(room: Room, finished: list[Event]) -> None:
    """The same spec gives the same scores again; another seed gives others."""
    again = room.run(room.qat(), "again")
    other = room.run(room.qat().model_copy(update={"seed": 1}), "other")
    assert scores(again) == scores(finished)
    assert scores(other)["kl_divergence"] != scores(finished)["kl_divergence"]


def test_a_checkpoint_of_another_spec_is_refused(room: Room, finished: list[Event]) -> None:
    """What was trained at another rate is not gone on with."""
    checkpoint = room.folder / "finished" / f"checkpoint-{STEPS - 1:08d}.safetensors"
    assert checkpoint.is_file()
    with pytest.raises(CheckpointError, match="belongs to another training"):
        room.run(room.qat(learning_rate=1e-3), "refused", resume_from=checkpoint)


def test_without_divergence_only_the_text_is_measured(room: Room) -> None:
    """Where no divergence is asked, perplexity is the only score and no teacher is kept."""
    spec = room.rtn()
    evaluation = spec.evaluation.model_copy(update={"divergence": False, "limit": None})
    events = room.run(spec.model_copy(update={"evaluation": evaluation}), "text-only")
    assert list(scores(events)) == ["perplexity"]
    assert not scores(events)["perplexity"].limited


@pytest.mark.parametrize("part", ["evaluation", "training"])
@pytest.mark.parametrize("text", ["", "Too short."])
def test_an_empty_data_set_is_one_sentence_at_its_field(
    room: Room, tmp_path: Path, part: str, text: str
) -> None:
    """A file without text, or too little for one window, is refused at the field that names it."""
    path = tmp_path / "empty.txt"
    path.write_text(text, encoding="utf-8")
    kind = TextData if part == "training" else DataSpec
    data = kind(source=str(path))
    spec = room.qat()
    changed = getattr(spec, part).model_copy(update={"data": data})
    with pytest.raises(DataError, match="too few" if text else "holds no text") as caught:
        room.run(spec.model_copy(update={part: changed}), "empty")
    assert caught.value.field.startswith(f"{part}.data")
    assert "\n" not in str(caught.value)


def test_bad_requests_name_their_field_before_any_training(room: Room) -> None:
    """A missing model, a group size and a rank that do not fit: each names its field."""
    cases = [
        (room.spec(model=ModelSpec(source=str(room.folder / "gone"))), ModelError, "model.source"),
        (
            room.spec(quantizer=IntegerQuantizer(group_size=64)),
            SpecError,
            "quantizer.group_size",
        ),
        (
            room.qat().model_copy(update={"adapter": LoraAdapter(r=40)}),
            SpecError,
            "adapter.r",
        ),
    ]
    for spec, error, field in cases:
        events: list[Event] = []
        with pytest.raises(error) as caught:
            room.run(spec, "bad", listener=events.append)
        assert str(caught.value).startswith(f"{field}: ")
        assert "train" not in stages(events)


def test_loftq_tells_its_errors_and_helps(room: Room) -> None:
    """Errors fall by iteration, a report has every layer, and the model is nearer than rounded."""
    quantizer = NormalFloatQuantizer(bits=2, group_size=16)
    adapter = LoraAdapter(r=8, lora_alpha=4.0, placement="parallel")
    spec = room.spec(quantizer=quantizer, adapter=adapter, initialization=LoftQ(iterations=3))
    events = room.run(spec, "loftq")
    points = [event for event in events if isinstance(event, MetricPoint)]
    assert [(point.key, point.step) for point in points] == [
        ("initialize/relative_error", step) for step in (1, 2, 3)
    ]
    assert points[0].value > points[1].value >= points[2].value > 0
    assert FileWritten("report", "loftq-error.json") in events
    report = json.loads((room.folder / "loftq" / "loftq-error.json").read_text())
    assert report["mean"] == [point.value for point in points]
    assert len(report["layers"]) == 14
    assert report["measure"] == "weights"
    rounded = scores(room.run(room.spec(quantizer=quantizer), "rounded"))
    assert scores(events)["kl_divergence"].value < rounded["kl_divergence"].value


def test_a_start_by_data_tells_errors_of_outputs(room: Room) -> None:
    """What a calibrated start leaves is measured on outputs, and its report says so."""
    start = DataAware(data=DataSpec(source=str(room.text)), num_samples=2, max_length=LENGTH)
    spec = room.spec(
        quantizer=NormalFloatQuantizer(bits=2, group_size=16),
        adapter=LoraAdapter(r=8, placement="parallel"),
        initialization=start,
    )
    room.run(spec, "by-data")
    report = json.loads((room.folder / "by-data" / "loftq-error.json").read_text())
    assert report["measure"] == "outputs"
    assert len(report["layers"]) == 14


def test_a_training_goes_on_from_loftq(room: Room) -> None:
    """A parallel adapter beside a codebook trains from where LoftQ put it."""
    spec = room.qat().model_copy(
        update={
            "quantizer": NormalFloatQuantizer(bits=2, group_size=16),
            "adapter": LoraAdapter(r=4, placement="parallel"),
            "initialization": LoftQ(iterations=2),
        }
    )
    started = room.spec(
        quantizer=spec.quantizer, adapter=spec.adapter, initialization=spec.initialization
    )
    room.run(started, "started")
    room.run(spec, "trained")
    before, after = (
        load_file(room.folder / name / "result.safetensors") for name in ("started", "trained")
    )
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {key for key in before if key.endswith(("adapter.a", "adapter.b"))}
