"""Promises of runs that choose ranks: never on the test split, resumable, true to the adapter."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from engine.errors import Cancelled, CheckpointError, Diverged, SpecError
from engine.events import (
    CandidateEvaluated,
    Event,
    FileWritten,
    Listener,
    RanksChosen,
    ScoreMeasured,
    SizeMeasured,
)
from engine.experiment import Workspace, run_experiment
from engine.export.rebuilding import RunFiles, rebuild
from engine.initialize import catalogue
from engine.layers.layer_map import apply_map, held
from engine.layers.rank_groups import group_adapters
from engine.layers.swap import LayerPlan, Layers, install
from engine.rank_search import ParentFiles, run_rank_evaluation, run_rank_search
from engine.result import load_result, read_trained, read_widths, restore_start
from engine.specs import (
    DataAware,
    DataSpec,
    ElasticLoraAdapter,
    EvaluationSpec,
    ExperimentSpec,
    IntegerQuantizer,
    LoftQ,
    ModelSpec,
    QatTraining,
    RankEvaluationSpec,
    RankSearchSpec,
    TaskData,
    resolve_child,
)
from engine.stages import widths
from tests.engine.tiny_layers import some_tokens
from tests.tiny_models import make_llama, save_llama
from tests.tolerances import assert_near

SPACE = (4, 2, 1)
ASKED = {"parent": 1, "ranks": [2, 1]}
TOKENS = some_tokens(2, 12)
WORDS = ("seven", "a red stone", "the long river", "not at all")


class Room:
    """A folder with a model, a task, and one finished training with elastic adapters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = save_llama(folder / "model")
        self.task = folder / "task.jsonl"
        rows = [
            {
                "question_stem": f"Question {number} of the quiz asks what",
                "choices": {"text": WORDS, "label": ["A", "B", "C", "D"]},
                "answerKey": "ABCD"[number * 7 % 4],
            }
            for number in range(24)
        ]
        self.task.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        self.text = folder / "text.txt"
        lines = [f"Line {number} is not {number * 3}." for number in range(60)]
        self.text.write_text("\n\n".join(lines), encoding="utf-8")
        self.spec = self.training()
        self.events = self.train(self.spec, "trained")
        self.parent = ParentFiles(
            folder / "trained" / "result.safetensors", folder / "trained" / "rank-history.json"
        )

    def training(self, *, held_out: int = 8, **values: Any) -> ExperimentSpec:
        """Return the spec of a training of a few steps."""
        defaults: dict[str, Any] = {
            "model": ModelSpec(source=str(self.model)),
            "quantizer": IntegerQuantizer(bits=3, group_size=16),
            "adapter": ElasticLoraAdapter(rank_space=SPACE, sub_adapter="maximal"),
            "training": QatTraining(
                objective="task",
                data=TaskData(task="openbookqa", source=str(self.task), held_out=held_out),
                per_device_train_batch_size=4,
                num_train_epochs=3,
                learning_rate=2e-2,
            ),
            "evaluation": EvaluationSpec(
                data=DataSpec(source=str(self.text)), max_length=16, limit=4
            ),
        }
        return ExperimentSpec(**defaults | values)

    def workspace(self, name: str) -> Workspace:
        """Return a run's workspace."""
        return Workspace(self.folder / name, self.folder / "data")

    def train(self, spec: ExperimentSpec, name: str) -> list[Event]:
        """Train; return the events."""
        events: list[Event] = []
        run_experiment(spec, workspace=self.workspace(name), listener=events.append, device="cpu")
        return events

    def rebuild(self, spec: RankEvaluationSpec, result: Path) -> PreTrainedModel:
        """Return the model of an evaluation from its result alone."""
        return rebuild(
            spec,
            RunFiles(result),
            data_folder=self.folder / "data",
            device=torch.device("cpu"),
            listener=lambda _: None,
        ).loaded.model

    def search(
        self,
        name: str,
        *,
        known: dict[tuple[int, ...], CandidateEvaluated] | None = None,
        listener: Listener | None = None,
        parent: ParentFiles | None = None,
        experiment: ExperimentSpec | None = None,
        **values: Any,
    ) -> list[Event]:
        """Search; return the events."""
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if listener is not None:
                listener(event)

        asked = {"parent": 1, "search": {"strategy": "random", "num_evaluations": 6}, **values}
        run_rank_search(
            resolve_child(RankSearchSpec, experiment or self.spec, asked),
            workspace=self.workspace(name),
            listener=listen,
            parent=parent or self.parent,
            known=known or {},
            device="cpu",
        )
        return events

    def evaluate(self, name: str, ranks: tuple[int, ...]) -> list[Event]:
        """Measure given ranks; return the events."""
        events: list[Event] = []
        run_rank_evaluation(
            resolve_child(RankEvaluationSpec, self.spec, {"parent": 1, "ranks": list(ranks)}),
            workspace=self.workspace(name),
            listener=events.append,
            parent=self.parent,
            device="cpu",
        )
        return events


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Return a room with a finished training, for all tests."""
    return Room(tmp_path_factory.mktemp("room"))


def candidates(events: list[Event]) -> list[CandidateEvaluated]:
    """Return what was evaluated, in order."""
    return [event for event in events if isinstance(event, CandidateEvaluated)]


def scores(events: list[Event]) -> dict[str, float]:
    """Return the final scores by metric."""
    return {event.metric: event.value for event in events if isinstance(event, ScoreMeasured)}


def chosen(events: list[Event]) -> tuple[int, ...]:
    """Return the ranks the scores belong to."""
    (found,) = (event.ranks for event in events if isinstance(event, RanksChosen))
    return found


def test_a_search_measures_once_what_it_found_best(room: Room) -> None:
    """Six configurations on the eight held-out examples; the lowest loss is measured, only it."""
    events = room.search("searched")
    found = candidates(events)
    assert len({each.ranks for each in found}) == 6
    assert {each.num_samples for each in found} == {8}
    assert [each.origin for each in found[:3]] == ["maximal", "median", "minimal"]
    best = min(found, key=lambda each: each.value)
    assert chosen(events) == best.ranks
    assert list(scores(events)) == ["perplexity", "kl_divergence", "top1_agreement"]
    assert events.index(found[-1]) < min(
        events.index(event) for event in events if isinstance(event, ScoreMeasured)
    )
    size = 2 * sum(sum(layer.weight.shape) for layer in install_spec(room.spec).values()) // 2
    whole = next(each for each in found if each.ranks == (4, 4))
    assert whole.adapter_parameters == 4 * size
    assert FileWritten("result", "result.safetensors") in events


def install_spec(spec: ExperimentSpec, model: Any = None) -> Any:
    """Install the spec's layers in a tiny Llama."""
    model = model or make_llama()
    model.requires_grad_(requires_grad=False)
    return install(model, LayerPlan(spec.quantizer, spec.adapter, spec.seed))


def test_the_ranks_of_the_training_run_give_its_scores_again(room: Room) -> None:
    """Measuring the maximal ranks afterwards gives the training run's own numbers, bit for bit."""
    assert chosen(room.events) == (4, 4)
    again = room.evaluate("again", (4, 4))
    assert scores(again) == scores(room.events)
    other = room.evaluate("other", (1, 2))
    assert scores(other) != scores(room.events)
    assert candidates(other) == []


def test_an_interrupted_search_goes_on_without_evaluating_anything_twice(room: Room) -> None:
    """Stopped after three and carried out again with those known: same proposals, same choice."""
    whole = room.search("whole")
    seen: list[CandidateEvaluated] = []

    def stop(event: Event) -> None:
        if isinstance(event, CandidateEvaluated):
            seen.append(event)
            if len(seen) == 3:
                raise Cancelled

    with pytest.raises(Cancelled):
        room.search("stopped", listener=stop)
    known = {each.ranks: each for each in seen}
    again = room.search("resumed", known=known)
    assert [each.ranks for each in candidates(again)] == [each.ranks for each in candidates(whole)]
    assert candidates(again)[:3] == seen
    assert [each.value for each in candidates(again)] == [each.value for each in candidates(whole)]
    assert chosen(again) == chosen(whole)


@pytest.mark.parametrize("strategy", ["heuristics", "hill-climbing", "evolutionary"])
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_every_strategy_chooses_the_best_it_saw(room: Room, strategy: str, metric: str) -> None:
    """Of everything that was evaluated the best is kept, of equals the smallest."""
    budget = {} if strategy == "heuristics" else {"num_evaluations": 7}
    events = room.search(
        f"{strategy} {metric}",
        search={"strategy": strategy, **budget},
        objective={"metric": metric, "limit": 5},
    )
    found = candidates(events)
    assert {(each.metric, each.num_samples) for each in found} == {(metric, 5)}
    sign = 1 if metric == "loss" else -1
    best = min(found, key=lambda each: (sign * each.value, each.adapter_parameters))
    assert chosen(events) == best.ranks


def test_what_is_no_number_is_never_chosen(room: Room) -> None:
    """A configuration known to have no loss comes first and loses to every other."""
    first = candidates(room.search("first"))[0]
    known = {first.ranks: replace(first, value=math.nan)}
    events = room.search("no number", known=known)
    found = candidates(events)
    assert math.isnan(found[0].value)
    assert chosen(events) == min(found[1:], key=lambda each: each.value).ranks
    lost = {each.ranks: replace(each, value=math.inf) for each in candidates(events)}
    with pytest.raises(Diverged, match="none of 6 configurations has a finite loss"):
        room.search("no number at all", known=lost)


def test_the_test_split_is_never_looked_at_before_the_choice(room: Room) -> None:
    """Held-out examples are none of the training's; the split test cannot be asked for."""
    with pytest.raises(SpecError, match=r"objective\.split"):
        room.search("test", objective={"split": "test"})
    nothing = room.training(held_out=0)
    with pytest.raises(SpecError, match="held nothing out; train with"):
        room.search("nothing", experiment=nothing)


def test_an_extracted_adapter_gives_the_logits_it_gave_inside(room: Room) -> None:
    """From the file of ranks (2, 1) alone comes a model with the logits of those ranks."""
    room.evaluate("extracted", (2, 1))
    path = room.folder / "extracted" / "result.safetensors"
    inside = make_llama()
    layers = install_spec(room.spec, inside)
    load_result(room.parent.result, layers)
    assert isinstance(room.spec.adapter, ElasticLoraAdapter)
    apply_map(layers, group_adapters(layers, room.spec.adapter).layer_map(layers, (2, 1)))
    alone = room.rebuild(resolve_child(RankEvaluationSpec, room.spec, ASKED), path)
    with torch.no_grad(), held(layers, torch.float32):
        assert_near(alone(input_ids=TOKENS).logits, inside(input_ids=TOKENS).logits)
    pairs = {len(value) for name, value in read_trained(path).items() if name.endswith("adapter.a")}
    assert pairs == {1, 2}
    assert path.stat().st_size < room.parent.result.stat().st_size


def test_what_stands_beside_a_parallel_adapter_comes_from_its_codes(room: Room) -> None:
    """A LoftQ result, whole or cut to its ranks, gives its logits on a model without that start."""
    adapter = ElasticLoraAdapter(
        rank_space=SPACE, rank_policy="fixed", ranks=(2, 1), placement="parallel"
    )
    spec = room.training(adapter=adapter, initialization=LoftQ(iterations=3))
    room.train(spec, "loftq")
    parent = room.folder / "loftq" / "result.safetensors"
    child = resolve_child(RankEvaluationSpec, spec, ASKED)
    run_rank_evaluation(
        child,
        workspace=room.workspace("loftq cut"),
        listener=lambda _: None,
        parent=ParentFiles(parent, None),
        device="cpu",
    )
    whole = make_llama()
    layers = install_spec(spec, whole)
    load_result(parent, layers)
    restore_start(parent, layers)
    apply_map(layers, group_adapters(layers, adapter).layer_map(layers, (2, 1)))
    alone = room.rebuild(child, room.folder / "loftq cut" / "result.safetensors")
    with torch.no_grad(), held(layers, torch.float32):
        expected = whole(input_ids=TOKENS).logits
        assert_near(alone(input_ids=TOKENS).logits, expected)
        assert not torch.equal(make_llama()(input_ids=TOKENS).logits, expected)


def test_a_start_that_ends_elsewhere_is_taken_from_the_codes(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A LoftQ run measured where its start comes out otherwise has its own scores."""
    adapter = ElasticLoraAdapter(
        rank_space=SPACE, rank_policy="fixed", ranks=(2, 1), placement="parallel"
    )
    spec = room.training(adapter=adapter, initialization=LoftQ(iterations=2))
    expected = scores(room.train(spec, "loftq here"))
    start = catalogue.start_loftq

    def start_elsewhere(layers: Layers, *args: Any, **values: Any) -> Any:
        errors = start(layers, *args, **values)
        for layer in layers.values():
            layer.weight.data.mul_(1.1)
        return errors

    monkeypatch.setattr(catalogue, "start_loftq", start_elsewhere)
    found: list[Event] = []
    run_rank_evaluation(
        resolve_child(RankEvaluationSpec, spec, ASKED),
        workspace=room.workspace("loftq there"),
        listener=found.append,
        parent=ParentFiles(room.folder / "loftq here" / "result.safetensors", None),
        device="cpu",
    )
    assert scores(found) == pytest.approx(expected, rel=1e-5)


def test_a_data_aware_start_is_found_again(room: Room) -> None:
    """Compensated start weights are not in the result; a search computes them again, the same."""
    spec = room.training(
        initialization=DataAware(data=DataSpec(source=str(room.text)), num_samples=4, max_length=16)
    )
    events = room.train(spec, "aware")
    parent = ParentFiles(room.folder / "aware" / "result.safetensors", None)
    found: list[Event] = []
    run_rank_evaluation(
        resolve_child(RankEvaluationSpec, spec, {"parent": 1, "ranks": [4, 4]}),
        workspace=room.workspace("aware again"),
        listener=found.append,
        parent=parent,
        device="cpu",
    )
    assert scores(found) == scores(events)


@pytest.mark.parametrize("rule", ["first-layers", "sensitivity"])
def test_a_mix_of_widths_is_taken_from_the_result(
    room: Room, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measuring a run with a fraction of bits installs its widths again, without choosing any."""
    text = DataSpec(source=str(room.text))
    mixing: dict[str, Any] = {"rule": rule}
    if rule == "sensitivity":
        mixing |= {"data": text, "num_samples": 2, "max_length": 16}
    quantizer = IntegerQuantizer.model_validate({"bits": 3.5, "group_size": 16, "mixing": mixing})
    spec = room.training(quantizer=quantizer)
    events = room.train(spec, rule)
    parent = ParentFiles(room.folder / rule / "result.safetensors", None)
    monkeypatch.setattr(widths, "_choose", None)
    found: list[Event] = []
    run_rank_evaluation(
        resolve_child(RankEvaluationSpec, spec, {"parent": 1, "ranks": [4, 4]}),
        workspace=room.workspace(f"{rule} again"),
        listener=found.append,
        parent=parent,
        device="cpu",
    )
    assert len(set(read_widths(parent.result).values())) > 1
    assert read_widths(room.folder / f"{rule} again" / "result.safetensors") == read_widths(
        parent.result
    )
    assert scores(found) == scores(events)


def test_a_result_that_lacks_a_width_is_refused(room: Room) -> None:
    """Widths of other layers are refused with the first layer that has none."""
    quantizer = IntegerQuantizer(bits=3.5, group_size=16, include=("*q_proj",))
    room.train(room.training(quantizer=quantizer), "fewer")
    everywhere = room.training(quantizer=IntegerQuantizer(bits=3.5, group_size=16))
    parent = ParentFiles(room.folder / "fewer" / "result.safetensors", None)
    with pytest.raises(CheckpointError, match=r"lacks the width of .*layers\.0\.self_attn\.k_proj"):
        room.search("fewer again", experiment=everywhere, parent=parent)


def test_adapters_are_not_put_on_other_weights(room: Room, tmp_path: Path) -> None:
    """A model that changed since the training is noticed by its codes, in one sentence."""
    other = save_llama(tmp_path / "other", seed=1)
    spec = room.spec.model_copy(update={"model": ModelSpec(source=str(other))})
    with pytest.raises(CheckpointError, match="is not the one that was trained") as caught:
        run_rank_evaluation(
            resolve_child(RankEvaluationSpec, spec, {"parent": 1, "ranks": [4, 4]}),
            workspace=room.workspace("other weights"),
            listener=lambda _: None,
            parent=room.parent,
            device="cpu",
        )
    assert "% of the integer weights differ" in str(caught.value)


def test_wrong_ranks_and_missing_files_are_one_sentence(room: Room) -> None:
    """A list of the wrong length says both lengths; a result that is gone says what to do."""
    with pytest.raises(SpecError, match=r"ranks: there are 3 ranks for 2 groups of layers"):
        room.evaluate("long", (4, 4, 4))
    gone = ParentFiles(room.folder / "gone.safetensors", None)
    with pytest.raises(CheckpointError, match="result of the training run is gone"):
        room.search("gone", parent=gone)
    foreign = room.folder / "foreign.safetensors"
    foreign.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="missing or damaged"):
        room.search("foreign", parent=ParentFiles(foreign, None))


def test_a_parallel_adapter_is_counted_in_the_size(room: Room) -> None:
    """Beside the weights an adapter weighs two bytes per parameter at the chosen ranks."""
    spec = room.training(
        adapter=ElasticLoraAdapter(
            rank_space=SPACE, rank_policy="fixed", ranks=(2, 1), placement="parallel"
        )
    )
    events = room.train(spec, "parallel")
    (size,) = (event for event in events if isinstance(event, SizeMeasured))
    sides = [0, 0]
    for name, layer in install_spec(spec).items():
        sides[".1." in name] += sum(layer.weight.shape)
    assert size.parts["adapters"] == 2 * (2 * sides[0] + sides[1])
