"""Examples as tokens: what is learned, where an answer starts, and rows of like length together."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.data.example_windows import (
    CHUNK_BATCHES,
    encode_examples,
    encode_pairs,
    length_grouped_order,
)
from engine.data.tasks import Example
from engine.data.windows import iter_batches
from engine.errors import DataError
from tests.tiny_models import make_tokenizer

EXAMPLES = (
    Example((("The class", " statement defines"), ("The class", " x")), 0),
    Example((("A", " b"), ("A name is bound", " by the import statement")), 1),
)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def test_whole_text(tokenizer) -> None:
    """A row is the text's own tokens, the end of text, and padding; labels start at the second."""
    found = encode_examples(EXAMPLES, tokenizer, max_length=64, loss_on="text")
    assert found.tokens.dtype == torch.int64
    for row, length, example in zip(found.tokens, found.lengths, EXAMPLES, strict=True):
        assert tokenizer.decode(row[: length - 1]) == example.text
        assert set(row[length - 1 :].tolist()) == {tokenizer.eos_token_id}
    assert found.tokens.shape == (2, int(found.lengths.max()))
    assert found.label_starts.tolist() == [1, 1]


def test_answer_only(tokenizer) -> None:
    """With the loss on the answer, labels are the continuation and the end of text."""
    found = encode_examples(EXAMPLES, tokenizer, max_length=64, loss_on="answer")
    for row, length, start, example in zip(*found, EXAMPLES, strict=True):
        answer = tokenizer.decode(row[start : length - 1])
        assert answer == example.candidates[example.gold][1]


def test_cut(tokenizer) -> None:
    """A long text is cut without an end; an answer that is cut away is refused."""
    whole = encode_examples(EXAMPLES, tokenizer, max_length=64, loss_on="text")
    shortest = int(whole.lengths.min()) - 1
    found = encode_examples(EXAMPLES, tokenizer, max_length=shortest, loss_on="text")
    assert torch.equal(found.tokens, whole.tokens[:, :shortest])
    with pytest.raises(DataError, match="at least") as caught:
        encode_examples(EXAMPLES, tokenizer, max_length=2, loss_on="answer", field="training.data")
    assert caught.value.field == "training.data"


def test_no_end_token() -> None:
    """A tokenizer without an end of text pads with 0 and adds nothing."""
    bare = make_tokenizer()
    bare.eos_token = None
    found = encode_examples(EXAMPLES, bare, max_length=64, loss_on="text")
    ids = bare(EXAMPLES[0].text)["input_ids"]
    assert found.lengths[0] == len(ids)
    assert found.tokens[0].tolist()[len(ids) :] == [0] * (found.tokens.shape[1] - len(ids))


def test_merges(tokenizer) -> None:
    """A token across the border counts to the answer; spaces that end a context, too."""
    merged = next(word for word in tokenizer.get_vocab() if word.isalpha() and len(word) > 2)
    ((tokens, start),) = encode_pairs([(f"x {merged[:-1]}", f"{merged[-1]} y")], tokenizer)
    assert tokens == tokenizer(f"x {merged} y")["input_ids"]
    assert tokenizer.decode(tokens[:start]) in f"x {merged[:-1]}"
    pairs = [("The class ", " statement"), ("The class", "  statement")]
    assert len({(*tokens, start) for tokens, start in encode_pairs(pairs, tokenizer)}) == 1


@given(st.lists(st.integers(1, 99), min_size=1, max_size=300), st.integers(1, 9), st.integers(0, 5))
def test_permutation(sizes: list[int], batch_size: int, epoch: int) -> None:
    """An epoch's order holds every example once and follows from its arguments alone."""
    lengths = torch.tensor(sizes)
    order = length_grouped_order(lengths, seed=3, epoch=epoch, batch_size=batch_size)
    assert sorted(order.tolist()) == list(range(len(sizes)))
    torch.manual_seed(9)
    again = length_grouped_order(lengths, seed=3, epoch=epoch, batch_size=batch_size)
    assert torch.equal(order, again)


def test_like_length() -> None:
    """Batches within an epoch hold rows of like length, in every epoch, and are not sorted."""
    torch.manual_seed(0)
    batch_size, lengths = 4, torch.randint(1, 200, (2 * CHUNK_BATCHES * 4 + 3,))

    def order(epoch: int) -> torch.Tensor:
        return length_grouped_order(lengths, seed=0, epoch=epoch, batch_size=batch_size)

    batches = list(islice(iter_batches(lengths, batch_size=4, seed=0, order=order), 65 * 3))
    padding = sum(int((batch.max() - batch).sum()) for batch in batches)
    plain = islice(iter_batches(lengths, batch_size=4, seed=0), 65 * 3)
    assert padding < 0.2 * sum(int((batch.max() - batch).sum()) for batch in plain)
    means = [float(batch.float().mean()) for batch in batches[:CHUNK_BATCHES]]
    assert means not in (sorted(means), sorted(means, reverse=True))
    assert not torch.equal(order(0), order(1))


def test_own_order() -> None:
    """Batches follow an order of one's own, and taking it up again gives the same batches."""
    windows = torch.arange(5).unsqueeze(1)

    def backwards(epoch: int) -> torch.Tensor:
        return torch.arange(5).flip(0).roll(epoch)

    found = torch.cat(list(islice(iter_batches(windows, batch_size=2, seed=0, order=backwards), 5)))
    assert found.flatten().tolist() == [4, 3, 2, 1, 0, 0, 4, 3, 2, 1]
    later = next(iter_batches(windows, batch_size=2, seed=0, start=3, order=backwards))
    assert later.flatten().tolist() == found.flatten().tolist()[6:8]
