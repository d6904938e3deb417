"""Promises of the specs of elastic adapters, of task data, and of runs that build on another."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SpecError
from engine.specs import (
    ElasticLoraAdapter,
    ExperimentSpec,
    QatTraining,
    RankEvaluationSpec,
    RankSearchSpec,
    TaskData,
    TextData,
    load_spec,
    parse_yaml,
    resolve,
    resolve_child,
    to_yaml,
)


def nls(*overrides: str) -> ExperimentSpec:
    """Return the spec of a training with elastic adapters."""
    return resolve({"preset": "qat-nls"}, overrides).spec


def refusal(*overrides: str) -> str:
    """Return the sentence with which such a training is refused."""
    with pytest.raises(SpecError) as caught:
        nls(*overrides)
    return str(caught.value)


def test_the_preset_is_a_point_on_the_axes() -> None:
    """qat-nls trains an elastic adapter on a task and holds examples out to choose ranks on."""
    spec = nls()
    assert isinstance(spec.adapter, ElasticLoraAdapter)
    assert isinstance(spec.training, QatTraining)
    assert isinstance(spec.training.data, TaskData)
    assert spec.training.data.held_out == 200
    assert spec.training.data.loss_on == "answer"
    assert spec.evaluation.benchmarks == ("openbookqa",)
    assert spec.adapter.max_rank == 16


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("adapter.rank_space=[]", "adapter.rank_space: must be whole numbers"),
        ("adapter.rank_space=[8, 16]", "the largest first, such as 16, 12, 8"),
        ("adapter.rank_space=[8, 8]", "the largest first"),
        ("adapter.rank_space=[16, 0]", "from 1 to 4096"),
        ("adapter.rank_space=[many]", "adapter.rank_space"),
        ("training.data.task=arc_chalenge", "did you mean arc_challenge?"),
        ("training.data.task=chess", "choose 'openbookqa', "),
        ("training.data.heldout=3", "did you mean held_out?"),
        ("training.data.held_out=-1", "training.data.held_out"),
        ("training.method=none", "training.method"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_accepted(override: str, words: str) -> None:
    """An empty, unsorted or foreign rank space and an unknown task are one sentence each."""
    sentence = refusal(override)
    assert words in sentence
    assert "\n" not in sentence


def test_fixed_ranks_come_from_the_space() -> None:
    """A rank that is not in the space, and ranks without the fixed policy, are refused at ranks."""
    sentence = refusal("adapter.rank_policy=fixed", "adapter.ranks=[3]")
    assert sentence.startswith("adapter.ranks: 3 is not in the rank space 16, 12, 8")
    assert refusal("adapter.ranks=[16]").startswith("adapter.ranks: are kept only with rank_policy")
    assert refusal("adapter.rank_space=[8, 16]", "adapter.ranks=[]").count(": ") == 1


@pytest.mark.parametrize("field", ["adapter.rank_space", "evaluation.benchmarks"])
def test_a_list_is_asked_for_by_example(field: str) -> None:
    """One word where a list is wanted is told how a list is written."""
    assert refusal(f"{field}=16x8") == (
        f"{field}: must be a list, such as [16, 8] or one per line, not '16x8'"
    )


def test_data_without_a_kind_is_text() -> None:
    """Specs from before tasks could be trained on read as they were meant."""
    spec = resolve({"preset": "qat-lora", "training": {"data": {"source": "book.txt"}}}).spec
    assert isinstance(spec.training, QatTraining)
    assert spec.training.data == TextData(source="book.txt")


def test_another_kind_of_data_drops_the_presets_fields() -> None:
    """Text in place of the preset's task is text alone."""
    spec = resolve(
        {"preset": "qat-nls", "training": {"data": {"kind": "text", "source": "book.txt"}}}
    ).spec
    assert isinstance(spec.training, QatTraining)
    assert spec.training.data == TextData(source="book.txt")


CHILDREN: tuple[tuple[Any, dict[str, Any]], ...] = (
    (RankSearchSpec, {"search": {"strategy": "evolutionary", "num_evaluations": 7}}),
    (RankEvaluationSpec, {"ranks": [16, 8]}),
)


@pytest.mark.parametrize(("kind", "values"), CHILDREN)
def test_a_child_reads_alone_and_comes_back(kind: Any, values: dict[str, Any]) -> None:
    """It holds its training run's axes and setting, and survives the store and YAML."""
    parent = nls("evaluation.limit=3", "seed=9")
    spec = resolve_child(kind, parent, {"parent": 12, **values})
    assert (spec.parent, spec.seed, spec.evaluation.limit) == (12, 9, 3)
    assert (spec.model, spec.quantizer, spec.adapter, spec.training) == (
        parent.model,
        parent.quantizer,
        parent.adapter,
        parent.training,
    )
    assert load_spec(spec.model_dump(mode="json")) == spec
    assert load_spec(parse_yaml(to_yaml(spec))) == spec
    assert load_spec(parent.model_dump(mode="json")) == parent


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (RankSearchSpec, {"parent": 1, "model": {}}, "model: is the training run's; leave it out"),
        (RankSearchSpec, {}, "parent: field required"),
        (RankSearchSpec, {"parent": 1, "search": {"strategy": "luck"}}, "search.strategy"),
        (RankSearchSpec, {"parent": 1, "objective": {"split": "test"}}, "objective.split"),
        (RankSearchSpec, {"parent": 1, "serch": {}}, "did you mean search?"),
        (RankEvaluationSpec, {"parent": 1, "ranks": []}, "ranks"),
        (RankEvaluationSpec, {"parent": 1, "ranks": ["big"]}, "ranks"),
    ],
)
def test_a_wrong_child_is_refused(kind: Any, values: dict[str, Any], words: str) -> None:
    """Fields of the training run, unknown ones and the test split are refused by name."""
    with pytest.raises(SpecError) as caught:
        resolve_child(kind, nls(), values)
    assert words in str(caught.value)
