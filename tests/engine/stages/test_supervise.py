"""Promises of whole runs of other heads: stages, files, scores, resuming, and a clear refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import Cancelled, ModelError
from engine.events import (
    Event,
    FileWritten,
    Listener,
    Logged,
    Progressed,
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
    LoftQ,
    LoraAdapter,
    ModelSpec,
    NormalFloatQuantizer,
    QatTraining,
    TaskData,
)
from tests.engine.data.mirrors import SUMMARY_COLUMNS, glue_row, squad_row, write_rows, write_squad
from tests.tiny_heads import save_bert, save_kind

STEPS = 3
TASKS = {"classification": "sst2", "span-qa": "squad", "seq2seq": "xsum"}


class Room:
    """A folder with models, a made-up mirror, and the runs made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bert = save_bert(folder / "bert", masked=True)
        self.mirror = folder / "mirror"
        rows = [
            glue_row("sst2", number, sentence=f"{'good fun' if number % 2 else 'a bore'} {number}")
            for number in range(12)
        ]
        for split, chosen in (("train", rows), ("validation", rows[:6])):
            write_rows(self.mirror / "nyu-mll" / "glue" / "sst2" / f"{split}.jsonl", *chosen)
        asked = [squad_row("Where does it rise?", "the Alps"), squad_row("Its end?", "North Sea")]
        write_squad(self.mirror, train=asked * 3, validation=asked)
        place, text, summary = SUMMARY_COLUMNS["xsum"]
        told = [{text: f"It rained on day {n}.", summary: f"Rain {n}", "id": n} for n in range(6)]
        for split in ("train", "validation", "test"):
            write_rows(self.mirror / place / f"{split}.jsonl", *told)
        self.text = folder / "text.txt"
        self.text.write_text("\n\n".join(f"The line {n} has {n * 7} words." for n in range(40)))

    def spec(self, head: str = "classification", **values: Any) -> ExperimentSpec:
        """Return a short 2-bit LoftQ training."""
        training: dict[str, Any] = {
            "objective": "task", "data": TaskData(task=TASKS[head]), "max_length": 32,
            "max_steps": STEPS, "per_device_train_batch_size": 2, "save_steps": 1,
            "learning_rate": 1e-2,
        }  # fmt: skip
        training |= values.pop("training", {})
        evaluation = {"max_length": 32, "data": DataSpec(source=str(self.text))}
        given: dict[str, Any] = {
            "model": ModelSpec(source=str(self.bert), head=head),
            "quantizer": NormalFloatQuantizer(bits=2, group_size=16),
            "adapter": LoraAdapter(r=4, placement="parallel"),
            "initialization": LoftQ(iterations=2),
            "training": QatTraining(**training),
            "evaluation": EvaluationSpec(**evaluation | values.pop("evaluation", {})),
        }
        return ExperimentSpec(**given | values)

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

        workspace = Workspace(
            self.folder / name, self.folder / "data", self.mirror, resume_from=resume_from
        )
        run_experiment(spec, workspace=workspace, listener=listen, device="cpu")
        return events


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="module")
def finished(room: Room) -> list[Event]:
    """Return the events of a training on SST-2 that was not interrupted."""
    return room.run(room.spec(), "finished")


def stages(events: list[Event]) -> list[str]:
    return [event.stage for event in events if isinstance(event, StageStarted)]


def scores(events: list[Event]) -> list[ScoreMeasured]:
    return [event for event in events if isinstance(event, ScoreMeasured)]


def test_two_bit_loftq_trains_a_fresh_classifier(room: Room, finished: list[Event]) -> None:
    """A BERT for masked words becomes a classifier of SST-2: stages, files, size and scores."""
    assert stages(finished) == ["load", "initialize", "train", "benchmarks"]
    files = {event.path: event.kind for event in finished if isinstance(event, FileWritten)}
    assert files["result.safetensors"] == "result"
    assert files["head.safetensors"] == "head"
    assert list(files.values()).count("checkpoint") == STEPS - 1
    head = load_file(room.folder / "finished" / "head.safetensors")
    assert set(head) == {"classifier.weight", "classifier.bias", "bert.pooler.dense.weight",
                         "bert.pooler.dense.bias"}  # fmt: skip
    (size,) = (event for event in finished if isinstance(event, SizeMeasured))
    assert size.effective_bits == 3.0
    found = {score.metric: score for score in scores(finished)}
    assert {score.benchmark for score in found.values()} == {"sst2"}
    assert 0 <= next(iter(found.values())).value <= 1
    told = [event.message for event in finished if isinstance(event, Logged)]
    assert any("starts at random" in message for message in told)
    assert any(message.startswith("3 steps over 12 examples") for message in told)
    assert any(message.startswith("sst2 ") for message in told)


@pytest.mark.parametrize("stage", ["train", "benchmarks"])
def test_progress_reaches_its_total(finished: list[Event], stage: str) -> None:
    """What is done grows to the announced total and not beyond."""
    announced = [e.total for e in finished if isinstance(e, StageStarted) and e.stage == stage]
    done = [e for e in finished if isinstance(e, Progressed) and e.stage == stage]
    assert [each.done for each in done] == sorted(each.done for each in done)
    assert announced == [done[-1].done] == [done[-1].total]


@pytest.mark.parametrize("step", [1, 2])
def test_a_resumed_run_ends_where_it_would_have(
    room: Room, finished: list[Event], step: int
) -> None:
    """Stopped after any step and resumed, result and head are those of the uninterrupted run."""

    def stop(event: Event) -> None:
        if isinstance(event, FileWritten) and event.path == f"checkpoint-{step:08d}.safetensors":
            raise Cancelled

    name = f"stopped-{step}"
    spec = room.spec(evaluation={"before_training": True})
    with pytest.raises(Cancelled):
        room.run(spec, name, listener=stop)
    path = room.folder / name / f"checkpoint-{step:08d}.safetensors"
    events = room.run(spec, name, resume_from=path)
    assert [score.phase for score in scores(events)] == ["final"] * len(scores(events))
    for file in ("result.safetensors", "head.safetensors"):
        found, expected = (load_file(room.folder / each / file) for each in (name, "finished"))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected), file
    assert [s.value for s in scores(events)] == [s.value for s in scores(finished)]


def test_scores_before_training_are_marked(room: Room) -> None:
    """Asked for, the task is measured on the start as well, before the first step."""
    events = room.run(room.spec(evaluation={"before_training": True}), "before")
    assert stages(events) == ["load", "initialize", "benchmarks", "train", "benchmarks"]
    phases = [score.phase for score in scores(events)]
    assert phases[: len(phases) // 2] == ["before"] * (len(phases) // 2)
    assert phases[len(phases) // 2 :] == ["final"] * (len(phases) // 2)


def test_sixteen_bits_with_adapters_train_a_head(room: Room) -> None:
    """The 16-bit baseline of fine-tuning adapts the body and trains the head whole."""
    spec = room.spec(
        quantizer=FloatQuantizer(), initialization={"method": "round-to-nearest"},
    )  # fmt: skip
    events = room.run(spec, "sixteen")
    adapted = {name.partition("/")[0] for name in load_file(
        room.folder / "sixteen" / "result.safetensors")}  # fmt: skip
    assert len(adapted) == 12
    assert all(name.startswith("bert.encoder.layer.") for name in adapted)
    assert scores(events)


@pytest.mark.parametrize("head", ["span-qa", "seq2seq"])
def test_spans_and_summaries_run_from_calibration_to_scores(room: Room, head: str) -> None:
    """A data-aware start on text, training and measuring work for the other two heads."""
    if head == "span-qa":
        model = room.bert
    else:  # Transformers writes with a T5 only where both stacks are equally deep
        model = save_kind(room.folder / "t5", "t5", "seq2seq", num_decoder_layers=2)
    spec = room.spec(
        head,
        model=ModelSpec(source=str(model), head=head),
        initialization=DataAware(
            data=DataSpec(source=str(room.text)), num_samples=2, max_length=16
        ),
    )
    events = room.run(spec, head)
    assert stages(events) == ["load", "initialize", "train", "benchmarks"]
    assert {score.benchmark for score in scores(events)} == {TASKS[head]}
    files = [event.kind for event in events if isinstance(event, FileWritten)]
    assert ("head" in files) == (head == "span-qa")
    assert "result" in files


def test_a_model_of_another_build_is_refused_at_its_head(room: Room) -> None:
    """An encoder given to summarize is one sentence that says which head to choose."""
    with pytest.raises(ModelError, match=r"encoder \(BERT\); choose model\.head class") as caught:
        room.run(room.spec("seq2seq"), "refused")
    assert caught.value.field == "model.head"


@pytest.mark.parametrize("head", ["classification", "span-qa"])
def test_a_16_bit_body_trains_a_float32_head(room: Room, head: str) -> None:
    """In bfloat16 the head still moves by steps a 16-bit float could not hold."""
    model = ModelSpec(source=str(room.bert), head=head, dtype="bfloat16")
    saved = []
    for rate in (1e-6, 2e-6):
        spec = room.spec(head, model=model, training={"learning_rate": rate, "max_steps": 1})
        room.run(spec, f"half-{head}-{rate}")
        saved.append(load_file(room.folder / f"half-{head}-{rate}" / "head.safetensors"))
    first, second = saved
    assert {value.dtype for value in first.values()} == {torch.float32}
    weight = next(name for name in first if name.endswith(".weight"))
    assert not torch.equal(first[weight], second[weight])
