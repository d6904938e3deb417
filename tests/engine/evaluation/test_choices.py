"""A task's examples scored: loss per token, choice by likelihood per character."""

from __future__ import annotations

import pytest
import torch

from engine.data.tasks import Example
from engine.evaluation.choices import mean_over_examples, score_examples
from engine.layers.head import SplitModel
from tests.tiny_models import make_llama, make_tokenizer

EXAMPLES = (
    Example((("The class", " statement"), ("The class", " of a name is bound")), 1),
    Example((("An if", " is bound"), ("A while", " is bound")), 0),
    Example((("Question: x\nAnswer:", " two words"),), 0),
)


@pytest.fixture(scope="module")
def model():
    return make_llama()


@torch.no_grad()
def log_probs(model, context: str, continuation: str) -> torch.Tensor:
    tokenizer = make_tokenizer()
    tokens = torch.tensor([tokenizer(context + continuation)["input_ids"]])
    start = len(tokenizer(context)["input_ids"])
    log_q = model(tokens).logits[0, start - 1 : -1].log_softmax(-1)
    return log_q.gather(1, tokens[0, start:].unsqueeze(1)).squeeze(1)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_by_hand(model, batch_size: int) -> None:
    """Loss and choice are those computed by hand from the model's own logits."""
    found = score_examples(
        SplitModel(model), make_tokenizer(), EXAMPLES, batch_size=batch_size,
        progress=lambda _done, _total: None,
    )  # fmt: skip
    for example, loss, correct in zip(EXAMPLES, found.loss, found.correct, strict=True):
        scores = [log_probs(model, *pair) for pair in example.candidates]
        assert float(loss) == pytest.approx(-float(scores[example.gold].mean()), abs=1e-5)
        if len(scores) > 1:
            sizes = [len(answer) - 1 for _, answer in example.candidates]
            ranked = [float(score.sum()) / size for score, size in zip(scores, sizes, strict=True)]
            assert bool(correct) == (ranked.index(max(ranked)) == example.gold)
    assert found.loss.dtype == found.correct.dtype == torch.float64
    assert found.correct[2] == 0


def test_greedy_answer(model) -> None:
    """With a single candidate, the answer the model would write is right."""
    tokenizer = make_tokenizer()
    context = "The class"
    with torch.no_grad():
        tokens = tokenizer(context, return_tensors="pt")["input_ids"]
        written = tokenizer.decode(model(tokens).logits[0, -1].argmax())
    if len(tokenizer(context + written)["input_ids"]) != tokens.shape[1] + 1:
        pytest.skip("the tiny tokenizer joins what the tiny model writes")
    example = Example(((context, written),), 0)
    found = score_examples(
        SplitModel(model), tokenizer, (example,), batch_size=1, progress=lambda _done, _total: None
    )
    assert found.correct.tolist() == [1.0]


def test_mean() -> None:
    """Examples are independent: the error is the sample's deviation over the root of its size."""
    mean = mean_over_examples(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    assert mean.value == 0.75
    assert mean.standard_error == pytest.approx(0.25)
    assert mean.num_samples == 4
    assert mean_over_examples(torch.tensor([1.0])).standard_error is None
