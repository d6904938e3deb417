"""Windows: full, in order, and seen in an order that can be taken up again."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.data.windows import build_windows, epoch_order, iter_batches, spread
from engine.errors import DataError
from tests.tiny_models import make_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def test_tokens_in_order(tokenizer) -> None:
    """Windows hold the documents' tokens in order, each document ended once."""
    documents = ("def f(x): return x", "class A: pass")
    end = tokenizer.eos_token_id
    expected = [token for text in documents for token in [*tokenizer(text)["input_ids"], end]]
    windows = build_windows(documents, tokenizer, max_length=8)
    assert windows.dtype == torch.int64
    assert windows.flatten().tolist() == expected[: len(expected) // 8 * 8]


def test_no_end_token(tokenizer) -> None:
    """A tokenizer without an end of text joins documents as they are."""
    bare = make_tokenizer()
    bare.eos_token = None
    ids = bare("abcabcabcabc")["input_ids"]
    windows = build_windows(("abcabcabcabc",), bare, max_length=len(ids))
    assert windows.tolist() == [ids]


def test_longer_than_the_model(tokenizer) -> None:
    """A document longer than the model's context is cut without a complaint."""
    short = make_tokenizer()
    short.model_max_length = 16
    assert build_windows(("word " * 500,), short, max_length=8).shape[1] == 8


def test_too_little_text(tokenizer) -> None:
    """Text for less than one window is refused with both numbers."""
    num_tokens = len(tokenizer("abc")["input_ids"]) + 1
    with pytest.raises(DataError, match=rf"has {num_tokens} tokens.*at most {num_tokens}") as error:
        build_windows(("abc",), tokenizer, max_length=100, field="training.data")
    assert error.value.field == "training.data"


@given(num_windows=st.integers(1, 200), limit=st.integers(1, 220))
def test_spread_is_even(num_windows: int, limit: int) -> None:
    """Picked windows are distinct, in order, and their gaps differ by at most one."""
    windows = torch.arange(num_windows).unsqueeze(1)
    picked = spread(windows, limit).flatten().tolist()
    assert len(picked) == min(num_windows, limit)
    assert picked == sorted(set(picked))
    gaps = {after - before for before, after in pairwise(picked)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_spread_of_all() -> None:
    """No limit keeps every window."""
    windows = torch.arange(5).unsqueeze(1)
    assert torch.equal(spread(windows, None), windows)


@given(
    num_windows=st.integers(1, 12),
    batch_size=st.integers(1, 30),
    start=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_resumed_order(num_windows: int, batch_size: int, start: int, seed: int) -> None:
    """Batches from a later start are those the uninterrupted run sees there."""
    windows = torch.arange(num_windows).unsqueeze(1)
    whole = list(islice(iter_batches(windows, batch_size=batch_size, seed=seed), start + 4))
    resumed = islice(iter_batches(windows, batch_size=batch_size, seed=seed, start=start), 4)
    for expected, found in zip(whole[start:], resumed, strict=True):
        assert torch.equal(expected, found)
        assert found.shape == (batch_size, 1)


@given(num_windows=st.integers(1, 20), batch_size=st.integers(1, 7))
def test_every_window_once_an_epoch(num_windows: int, batch_size: int) -> None:
    """Three epochs hold every window three times, each once per epoch."""
    windows = torch.arange(num_windows).unsqueeze(1)
    batches = islice(iter_batches(windows, batch_size=batch_size, seed=1), 3 * num_windows)
    seen = torch.cat(list(batches)).flatten()[: 3 * num_windows].view(3, num_windows)
    for epoch in seen:
        assert sorted(epoch.tolist()) == list(range(num_windows))


def test_order_depends_on_seed_and_epoch() -> None:
    """Another seed or epoch gives another order; the same give the same."""
    orders = [epoch_order(50, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert torch.equal(epoch_order(50, seed=0, epoch=1), orders[1])
