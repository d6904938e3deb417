"""Classes: rows as the model takes them, answers of every split, and heads of other kinds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForSequenceClassification

from engine.data.supervised_tasks import GLUE
from engine.errors import DataError, SpecError
from engine.specs import EvaluationSpec, ExperimentSpec, ModelSpec
from engine.supervised.catalogue import load_family
from engine.supervised.classification import Classification, ask
from engine.supervised.token_rows import encode, padding_id
from tests.engine.data.mirrors import GLUE_TEXTS, glue_row, write_glue, write_rows
from tests.engine.supervised.tiny import (
    load,
    make_classifier,
    make_decoder_tokenizer,
    make_encoder_tokenizer,
)

WORDS = ["sentence sentence1 sentence2 question1 question2 premise hypothesis question says things"]
NUMBERS = [" ".join(map(str, range(12)))]


def tokenizer() -> Any:
    return make_encoder_tokenizer([*WORDS, *NUMBERS])


class Knower(nn.Module):
    """A model that reads the class off the last number in the text, for any order of classes."""

    def __init__(self, tokens: Any, task: str, label2id: dict[str, int] | None = None) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.tokens, self.task = tokens, task
        self.config = SimpleNamespace(label2id=label2id, pad_token_id=0)

    def forward(self, input_ids: Tensor, **_: Any) -> Any:
        names = GLUE[self.task].labels
        logits = torch.zeros(len(input_ids), len(names) or 1)
        for row, text in enumerate(self.tokens.batch_decode(input_ids, skip_special_tokens=True)):
            label = glue_row(self.task, int(text.split()[-2]))["label"]
            if not names:
                logits[row] = label
                continue
            place = self.config.label2id[names[label]] if self.config.label2id else label
            logits[row, place] = 1.0
        return SimpleNamespace(logits=logits)


@pytest.mark.parametrize("name", GLUE)
def test_a_model_that_knows(tmp_path: Path, name: str) -> None:
    """A model that is right about every example scores 1 in all metrics of every task."""
    splits = tuple(GLUE[name].measured)
    write_glue(tmp_path, name, **dict.fromkeys(splits, 11))
    spec, family = load(tmp_path, name, name, per_device_eval_batch_size=4)
    words, told = tokenizer(), list[tuple[int, int]]()
    scores = family.evaluate(
        Knower(words, name), words, spec=spec.evaluation, phase="final",
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert {round(score.value, 9) for score in scores} == {1.0}
    assert {score.num_samples for score in scores} == {11}
    assert family.num_labels == (len(GLUE[name].labels) or 1)
    assert told == sorted(told)
    assert told[-1] == (11 * len(splits),) * 2 == (family.num_questions,) * 2
    if name == "mnli":
        assert [score.metric for score in scores] == ["accuracy", "accuracy (mismatched)"]
        assert [score.details["split"] for score in scores] == list(splits)


def test_classes_in_another_order(tmp_path: Path) -> None:
    """A head is read by the names of its classes, trained here or not, and otherwise by number."""
    write_glue(tmp_path, "mnli", validation_matched=9, validation_mismatched=9, train=9)
    words = tokenizer()
    order = {"CONTRADICTION": 0, "neutral": 1, "Entailment": 2}
    lower = {name.lower(): place for name, place in order.items()}
    ask = {"phase": "final", "progress": lambda *_: None}
    spec, family = load(tmp_path, "mnli", "mnli")
    known = Knower(words, "mnli", lower)
    known.config.label2id = lower
    first, _ = family.evaluate(known, words, spec=spec.evaluation, **ask)
    assert first.value == 1.0
    spec, family = load(tmp_path, "mnli", "mnli", data={})
    for model in (known, Knower(words, "mnli")):
        first, _ = family.evaluate(model, words, spec=spec.evaluation, **ask)
        assert first.value == 1.0


def test_rows(tmp_path: Path) -> None:
    """A batch has ids, types, mask and labels, filled up to its longest; held-out rows are gone."""
    write_glue(tmp_path, "mrpc", train=9, validation=1)
    _, family = load(tmp_path, "mrpc", data={"held_out": 3})
    rows = family.training_rows(tokenizer(), max_length=64)
    assert len(rows.lengths) == 6
    batch = rows.batch(torch.tensor([5, 0]))
    shape = (2, int(rows.lengths[[5, 0]].max()))
    assert {name: tuple(values.shape) for name, values in batch.items()} == {
        "input_ids": shape, "token_type_ids": shape, "attention_mask": shape, "labels": (2,),
    }  # fmt: skip
    assert batch["labels"].dtype == torch.int64
    assert {values.dtype for values in batch.values()} == {torch.int64}
    assert bool((batch["input_ids"][batch["attention_mask"] == 0] == 0).all())


def test_numbers_to_regress_on(tmp_path: Path) -> None:
    """Stsb has one output and float labels, which a model of one class learns by their squares."""
    write_glue(tmp_path, "stsb", train=6, validation=3)
    _, family = load(tmp_path, "stsb", data={})
    words = tokenizer()
    batch = family.training_rows(words, max_length=64).batch(torch.tensor([3, 2]))
    assert batch["labels"].tolist() == [1.5, 1.0]
    model = make_classifier(len(words), num_labels=1)
    found = model(**batch)
    expected = ((found.logits[:, 0] - batch["labels"]) ** 2).mean()
    assert found.loss.item() == pytest.approx(expected.item())


def test_pairs_too_long() -> None:
    """Of a pair too long the longer text is cut, at its end."""
    words = tokenizer()
    long, short = "says things " * 20, "premise says hypothesis"
    found = encode([(long, short), (short, long)], words, max_length=16)
    assert found.tokens.lengths.tolist() == [16, 16]
    assert found.types is not None
    types = found.types.padded(torch.tensor([0, 1]), fill=0).sum(dim=1)
    assert types.tolist() == [3 + 1, 16 - (3 + 2)]


def test_nothing_between() -> None:
    """Where a tokenizer puts nothing between two texts, they are parted by a line's end."""
    bare = make_decoder_tokenizer(WORDS)
    found = encode([("premise", "hypothesis")], bare, max_length=64)
    assert bare.decode(found.tokens.tokens.tolist()) == "premise\nhypothesis"
    framed = tokenizer()
    found = encode([("premise", "hypothesis")], framed, max_length=64)
    text = framed.decode(found.tokens.tokens.tolist())
    assert text == "[CLS] premise [SEP] hypothesis [SEP]"


def test_decoders(tmp_path: Path) -> None:
    """A decoder's answers do not depend on what a batch is filled up with."""
    rows = [{**glue_row("sst2", n), "sentence": "says " * (n + 1)} for n in range(5)]
    write_rows(tmp_path / "nyu-mll" / "glue" / "sst2" / "validation.jsonl", *rows)
    words = make_decoder_tokenizer(WORDS)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=24, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, pad_token_id=padding_id(words), num_labels=2,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(config).eval()
    found = []
    for size in (1, 5):
        spec, family = load(tmp_path, "sst2", "sst2", per_device_eval_batch_size=size)
        scores = family.evaluate(
            model, words, spec=spec.evaluation, phase="final", progress=lambda *_: None
        )
        found.append(scores[0].value)
    encoded = encode([(row["sentence"],) for row in rows], words, max_length=64)
    batch = encoded.batch(torch.arange(5), fill=padding_id(words))
    alone = [encoded.batch(torch.tensor([row]), fill=padding_id(words)) for row in range(5)]
    with torch.no_grad():
        together = model(**batch).logits
        single = torch.cat([model(**each).logits for each in alone])
    torch.testing.assert_close(together, single)
    assert found[0] == found[1]


def test_other_numbers_of_classes(tmp_path: Path) -> None:
    """Tasks of different numbers of classes cannot be asked of one head."""
    write_glue(tmp_path, "rte", validation=2)
    write_glue(tmp_path, "stsb", validation=2)
    spec = ExperimentSpec(
        model=ModelSpec(head="classification"),
        evaluation=EvaluationSpec(benchmarks=("rte", "stsb")),
    )
    with pytest.raises(SpecError, match="one head cannot answer all: rte 2 classes, stsb a number"):
        load_family(spec, data_folder=tmp_path, mirror=tmp_path)


def test_limit_and_missing_data(tmp_path: Path) -> None:
    """A limit marks the scores; without the mirror's split nothing is loaded."""
    write_glue(tmp_path, "rte", validation=5)
    spec, family = load(tmp_path, "rte", "rte", benchmark_limit=3)
    words = tokenizer()
    (score,) = family.evaluate(
        make_classifier(len(words), 2), words, spec=spec.evaluation, phase="final",
        progress=lambda *_: None,
    )  # fmt: skip
    assert (score.limited, score.num_samples, score.details["limit"]) == (True, 3, 3)
    assert family.notes == ()
    with pytest.raises(DataError, match="no split 'train' in the mirror; it has validation"):
        load(tmp_path, "rte", data={})


def test_real_sst2(data_mirror: Path) -> None:
    """The real sst2 becomes rows; that its splits are not the published ones is noted."""
    spec, family = load(data_mirror, "sst2", "sst2", data={"held_out": 60_000})
    words = make_encoder_tokenizer(["a film that is good , bad or neither ."])
    rows = family.training_rows(words, max_length=32)
    assert len(rows.lengths) == 614
    assert int(rows.lengths.max()) <= 32
    assert any("where 872 are published" in note for note in family.notes)
    assert spec.training_task is not None
    assert set(GLUE_TEXTS) == set(GLUE)


@pytest.mark.parametrize(("wanted", "numbers"), [(3, [1, 5, 9]), (1, [5]), (99, list(range(11)))])
def test_attacked_texts(tmp_path: Path, wanted: int, numbers: list[int]) -> None:
    """Texts are spread evenly over the first measured split, and it says so where some lack."""
    write_glue(tmp_path, "mnli", validation_matched=11, validation_mismatched=11)
    _, family = load(tmp_path, "mnli", "mnli")
    assert isinstance(family, Classification)
    found = family.attacked_texts(wanted, model=nn.Linear(1, 1))
    assert (found.name, found.split) == ("mnli", "validation_matched")
    assert [int(each.texts[0].split()[-2]) for each in found.examples] == numbers
    assert [each.label for each in found.examples] == [number % 3 for number in numbers]
    assert found.is_limited == (wanted < 11)


def test_attacked_texts_have_the_models_classes(tmp_path: Path) -> None:
    """Labels of texts to attack are places among the model's outputs, whatever its order."""
    write_glue(tmp_path, "mnli", validation_matched=9, validation_mismatched=9)
    _, family = load(tmp_path, "mnli", "mnli")
    assert isinstance(family, Classification)
    words = tokenizer()
    known = Knower(words, "mnli", {"contradiction": 0, "neutral": 1, "entailment": 2})
    texts = family.attacked_texts(9, model=known).examples
    read = ask(known, words, [each.texts for each in texts], spec=EvaluationSpec(), told=print)
    assert read.argmax(dim=1).tolist() == [each.label for each in texts]
    assert [each.label for each in texts] != [number % 3 for number in range(9)]
