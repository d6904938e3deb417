"""Summaries: rows as an encoder-decoder takes them, what it writes, and ROUGE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.data.supervised_rows import Document
from engine.specs import EvaluationSpec
from engine.supervised.rouge_metrics import ROUGES, RougeMetrics, by_line
from engine.supervised.summarization import encode_texts, summarize
from tests.engine.data.mirrors import write_summaries
from tests.engine.supervised.tiny import (
    load,
    make_decoder_tokenizer,
    make_encoder_tokenizer,
    make_t5,
    make_t5_tokenizer,
)

PAIRS = [
    ("the river rises in the mountains and ends in the sea", "river ends in sea"),
    ("the sea is deep", "deep sea"),
    ("mountains rise", "mountains"),
]
WORDS = ["summarize : ", *(text for pair in PAIRS for text in pair)]


def test_rows(tmp_path: Path) -> None:
    """Texts are filled up with the tokenizer's token, summaries with −100; both are cut."""
    write_summaries(tmp_path, "xsum", train=PAIRS, test=PAIRS)
    _, family = load(tmp_path, "xsum", data={}, max_new_tokens=3)
    words = make_t5_tokenizer(WORDS)
    rows = family.training_rows(words, max_length=8)
    batch = rows.batch(torch.tensor([0, 2]))
    assert batch["input_ids"].shape == (2, 8)
    assert batch["attention_mask"].tolist() == [[1] * 8, [1] * 5 + [0] * 3]
    assert batch["labels"].shape == (2, 3)
    assert batch["labels"][1].tolist() == [words.convert_tokens_to_ids("mountains"), 1, -100]
    assert batch["labels"][0, -1] == words.eos_token_id  # also a summary that was cut ends
    assert rows.lengths.tolist() == [8 + 3, 7 + 3, 5 + 2]


def test_prefix() -> None:
    """Texts for a T5 kind begin with what those were trained with, others with themselves."""
    document = [Document("the sea", "sea")]
    t5, bart = make_t5_tokenizer(WORDS), make_encoder_tokenizer(WORDS)
    first = encode_texts(document, t5, max_length=32).tokens.tokens.tolist()
    assert t5.decode(first) == "summarize : the sea </s>"
    second = encode_texts(document, bart, max_length=32).tokens.tokens.tolist()
    assert bart.decode(second) == "[CLS] the sea [SEP]"
    without_unknown = make_decoder_tokenizer(WORDS)
    third = encode_texts(document, without_unknown, max_length=32).tokens.tokens.tolist()
    assert without_unknown.decode(third) == "the sea"


@pytest.mark.parametrize("beams", [1, 3])
def test_written(beams: int) -> None:
    """A summary is as Transformers writes it, text by text; batches and padding change nothing."""
    words = make_t5_tokenizer(WORDS)
    model = make_t5(len(words))
    model.generation_config.do_sample = True
    model.generation_config.max_length = 7
    documents = [Document(*pair) for pair in PAIRS]
    spec = EvaluationSpec(
        max_new_tokens=5, num_beams=beams, per_device_eval_batch_size=2, max_length=64
    )
    told: list[int] = []
    found = summarize(model, words, documents, spec=spec, told=told.append)
    for document, summary in zip(documents, found, strict=True):
        tokens = words(f"summarize: {document.text}", return_tensors="pt")
        alone = model.generate(
            **tokens, max_new_tokens=5, max_length=None, num_beams=beams, do_sample=False
        )
        assert alone.shape[1] <= 6  # with the token it starts from
        assert summary == words.decode(alone[0], skip_special_tokens=True).strip()
    assert told == [2, 3]
    assert model.generation_config.max_length == 7
    assert model.generation_config.do_sample


def test_learned(tmp_path: Path) -> None:
    """A model trained on the rows writes their summaries, and ROUGE is 1."""
    write_summaries(tmp_path, "cnn_dailymail", train=PAIRS, test=PAIRS)
    spec, family = load(tmp_path, "cnn_dailymail", data={}, max_new_tokens=8)
    words = make_t5_tokenizer(WORDS)
    model = make_t5(len(words))
    batch = family.training_rows(words, max_length=32).batch(torch.arange(3))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    told: list[tuple[int, int]] = []
    scores = family.evaluate(
        model, words, spec=spec.evaluation, phase="final",
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert [score.metric for score in scores] == list(ROUGES)
    found = {score.metric: score.value for score in scores}
    assert found["rouge1"] == found["rougeL"] == found["rougeLsum"] == 1.0
    assert {(score.num_samples, score.details["split"]) for score in scores} == {(3, "test")}
    assert told[-1] == (3, 3)
    assert family.num_labels is None


def test_no_longer_than_the_model(tmp_path: Path) -> None:
    """Summaries are learned and written no longer than the model reads, whatever is asked."""
    write_summaries(tmp_path, "xsum", train=PAIRS, test=PAIRS)
    spec, family = load(tmp_path, "xsum", data={}, max_new_tokens=64)
    words = make_t5_tokenizer(WORDS)
    words.model_max_length = 4
    rows = family.training_rows(words, max_length=32)
    assert rows.lengths.tolist() == [4 + 4, 4 + 3, 4 + 2]
    model, lengths = make_t5(len(words)), list[int]()
    decode = words.batch_decode

    def note(tokens: torch.Tensor, **values: Any) -> list[str]:
        lengths.append(tokens.shape[1] - 1)  # without the token it starts from
        return decode(tokens, **values)

    words.batch_decode = note
    model.generation_config.eos_token_id = None
    summarize(model, words, [Document(*PAIRS[0])], spec=spec.evaluation, told=lambda _done: None)
    assert lengths == [4]


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("the cat sat", (1.0, 1.0, 1.0, 1.0)),
        ("sat the cat", (1.0, 0.5, 2 / 3, 2 / 3)),
        ("a dog", (0.0, 0.0, 0.0, 0.0)),
        ("", (0.0, 0.0, 0.0, 0.0)),
        ("The cats sat!", (1.0, 1.0, 1.0, 1.0)),
    ],
)
def test_rouge(summary: str, expected: tuple[float, ...]) -> None:
    """F1 of words, pairs of words and the longest common order, words by their stems."""
    assert RougeMetrics().score(summary, "the cat sat") == pytest.approx(expected)


def test_rouge_by_sentence() -> None:
    """RougeLsum goes sentence by sentence: their order in the summary does not count."""
    gold, turned = "The sea is deep. A river ends.", "A river ends. The sea is deep."
    found: dict[str, Any] = dict(zip(ROUGES, RougeMetrics().score(turned, gold), strict=True))
    assert found["rougeLsum"] == 1.0
    assert found["rougeL"] < 1.0
    assert by_line("One. Two") == "One.\nTwo"
    assert by_line("One. Two\nThree. ") == "One. Two\nThree."
