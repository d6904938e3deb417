"""Span answers: from text to tokens and back, and what is chosen of a model's likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from engine.data.supervised_rows import Passage
from engine.data.supervised_tasks import SPANS, load_measured, load_training
from engine.errors import DataError
from engine.specs import EvaluationSpec
from engine.specs.data import TaskData
from engine.supervised.span_features import SpanFeatures, build_features, find_answers
from engine.supervised.span_qa import SpanRows, answer, best_span
from engine.supervised.squad_metrics import normalize, score_answer
from tests.engine.data.mirrors import CONTEXT, squad_row, write_squad
from tests.engine.supervised.tiny import (
    load,
    make_decoder_tokenizer,
    make_encoder_tokenizer,
    make_span_model,
)


class Oracle(nn.Module):
    """A model that is sure of the answers of the rows it was shown, and of nothing else."""

    def __init__(self, features: SpanFeatures, answers: Tensor) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        tokens, starts = features.encoded.tokens.tokens.tolist(), features.encoded.tokens.starts
        self.known = {
            tuple(tokens[low:high]): place.tolist()
            for (low, high), place in zip(starts.unfold(0, 2, 1).tolist(), answers, strict=True)
        }

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Any:
        logits = torch.zeros(2, *input_ids.shape)
        for row, (tokens, mask) in enumerate(zip(input_ids, attention_mask, strict=True)):
            first, last = self.known[tuple(tokens[mask.bool()].tolist())]
            if last > 0:
                logits[0, row, first] = logits[1, row, last] = 9.0
            logits[:, row, 0] += 20.0  # never to be taken: not of the text
        return SimpleNamespace(start_logits=logits[0], end_logits=logits[1])


def ask(model: nn.Module, tokenizer: Any, passages: Sequence[Passage], length: int) -> list[str]:
    spec = EvaluationSpec(max_length=length, per_device_eval_batch_size=8)
    return answer(model, tokenizer, passages, spec=spec, told=lambda _done: None)


def oracle_answers(
    tokenizer: PreTrainedTokenizerBase, passages: Sequence[Passage], length: int
) -> list[str]:
    features = build_features(passages, tokenizer, max_length=length)
    oracle = Oracle(features, find_answers(features, passages))
    return ask(oracle, tokenizer, passages, length)


def tokenizers(passages: Sequence[Passage]) -> dict[str, Any]:
    texts = [text for passage in passages for text in (passage.context, passage.question)]
    return {"encoder": make_encoder_tokenizer(texts), "decoder": make_decoder_tokenizer(texts)}


@pytest.fixture
def rhine() -> tuple[Passage, ...]:
    """Two questions on the made-up text, the second on its end."""
    return (
        Passage(CONTEXT, "Where does it rise?", (("the Alps", 19), ("Alps", 23))),
        Passage(CONTEXT, "How long is it?", (("1,233 km", CONTEXT.index("1,233")),)),
    )


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("length", [128, 384])
def test_real_training_answers(
    data_mirror: Path, data_folder: Path, kind: str, length: int
) -> None:
    """Every training answer becomes the tokens that stand for it, whole words at the least."""
    spec = TaskData(task="squad")
    passages, _ = load_training(spec, SPANS["squad"], data_folder=data_folder, mirror=data_mirror)
    features = build_features(passages, tokenizers(passages)[kind], max_length=length)
    assert int(features.encoded.tokens.lengths.max()) <= length
    answers, found = find_answers(features, passages), set()
    for row, question in enumerate(features.questions.tolist()):
        if answers[row, 1] == 0:
            continue
        context, (gold, low) = passages[question].context, passages[question].answers[0]
        start = int(features.begins.starts[row])
        first, last = (answers[row] + start).tolist()
        begin, end = int(features.begins.tokens[first]), int(features.ends.tokens[last])
        assert begin <= low < int(features.ends.tokens[first])
        assert int(features.begins.tokens[last]) < low + len(gold) <= end
        is_part_of_a_word = context[low + len(gold) - 1 : low + len(gold) + 1].isalnum()
        assert is_part_of_a_word or normalize(context[begin:end]) == normalize(gold)
        found.add(question)
    assert found == set(range(len(passages)))


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_real_validation_answers(data_mirror: Path, kind: str) -> None:
    """A model that is sure of the right tokens is right about every answerable question."""
    (measured,) = load_measured("squad", SPANS["squad"], limit=None, mirror=data_mirror)
    passages = measured.examples
    assert len(passages) + measured.left_out == 324
    said = oracle_answers(tokenizers(passages)[kind], passages, 256)
    marks = [
        score_answer(text, [gold for gold, _ in passage.answers])
        for text, passage in zip(said, passages, strict=True)
    ]
    assert set(marks) == {(1.0, 1.0)}


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_long_texts(rhine: tuple[Passage, ...], kind: str) -> None:
    """A text too long for a row is several that overlap by a third; those without the answer say 0.

    Rows that lack it do not keep the right answer from being found.
    """
    tokenizer = tokenizers(rhine)[kind]
    features = build_features(rhine, tokenizer, max_length=18)
    answers = find_answers(features, rhine)
    assert len(answers) > len(rhine)
    for question in range(len(rhine)):
        rows = (features.questions == question).nonzero().flatten().tolist()
        texts = [row_text(features, row) for row in rows]
        assert texts[0][0] == 0
        assert texts[-1][1] == len(CONTEXT)
        for (_, end), (begin, _) in pairwise(texts):
            assert begin < end
        labelled = [bool(answers[row, 1] > 0) for row in rows]
        low, gold = rhine[question].answers[0][1], rhine[question].answers[0][0]
        assert labelled == [begin <= low and low + len(gold) <= end for begin, end in texts]
        assert any(labelled)
    assert oracle_answers(tokenizer, rhine, 18) == ["the Alps", "1,233 km"]


def row_text(features: SpanFeatures, row: int) -> tuple[int, int]:
    """Return the characters a row has of its text."""
    part = slice(*features.begins.starts[row : row + 2].tolist())
    begins, ends = features.begins.tokens[part], features.ends.tokens[part]
    return int(begins[begins >= 0].min()), int(ends.max())


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("length", [8, 9, 16, 33])
def test_long_questions(rhine: tuple[Passage, ...], kind: str, length: int) -> None:
    """A question longer than a row is cut to a third of it, so that there is room for the text."""
    tokenizer = tokenizers(rhine)[kind]
    passages = [Passage(CONTEXT, "Where does it rise ? " * 40, rhine[0].answers)]
    features = build_features(passages, tokenizer, max_length=length)
    assert int(features.encoded.tokens.lengths.max()) <= length
    for row in range(len(features.questions)):
        part = slice(*features.begins.starts[row : row + 2].tolist())
        added = tokenizer.num_special_tokens_to_add(pair=True)
        assert int((features.begins.tokens[part] < 0).sum()) <= length // 3 + added
    assert row_text(features, len(features.questions) - 1)[1] == len(CONTEXT)


def test_types_and_padding(rhine: tuple[Passage, ...]) -> None:
    """A batch has the question as type 0, the text as 1, and rows filled up to the longest."""
    tokenizer = tokenizers(rhine)["encoder"]
    features = build_features(rhine, tokenizer, max_length=64)
    rows = SpanRows(features, find_answers(features, rhine), fill=0)
    batch = rows.batch(torch.tensor([1, 0]))
    shape = (2, int(rows.lengths.max()))
    assert {name: tuple(values.shape) for name, values in batch.items()} == {
        "input_ids": shape, "attention_mask": shape, "token_type_ids": shape,
        "start_positions": (2,), "end_positions": (2,),
    }  # fmt: skip
    assert batch["attention_mask"].sum(dim=1).tolist() == rows.lengths[[1, 0]].tolist()
    question = len(tokenizer.tokenize("How long is it?")) + 2  # with [CLS] and [SEP]
    assert batch["token_type_ids"][0, :question].sum() == 0
    assert bool((batch["token_type_ids"][0, question : int(rows.lengths[1])] == 1).all())
    first, last = (int(batch[f"{end}_positions"][0]) for end in ("start", "end"))
    assert tokenizer.decode(batch["input_ids"][0, first : last + 1]) == "1 , 233 km"


def test_the_best_of_the_likeliest() -> None:
    """The best pair is in order, at most 30 tokens, within the text and of the 20 likeliest."""
    is_text = np.ones(60, dtype=bool)
    is_text[:2] = False
    starts, ends = np.zeros(60), np.zeros(60)
    starts[[0, 40, 5, 12]] = 9, 8, 7, 6
    ends[[1, 20, 35, 39]] = 9, 8, 7.5, 7
    assert best_span(starts, ends, is_text) == (15.0, 5, 20)
    ends[20] = 0  # 5 to 35 is one token too many
    assert best_span(starts, ends, is_text) == (13.5, 12, 35)
    late = (np.arange(60) >= 40).astype(float)
    assert best_span(late, 1 - late, is_text) is None  # every likely first is behind every last
    assert best_span(starts, ends, np.zeros(60, dtype=bool)) is None


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_broken_logits_choose_nothing(broken: float) -> None:
    """A token whose logit is no number is passed over; a row of nothing else has no answer."""
    is_text = np.ones(8, dtype=bool)
    starts, ends = np.zeros(8), np.zeros(8)
    starts[[2, 3]], ends[[4, 5]] = (5, broken), (6, broken)
    assert best_span(starts, ends, is_text) == (11.0, 2, 4)
    assert best_span(np.full(8, broken), ends, is_text) is None
    assert best_span(starts, np.full(8, broken), is_text) is None


def test_a_broken_row_does_not_hide_the_others(rhine: tuple[Passage, ...]) -> None:
    """Where a row of a question has a broken logit, the answer in a later one is still found."""
    tokenizer = tokenizers(rhine)["encoder"]
    features = build_features(rhine, tokenizer, max_length=18)
    answers = find_answers(features, rhine)

    class Broken(Oracle):
        def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Any:
            found = super().forward(input_ids, attention_mask)
            for row in range(len(input_ids)):
                if found.start_logits[row, 1:].max() == 0.0:  # the answer is in another row
                    found.start_logits[row, 12] = torch.nan
            return found

    assert ask(Broken(features, answers), tokenizer, rhine, 18) == ["the Alps", "1,233 km"]


def test_scores(tmp_path: Path) -> None:
    """Exact match and F1 have error, count and split; the model is left training."""
    rows = [squad_row("Where?", "the Alps"), squad_row("None?"), squad_row("What?", "Rhine")]
    write_squad(tmp_path, validation=rows, train=rows)
    spec, family = load(tmp_path, "squad", "squad", per_device_eval_batch_size=1)
    tokenizer = make_encoder_tokenizer([CONTEXT])
    model = make_span_model(len(tokenizer)).train()
    told: list[tuple[int, int]] = []
    scores = family.evaluate(
        model, tokenizer, spec=spec.evaluation, phase="before",
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(1, 2), (2, 2)]
    assert model.training
    assert (family.num_labels, family.num_questions) == (None, 2)
    assert [(score.benchmark, score.metric) for score in scores] == [
        ("squad", "exact_match"),
        ("squad", "f1"),
    ]
    for score in scores:
        assert (score.phase, score.num_samples, score.limited) == ("before", 2, False)
        assert score.details["split"] == "validation"
        assert score.details["left_out"] == 1
    (note,) = family.notes
    assert "squad is measured on 2 examples where 10,570 are published; 1 without an" in note


def test_training(tmp_path: Path) -> None:
    """A model learns the answers of its rows, also after it was measured."""
    rows = [squad_row("Where?", "the Alps"), squad_row("What?", "Rhine"), squad_row("Which?", "It")]
    write_squad(tmp_path, train=rows, validation=rows[:2])
    spec, family = load(tmp_path, "squad", data={"held_out": 1}, benchmark_limit=1)
    tokenizer = make_encoder_tokenizer([CONTEXT, "Where? What? Which?"])
    model = make_span_model(len(tokenizer))
    batch = (found := family.training_rows(tokenizer, max_length=32)).batch(torch.tensor([0, 1]))
    assert len(found.lengths) == 2
    ask_again = {"spec": spec.evaluation, "phase": "final", "progress": lambda *_: None}
    family.evaluate(model, tokenizer, **ask_again)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(100):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    exact, _ = family.evaluate(model, tokenizer, **ask_again)
    assert (exact.value, exact.limited) == (1.0, True)


def test_refused(rhine: tuple[Passage, ...]) -> None:
    """A tokenizer that knows no characters and rows without room for text are told."""
    tokenizer = make_encoder_tokenizer([CONTEXT])
    with pytest.raises(DataError, match="4 tokens leave no room beside the 3 special") as caught:
        build_features(rhine, tokenizer, max_length=4)
    assert caught.value.field == "training.max_length"
    slow: Any = SimpleNamespace(is_fast=False)
    with pytest.raises(DataError, match="does not tell which characters a token stands for"):
        build_features(rhine, slow, max_length=64)
