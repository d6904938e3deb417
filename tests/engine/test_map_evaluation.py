"""Promises of one model measured at many layer maps: same rows, own scores again, resumable."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Cancelled, CheckpointError, SpecError
from engine.events import Event, FileWritten, Listener, Logged, MapScored, Progressed, ScoreMeasured
from engine.experiment import Workspace, run_experiment
from engine.map_evaluation import ParentFiles, run_map_evaluation
from engine.specs import ExperimentSpec, MapEvaluationSpec, resolve, resolve_child
from tests.engine.data.mirrors import glue_row, squad_row, write_rows, write_squad
from tests.tiny_heads import save_bert
from tests.tiny_models import save_llama

WIDTHS = (8, 4, 2)
STEPS = {"method": "qat", "max_steps": 2, "learning_rate": 1e-2}
SWITCHABLE = {"bit_policy": {"policy": "switchable", "widths": list(WIDTHS)}}
ROUNDED = {"grid": "integer", "bits": 4, "group_size": 16}
NEAREST = {"kind": "lora-bank", "r": 2, "fallback": "nearest"}
ATTACK = {"attack": "gbda", "num_samples": 4, "num_steps": 2, "num_gradient_samples": 2,
          "num_tries": 3}  # fmt: skip


def uniform(*widths: int) -> list[dict[str, Any]]:
    return [{"map": "uniform", "bits": bits} for bits in widths]


class Room:
    """A folder with tiny models, their data, and the trainings made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.llama = save_llama(folder / "llama")
        self.bert = save_bert(folder / "bert", masked=True)
        self.mirror = folder / "mirror"
        self.text = folder / "text.txt"
        lines = [f"Line {number} is not {number * 3}." for number in range(60)]
        self.text.write_text("\n\n".join(lines), encoding="utf-8")
        rows = [
            glue_row("sst2", number, sentence=f"{'good fun' if number % 2 else 'a bore'} {number}")
            for number in range(12)
        ]
        for split, chosen in (("train", rows), ("validation", rows[:6])):
            write_rows(self.mirror / "nyu-mll" / "glue" / "sst2" / f"{split}.jsonl", *chosen)
        asked = [squad_row("Where does it rise?", "the Alps"), squad_row("Its end?", "North Sea")]
        write_squad(self.mirror, train=asked * 3, validation=asked)
        self._trained: dict[str, tuple[ExperimentSpec, list[Event], ParentFiles]] = {}

    def train(self, **values: Any) -> tuple[ExperimentSpec, list[Event], ParentFiles]:
        """Return a finished training of such a spec, its events and what it left behind."""
        key = json.dumps(values, sort_keys=True)
        if key not in self._trained:
            name = f"trained-{len(self._trained)}"
            spec = resolve(values).spec
            events: list[Event] = []
            run_experiment(
                spec, workspace=self.workspace(name), listener=events.append, device="cpu"
            )
            head = self.folder / name / "head.safetensors"
            files = ParentFiles(
                self.folder / name / "result.safetensors", None, head if head.exists() else None
            )
            self._trained[key] = spec, events, files
        return self._trained[key]

    def language(self, **values: Any) -> tuple[ExperimentSpec, list[Event], ParentFiles]:
        """Train the Llama for two steps."""
        training = {**STEPS, "data": {"source": str(self.text)}, "max_length": 16}
        training |= values.pop("training", {})
        if training["method"] == "none":
            training = {"method": "none"}
        evaluation = {"data": {"source": str(self.text)}, "max_length": 16, "limit": 3}
        given = {
            "model": {"source": str(self.llama)},
            "quantizer": ROUNDED,
            "adapter": {"kind": "lora", "r": 2},
            "training": training,
            "evaluation": evaluation,
        }
        return self.train(**given | values)

    def head(
        self, head: str = "classification", task: str = "sst2", **values: Any
    ) -> tuple[ExperimentSpec, list[Event], ParentFiles]:
        """Train the BERT with a head for two steps."""
        data = {"kind": "task", "task": task}
        training = {**STEPS, "objective": "task", "data": data, "max_length": 32}
        training |= values.pop("training", {})
        given = {
            "model": {"source": str(self.bert), "head": head},
            "quantizer": ROUNDED,
            "adapter": {"kind": "lora", "r": 2},
            "training": training,
            "evaluation": {"max_length": 32, "divergence": False},
        }
        return self.train(**given | values)

    def workspace(self, name: str) -> Workspace:
        """Return a run's workspace."""
        return Workspace(self.folder / name, self.folder / "data", self.mirror)

    def measure(
        self,
        trained: tuple[ExperimentSpec, list[Event], ParentFiles],
        name: str,
        *,
        done: Iterable[int] = (),
        listener: Listener | None = None,
        files: ParentFiles | None = None,
        **asked: Any,
    ) -> list[Event]:
        """Measure a training at maps; return what was announced."""
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if listener is not None:
                listener(event)

        run_map_evaluation(
            resolve_child(MapEvaluationSpec, trained[0], {"parent": 1, **asked}),
            workspace=self.workspace(name),
            listener=listen,
            parent=files or trained[2],
            device="cpu",
            done=frozenset(done),
        )
        return events


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Return a room for all tests."""
    return Room(tmp_path_factory.mktemp("maps"))


def scores(events: list[Event], label: str) -> dict[str, float]:
    """Return what was measured at a map, by metric."""
    return {
        event.metric: event.value
        for event in events
        if isinstance(event, MapScored) and event.label == label
    }


def own_scores(events: list[Event]) -> dict[str, float]:
    """Return a training run's own final scores by metric."""
    return {
        event.metric: event.value
        for event in events
        if isinstance(event, ScoreMeasured) and event.phase == "final"
    }


def widths(events: list[Event]) -> dict[str, tuple[float, float]]:
    """Return nominal and effective bits by label."""
    return {
        event.label: (event.bits, event.effective_bits)
        for event in events
        if isinstance(event, MapScored)
    }


PARENTS: dict[str, dict[str, Any]] = {
    "static": {},
    "symmetric per channel": {
        "quantizer": {"grid": "integer", "bits": 4, "granularity": "channel", "symmetry": "narrow"}
    },
    "no adapter": {"adapter": {"kind": "none"}, "training": {"range_learning_rate": 1e-3}},
    "codebook": {
        "quantizer": {"grid": "normal-float", "bits": 4, "group_size": 16},
        "adapter": {"kind": "lora", "r": 2, "placement": "parallel"},
    },
    "untrained": {
        "adapter": {"kind": "none"},
        "training": {"method": "none"},
        "initialization": {"method": "minimal-error"},
    },
    "switchable": {"training": SWITCHABLE},
    "bank": {"training": SWITCHABLE, "adapter": NEAREST},
    "parallel bank": {"training": SWITCHABLE, "adapter": {**NEAREST, "placement": "parallel"}},
    "elastic": {
        "training": SWITCHABLE,
        "adapter": {"kind": "elastic-lora", "rank_space": [4, 2, 1]},
    },
    "inputs and cache": {
        "quantizer": {
            **ROUNDED, "inputs": {"rounding": "layer"}, "cache": {"rounding": "layer"},
        },
        "training": SWITCHABLE,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", PARENTS)
def test_the_own_width_gives_the_own_scores_again(room: Room, kind: str) -> None:
    """Whatever was trained, its width measured again is what the training run said of itself."""
    trained = room.language(**PARENTS[kind])
    events = room.measure(trained, f"own {kind}", maps=uniform(8, 4, 3))
    assert scores(events, "4 bits") == pytest.approx(own_scores(trained[1]), rel=1e-6)
    assert set(scores(events, "3 bits")) == {"perplexity", "kl_divergence", "top1_agreement"}
    assert scores(events, "3 bits") != scores(events, "4 bits")
    assert scores(events, "8 bits")["kl_divergence"] < scores(events, "3 bits")["kl_divergence"]


def test_sixteen_bits_without_an_adapter_are_the_original(room: Room) -> None:
    """Nothing is left of the rounding: the divergence from the 16-bit model is zero."""
    trained = room.language(**PARENTS["no adapter"])
    events = room.measure(trained, "sixteen", maps=uniform(16))
    found = scores(events, "16 bits")
    assert found["kl_divergence"] == pytest.approx(0, abs=1e-6)
    assert found["top1_agreement"] == 1
    assert widths(events) == {"16 bits": (16.0, 16.0)}


def test_all_maps_are_measured_on_the_same_rows(room: Room) -> None:
    """Every score has its map's name and place, the same samples, and a line in the log."""
    trained = room.language(training=SWITCHABLE)
    events = room.measure(trained, "rows", maps=uniform(8, 4))
    found = [event for event in events if isinstance(event, MapScored)]
    assert [(each.place, each.label) for each in found] == [(0, "8 bits")] * 3 + [(1, "4 bits")] * 3
    own = {event.metric: event for event in trained[1] if isinstance(event, ScoreMeasured)}
    for each in found:
        assert (each.benchmark, each.num_samples, each.direction, each.limited) == (
            own[each.metric].benchmark,
            own[each.metric].num_samples,
            own[each.metric].direction,
            own[each.metric].limited,
        )
    lines = [event.message for event in events if isinstance(event, Logged)]
    assert any(line.startswith("4 bits: perplexity ") and " ± " in line for line in lines)
    assert not any(isinstance(event, ScoreMeasured) for event in events)


def test_widths_are_told_with_their_scales(room: Room) -> None:
    """Nominal bits, and those with a scale of 16 bits and a zero point for every 16 weights."""
    maps = [
        *uniform(8, 4),
        {"map": "layers", "name": "half", "layer_bits": ["*.layers.0.*=16", "*.layers.1.*=4"]},
        {"map": "random", "widths": [8, 4], "weights": [3, 1]},
    ]
    events = room.measure(room.language(training=SWITCHABLE), "widths", maps=maps)
    eight, four = 8 + (16 + 8) / 16, 4 + (16 + 4) / 16
    found = widths(events)
    assert found["8 bits"] == (8.0, pytest.approx(eight))
    assert found["4 bits"] == (4.0, pytest.approx(four))
    assert found["half"] == (10.0, pytest.approx((16 + four) / 2))
    assert found["random 8, 4 (3, 1)"] == (7.0, pytest.approx(0.75 * eight + 0.25 * four))


def test_a_named_map_leaves_other_layers_their_own_width(room: Room) -> None:
    """The parent's layer map counts where the map's lines say nothing else."""
    lines = ["*.down_proj=8"]
    trained = room.language(quantizer={**ROUNDED, "layer_bits": lines})
    maps = [
        {"map": "layers", "name": "as it was", "layer_bits": ["*.q_proj=4"]},
        {"map": "layers", "name": "uniform", "layer_bits": ["*=4"]},
        *uniform(4),
    ]
    events = room.measure(trained, "named", maps=maps)
    assert scores(events, "as it was") == pytest.approx(own_scores(trained[1]), rel=1e-6)
    assert scores(events, "uniform") == scores(events, "4 bits")
    assert scores(events, "uniform") != scores(events, "as it was")


def test_a_map_can_round_inputs_and_cache_that_the_training_left(room: Room) -> None:
    """W4A16 is the run itself; fewer bits for what flows through are worse."""
    trained = room.language(training=SWITCHABLE)
    maps = [
        {"map": "layers", "name": "weights", "layer_bits": ["*=W4A16KV16"]},
        {"map": "layers", "name": "inputs", "layer_bits": ["*=W4A2"]},
        {"map": "layers", "name": "cache", "layer_bits": ["*=W4KV2"]},
    ]
    events = room.measure(trained, "flow", maps=maps)
    found = {label: scores(events, label)["kl_divergence"] for label in widths(events)}
    assert scores(events, "weights") == pytest.approx(own_scores(trained[1]), rel=1e-6)
    assert found["inputs"] > found["weights"]
    assert found["cache"] != pytest.approx(found["weights"], rel=1e-4)


def test_a_cache_is_rounded_by_a_map_alone(room: Room) -> None:
    """KV4 on a parent that never rounded its cache changes the scores; KV16 does not."""
    trained = room.language(**PARENTS["static"])
    lines = {"plain": "*=4", "whole": "*=W4KV16", "four": "*=W4KV4", "inputs": "*=W4A8"}
    maps = [{"map": "layers", "name": name, "layer_bits": [line]} for name, line in lines.items()]
    events = room.measure(trained, "cache", maps=maps)
    own = own_scores(trained[1])
    assert scores(events, "plain") == pytest.approx(own, rel=1e-6)
    assert scores(events, "whole") == scores(events, "plain")
    for name in ("four", "inputs"):
        assert scores(events, name)["kl_divergence"] != pytest.approx(
            own["kl_divergence"], rel=1e-6
        )
    alone = room.measure(trained, "no cache", maps=maps[:2])
    assert scores(alone, "whole") == scores(events, "plain")


def test_random_precision_lies_between_its_widths_and_repeats(room: Room) -> None:
    """The same seed gives the same scores; a draw of one width is that width."""
    trained = room.language(training=SWITCHABLE)
    maps = [
        *uniform(8, 2),
        {"map": "random", "widths": [8, 2], "scope": "layer"},
        {"map": "random", "widths": [2]},
    ]
    events = room.measure(trained, "random", maps=maps)
    again = room.measure(trained, "random again", maps=maps)
    label = "random 8, 2 by layer"
    assert scores(events, label) == scores(again, label)
    found = {name: scores(events, name)["kl_divergence"] for name in widths(events)}
    assert found["8 bits"] < found[label] < found["2 bits"]
    assert scores(events, "random 2") == scores(events, "2 bits")


def test_a_stopped_evaluation_goes_on_where_it_was(room: Room) -> None:
    """What is done is not measured again; the rest is as in one go, and so is the progress."""
    trained = room.language(training=SWITCHABLE)
    maps = [*uniform(8, 4), {"map": "random"}]
    whole = room.measure(trained, "whole", maps=maps)

    def stop(event: Event) -> None:
        if isinstance(event, MapScored) and event.place == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        room.measure(trained, "stopped", maps=maps, listener=stop)
    rest = room.measure(trained, "rest", maps=maps, done=[0])
    assert {event.place for event in rest if isinstance(event, MapScored)} == {1, 2}
    for label in ("4 bits", "random 8, 6, 4"):
        assert scores(rest, label) == scores(whole, label)
    steps = [event for event in whole if isinstance(event, Progressed) and event.stage == "maps"]
    assert {step.total for step in steps} == {9}
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == 9
    left = [event for event in rest if isinstance(event, Progressed) and event.stage == "maps"]
    assert (left[0].done, left[-1].done) == (3, 9)


@pytest.mark.parametrize(("head", "task"), [("classification", "sst2"), ("span-qa", "squad")])
def test_a_head_is_measured_at_every_map(room: Room, head: str, task: str) -> None:
    """With the head that was trained; its own width gives its own scores."""
    trained = room.head(head, task, training=SWITCHABLE)
    events = room.measure(trained, f"head {head}", maps=[*uniform(8, 4), {"map": "random"}])
    assert scores(events, "4 bits") == own_scores(trained[1])
    assert set(scores(events, "random 8, 6, 4")) == set(own_scores(trained[1]))
    gone = ParentFiles(trained[2].result, None, None)
    with pytest.raises(CheckpointError, match="the trained head of the training run is gone"):
        room.measure(trained, "no head", maps=uniform(4), files=gone)


def test_a_classifier_is_attacked_at_every_map(room: Room) -> None:
    """After the clean scores, with the texts beside them, and the same for the same seed."""
    trained = room.head(training=SWITCHABLE)
    maps = [*uniform(4), {"map": "random", "widths": [8, 4]}]
    events = room.measure(trained, "attacked", maps=maps, attack=ATTACK)
    for place, label in enumerate(("4 bits", "random 8, 4")):
        found = [event for event in events if isinstance(event, MapScored) and event.label == label]
        attacked = {each.metric: each for each in found if each.benchmark == "sst2 attack"}
        assert found[0].benchmark == "sst2"
        assert {
            each.num_samples for each in attacked.values() if each.metric != "token_change_rate"
        } == {4}
        assert attacked["adversarial_accuracy"].value <= attacked["accuracy"].value
        assert FileWritten("report", f"adversarial-{place}.json") in events
        told = json.loads((room.folder / "attacked" / f"adversarial-{place}.json").read_text())
        assert (told["map"], len(told["texts"])) == (label, 4)
    again = room.measure(trained, "attacked again", maps=maps, attack=ATTACK)
    assert scores(again, "random 8, 4") == scores(events, "random 8, 4")


def test_an_attack_counts_as_many_units_as_it_costs(room: Room) -> None:
    """In passes: 6 questions, then 4 texts of 2 steps, 2 samples there and back, and 3 tries."""
    trained = room.head(training=SWITCHABLE)
    plain = {**ATTACK, "similarity_weight": 0, "fluency_weight": 0}
    for attack, texts in ((plain, 4 * (2 * 2 * 2 + 3)), (ATTACK, 4 * (2 * 2 * 4 + 3))):
        events = room.measure(trained, f"units {texts}", maps=uniform(8, 4), attack=attack)
        told = [event for event in events if isinstance(event, Progressed)]
        steps = [event.done for event in told if event.stage == "maps"]
        assert {event.total for event in told if event.stage == "maps"} == {2 * (6 + texts)}
        assert steps == sorted(steps)
        assert steps[-1] == 2 * (6 + texts)
        assert max(after - before for before, after in pairwise(steps)) <= texts // 2


@pytest.mark.parametrize(
    ("parent", "asked", "sentence"),
    [
        ({}, {"maps": uniform(4, 4)}, "maps: 2 maps are called '4 bits'"),
        (
            {},
            {
                "maps": [
                    {"map": "layers", "name": name, "layer_bits": ["*=4"]} for name in ("a ", "a")
                ]
            },
            "maps: 2 maps are called 'a'",
        ),
        (
            {"training": SWITCHABLE, "adapter": {"kind": "lora-bank", "r": 2}},
            {"maps": uniform(8, 3)},
            "adapter.fallback: 3 bits have no adapter of their own in run 1",
        ),
        (
            {
                "quantizer": {"grid": "normal-float", "bits": 4, "group_size": 16},
                "adapter": {"kind": "lora", "r": 2, "placement": "parallel"},
                "initialization": {"method": "loftq", "iterations": 1},
            },
            {"maps": uniform(4, 16)},
            "maps: loftq made the weights of run 1 for 4 bits, not for 16",
        ),
        (
            {},
            {"maps": [{"map": "layers", "name": "a", "layer_bits": ["*.0.mlp.up=4"]}]},
            "maps: there is no quantized layer",
        ),
        (
            {"quantizer": {**ROUNDED, "layer_bits": ["*.q_proj=16"]}},
            {"maps": [{"map": "layers", "name": "a", "layer_bits": ["*=4"]}]},
            "maps: in a, model.layers.0.self_attn.q_proj has 4 bits, and run 1 left it at 16",
        ),
        ({}, {"maps": uniform(4), "attack": ATTACK}, "attack.attack: gbda attacks classifiers"),
        (
            {"quantizer": {"grid": "float"}, "training": {"objective": "task"}},
            {"maps": uniform(4)},
            "parent: leaves its model at 16 bits",
        ),
    ],
)
def test_what_cannot_be_measured_is_told(
    room: Room, parent: dict[str, Any], asked: dict[str, Any], sentence: str
) -> None:
    """One sentence at the field, before any map is measured."""
    trained = room.language(**parent)
    events: list[Event] = []
    with pytest.raises(SpecError) as refused:
        room.measure(trained, "refused", listener=events.append, **asked)
    assert str(refused.value).startswith(sentence)
    assert not any(isinstance(event, MapScored) for event in events)


def test_a_result_that_is_gone_is_told(room: Room) -> None:
    """Nothing is measured without what was trained."""
    gone = ParentFiles(room.folder / "nowhere.safetensors", None)
    with pytest.raises(CheckpointError, match="the result of the training run is gone"):
        room.measure(room.language(), "gone", maps=uniform(4), files=gone)
