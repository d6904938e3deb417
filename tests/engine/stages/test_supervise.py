"""Promises of whole runs of other heads: stages, files, scores, resuming, and a clear refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.data.supervised_tasks import GLUE
from engine.errors import Cancelled, CheckpointError, ModelError
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
from engine.export.rebuilding import RunFiles, rebuild
from engine.layers.layer_map import held
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
    NoTraining,
    QatTraining,
    TaskData,
)
from tests.engine.data.mirrors import SUMMARY_COLUMNS, glue_row, squad_row, write_rows, write_squad
from tests.tiny_heads import make_kind, save_bert, save_kind, save_with_tokenizer

STEPS = 3
TASKS = {"classification": "sst2", "span-qa": "squad", "seq2seq": "xsum"}


class Room:
    """A folder with models, a made-up mirror, and the runs made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bert = save_bert(folder / "bert", masked=True)
        self.mirror = folder / "mirror"
        self.rows = rows = [
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

    def stop(self, spec: ExperimentSpec, name: str, *, step: int) -> Path:
        """Carry a run out until its checkpoint of a step; return that file."""
        file = f"checkpoint-{step:08d}.safetensors"

        def cancel(event: Event) -> None:
            if isinstance(event, FileWritten) and event.path == file:
                raise Cancelled

        with pytest.raises(Cancelled):
            self.run(spec, name, listener=cancel)
        return self.folder / name / file

    def count_right(self, spec: ExperimentSpec, name: str, rows: list[dict[str, Any]]) -> int:
        """Count the rows of SST-2 the finished run's model is right about by its classes' names."""
        place = self.folder / name
        files = RunFiles(place / "result.safetensors", place / "head.safetensors")
        built = rebuild(
            spec, files, data_folder=place, device=torch.device("cpu"), listener=lambda _: None
        )
        model, tokenizer = built.loaded.model, built.loaded.tokenizer
        said = []
        with held(built.layers, torch.float32), torch.no_grad():
            for row in rows:
                logits = model(**tokenizer(row["sentence"], return_tensors="pt")).logits
                said.append(model.config.id2label[int(logits.argmax())].lower())
        return sum(
            name == GLUE["sst2"].labels[row["label"]] for name, row in zip(said, rows, strict=True)
        )

    def run(
        self,
        spec: ExperimentSpec,
        name: str,
        *,
        resume_from: Path | None = None,
        listener: Listener | None = None,
        mirror: Path | None = None,
    ) -> list[Event]:
        """Carry a run out in a folder of that name; return what it announced."""
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if listener is not None:
                listener(event)

        workspace = Workspace(
            self.folder / name,
            self.folder / "data",
            mirror or self.mirror,
            resume_from=resume_from,
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
    right = room.count_right(room.spec(), "finished", room.rows[:6])
    assert {name: score.value for name, score in found.items()} == {"accuracy": right / 6}
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
    name = f"stopped-{step}"
    spec = room.spec(evaluation={"before_training": True})
    events = room.run(spec, name, resume_from=room.stop(spec, name, step=step))
    assert [score.phase for score in scores(events)] == ["final"] * len(scores(events))
    for file in ("result.safetensors", "head.safetensors"):
        found, expected = (load_file(room.folder / each / file) for each in (name, "finished"))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected), file
    assert [s.value for s in scores(events)] == [s.value for s in scores(finished)]


def test_a_resumed_summarizer_ends_where_it_would_have(room: Room) -> None:
    """So does an encoder-decoder; another summary length is another training, other beams are not.

    Summaries are cut to that length where they are learned, too.
    """
    source = save_kind(room.folder / "resumed-t5", "t5", "seq2seq", num_decoder_layers=2)

    def spec(**evaluation: Any) -> ExperimentSpec:
        model = ModelSpec(source=str(source), head="seq2seq")
        return room.spec("seq2seq", model=model, evaluation={"max_new_tokens": 3, **evaluation})

    whole = room.run(spec(num_beams=2), "whole-summaries")
    path = room.stop(spec(), "stopped-summaries", step=2)
    with pytest.raises(CheckpointError):
        room.run(spec(max_new_tokens=4), "stopped-summaries", resume_from=path)
    events = room.run(spec(num_beams=2), "stopped-summaries", resume_from=path)
    found, expected = (
        load_file(room.folder / each / "result.safetensors")
        for each in ("stopped-summaries", "whole-summaries")
    )
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert [s.value for s in scores(events)] == [s.value for s in scores(whole)]


def test_classes_in_another_order_are_learned_and_measured_by_name(room: Room) -> None:
    """A checkpoint's classes in another order are the task's: measured, trained and rebuilt."""
    names = ("POSITIVE", "NEGATIVE")
    model = make_kind(
        "bert", "classification", id2label=dict(enumerate(names)),
        label2id={name: place for place, name in enumerate(names)},
    )  # fmt: skip
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([9.0, -9.0]))
    source = save_with_tokenizer(model, room.folder / "positive")
    mirror, rows = room.folder / "all-positive", [{**row, "label": 1} for row in room.rows]
    for split in ("train", "validation"):
        write_rows(mirror / "nyu-mll" / "glue" / "sst2" / f"{split}.jsonl", *rows)
    trained = room.spec(
        model=ModelSpec(source=str(source), head="classification"),
        evaluation={"benchmarks": ("sst2",), "before_training": True},
        training={"max_steps": 1, "learning_rate": 1e-9},
    )
    untrained = trained.model_copy(update={"training": NoTraining()})
    for spec, name in ((trained, "positive-trained"), (untrained, "positive-untrained")):
        events = room.run(spec, name, mirror=mirror)
        assert {score.value for score in scores(events)} == {1.0}
        assert room.count_right(spec, name, rows) == len(rows)
        bias = load_file(room.folder / name / "head.safetensors")["classifier.bias"]
        torch.testing.assert_close(bias, torch.tensor([-9.0, 9.0]))


@pytest.mark.parametrize(
    ("head", "kind", "values", "limit"),
    [
        ("classification", "bert", {"max_position_embeddings": 32}, 32),
        ("classification", "roberta", {"max_position_embeddings": 34, "pad_token_id": 1}, 32),
        ("span-qa", "roberta", {"max_position_embeddings": 34, "pad_token_id": 1}, 32),
        ("seq2seq", "bart", {"max_position_embeddings": 24}, 24),
    ],
)  # fmt: skip
def test_rows_are_no_longer_than_the_model_reads(
    room: Room, tmp_path: Path, head: str, kind: str, *, values: dict[str, int], limit: int
) -> None:
    """Where only the model knows its limit, rows are cut there in training and measuring; told."""
    source = save_kind(tmp_path / "model", kind, head, **values)
    path = source / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["model_max_length"]
    path.write_text(json.dumps(config))
    mirror, xsum = tmp_path / "mirror", SUMMARY_COLUMNS["xsum"]
    rows = [{**row, "sentence": "good fun " * 60} for row in room.rows[:2]]
    texts = [{xsum[1]: "It rained. " * 60, xsum[2]: "rain " * 60}] * 2
    for split in ("train", "validation", "test"):
        write_rows(mirror / "nyu-mll" / "glue" / "sst2" / f"{split}.jsonl", *rows)
        write_rows(mirror / xsum[0] / f"{split}.jsonl", *texts)
    asked = [squad_row("Where does it rise?", "the Alps"), squad_row("Its end?", "North Sea")]
    write_squad(mirror, train=asked, validation=asked)
    long = {"max_length": 512}
    spec = room.spec(
        head, model=ModelSpec(source=str(source), head=head), training=long, evaluation=long
    )
    events = room.run(spec, f"long-{kind}-{head}", mirror=mirror)
    told = [event.message for event in events if isinstance(event, Logged)]
    for part in ("training", "evaluation"):
        sentence = f"{part}.max_length is taken as {limit} instead of 512"
        assert sum(message.startswith(sentence) for message in told) == 1
    assert {score.benchmark for score in scores(events)} == {TASKS[head]}


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


def test_calibration_windows_are_no_longer_than_the_model_reads(room: Room) -> None:
    """Windows of 512 tokens are cut to the 96 an encoder has positions for, and the log says so."""
    spec = room.spec(
        "span-qa",
        model=ModelSpec(source=str(room.bert), head="span-qa"),
        initialization=DataAware(
            data=DataSpec(source=str(room.text)), num_samples=2, max_length=512
        ),
    )
    events = room.run(spec, "long-windows")
    said = [event.message for event in events if isinstance(event, Logged)]
    assert "calibration windows are 96 tokens, the model's longest" in said
    assert scores(events)


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
