"""Likelihoods of continuations: shared rows give what one row per request gives, in each family."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from engine.errors import DataError
from engine.evaluation.likelihood import Likelihood, context_limit, score_continuations
from engine.evaluation.token_trees import build_rows, honors_trees, iter_row_batches
from engine.layers.head import SplitModel
from tests.tiny_models import VOCAB_SIZE, make_gpt2, make_llama

SIZES = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}


def make_qwen() -> PreTrainedModel:
    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)).eval()


def make_mistral() -> PreTrainedModel:
    torch.manual_seed(0)
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=12)).eval()


def make_bloom() -> PreTrainedModel:
    torch.manual_seed(0)
    config = BloomConfig(vocab_size=VOCAB_SIZE, hidden_size=32, n_layer=2, n_head=4)
    return BloomForCausalLM(config).eval()


MAKERS = [make_llama, make_gpt2, make_qwen, make_mistral, make_bloom]


def draw(*shapes: tuple[int, tuple[int, ...]]) -> list[tuple[list[int], list[int]]]:
    """Draw a context of so many tokens and continuations of so many, for each shape."""
    generator = torch.Generator().manual_seed(1)

    def tokens(count: int) -> list[int]:
        return torch.randint(VOCAB_SIZE, (count,), generator=generator).tolist()

    return [
        (context, tokens(size)) for stem, sizes in shapes for context in [tokens(stem)]
        for size in sizes
    ]  # fmt: skip


REQUESTS = draw((7, (3, 1, 5, 1)), (1, (4,)), (12, (2, 9)), (3, (1, 1)), (5, (6, 6, 6, 6)))


@torch.no_grad()
def score_slowly(
    model: PreTrainedModel, requests: list[tuple[list[int], list[int]]]
) -> list[Likelihood]:
    """Score one request at a time with the model's own forward."""
    limit, found = context_limit(SplitModel(model)), []
    for context, continuation in requests:
        tokens = torch.tensor([[*context, *continuation][-limit - 1 :]])
        log_q = model(tokens[:, :-1]).logits[0, -len(continuation) :].float().log_softmax(-1)
        labels = torch.tensor(continuation)
        total = log_q.gather(1, labels.unsqueeze(1)).double().sum()
        found.append(
            Likelihood(float(total), len(labels), bool((log_q.argmax(-1) == labels).all()))
        )
    return found


def assert_same(found: list[Likelihood], expected: list[Likelihood]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)
        assert one[1:] == other[1:]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_same_as_one_by_one(make: Callable[[], PreTrainedModel], batch_tokens: int) -> None:
    """Scores are those of each request alone, whatever the family and the batch."""
    model = make()
    found = score_continuations(SplitModel(model), REQUESTS, batch_tokens=batch_tokens)
    assert_same(found, score_slowly(model, REQUESTS))


@pytest.mark.parametrize("make", MAKERS)
def test_who_shares(make: Callable[[], PreTrainedModel]) -> None:
    """Families that keep continuations apart are told from the one that does not."""
    assert honors_trees(SplitModel(make())) == (make is not make_bloom)


def test_shared_rows_are_used() -> None:
    """A model that honors trees computes each context once."""
    split = SplitModel(make_llama())
    seen: list[torch.Size] = []
    split.body.register_forward_pre_hook(
        lambda _module, _args, given: seen.append(given["input_ids"].shape), with_kwargs=True
    )
    score_continuations(split, draw((50, (3, 3, 3, 3))), batch_tokens=1000)
    assert seen[-1] == (1, 50 + 4 * 2)


def test_longer_than_the_window() -> None:
    """A family that attends to a window shares no row that is longer than it."""
    model = make_mistral()
    requests = draw((20, (4, 4)))
    found = score_continuations(SplitModel(model), requests, batch_tokens=1000)
    assert_same(found, score_slowly(model, requests))


@pytest.mark.parametrize("make", [make_llama, make_gpt2])
def test_longer_than_the_model(make: Callable[[], PreTrainedModel]) -> None:
    """A context too long loses its beginning; the continuation is kept whole."""
    model = make()
    requests = draw((255, (3, 1, 40)), (400, (2, 256)))
    found = score_continuations(SplitModel(model), requests, batch_tokens=1000)
    assert_same(found, score_slowly(model, requests))


def test_greedy() -> None:
    """Writing on greedily is seen as greedy, anything else is not."""
    model = make_llama()
    tokens = [5, 6, 7]
    for _ in range(4):
        tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    other = [*tokens[3:6], (tokens[6] + 1) % VOCAB_SIZE]
    requests = [(tokens[:3], tokens[3:]), (tokens[:3], other)]
    found = score_continuations(SplitModel(model), requests, batch_tokens=100)
    assert [likelihood.is_greedy for likelihood in found] == [True, False]


def test_sixteen_bits() -> None:
    """In bfloat16 shared rows are used, and agree to its rounding."""
    model = make_llama().bfloat16()
    split = SplitModel(model)
    assert honors_trees(split)
    found = score_continuations(split, REQUESTS, batch_tokens=100)
    for one, other in zip(found, score_slowly(model, REQUESTS), strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, rel=1e-2)


def test_told() -> None:
    """Progress counts requests up to their number; nothing to score is no work."""
    split, told = SplitModel(make_llama()), []
    score_continuations(
        split, REQUESTS, batch_tokens=20, progress=lambda done, total: told.append((done, total))
    )
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (len(REQUESTS), len(REQUESTS))
    assert score_continuations(split, [], batch_tokens=20) == []


def test_refused() -> None:
    """An empty side is a mistake; an answer longer than the model is one sentence."""
    split = SplitModel(make_llama())
    for request in (([], [1]), ([1], [])):
        with pytest.raises(ValueError, match="no tokens"):
            score_continuations(split, [request], batch_tokens=20)
    with pytest.raises(DataError, match="has 257 tokens, more than the 256 the model can read"):
        score_continuations(split, [([1], [2] * 257)], batch_tokens=20)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=30),
    st.integers(1, 40),
    st.integers(0, 12),
)
def test_every_request_once(shapes: list[tuple[int, int]], size: int, window: int) -> None:
    """Rows hold every request once, stay within the limits, and batches hold every row once."""
    requests = [([stem] * stem, [9] * count) for stem, count in shapes]
    rows = build_rows(requests, limit=8, window=window, max_tokens=size)
    places = [branch.place for row in rows for branch in row.branches]
    assert sorted(places) == list(range(len(requests)))
    for row in rows:
        assert len(row.branches) == 1 or row.length <= max(size, len(row.context))
    batches = list(iter_row_batches(rows, batch_tokens=size))
    assert sorted(row for batch in batches for row in batch) == sorted(rows)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(row.length for row in batch) <= size
