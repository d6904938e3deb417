"""Rows of unequal length: kept end to end, given back padded, gone through by length."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DataError, SpecError
from engine.specs import ExperimentSpec
from engine.supervised.catalogue import load_family
from engine.supervised.token_rows import encode, iter_places, pack, padding_id, row_limit
from tests.engine.supervised.tiny import make_decoder_tokenizer, make_encoder_tokenizer

TOKENS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6)


@given(rows=st.lists(TOKENS, min_size=1, max_size=8), data=st.data())
def test_padded(rows: list[list[int]], data: st.DataObject) -> None:
    """Any rows come back as they were, filled up on the right to the longest of those asked for."""
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=9))
    packed = pack(rows)
    assert packed.lengths.tolist() == [len(row) for row in rows]
    longest = max(len(rows[place]) for place in places)
    expected = [rows[place] + [-5] * (longest - len(rows[place])) for place in places]
    assert packed.padded(torch.tensor(places), fill=-5).tolist() == expected


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=20), size=st.integers(1, 6))
def test_places(lengths: list[int], size: int) -> None:
    """Every row is gone through once, the longest first, in full batches but for the last."""
    batches = [places.tolist() for places in iter_places(torch.tensor(lengths), batch_size=size)]
    order = [place for batch in batches for place in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[place] for place in order] == sorted(lengths, reverse=True)
    assert {len(batch) for batch in batches[:-1]} <= {size}


def test_the_tokenizer_s_padding() -> None:
    """Rows are filled up with the padding token, the end of text where there is none, or 0."""
    encoder, decoder = make_encoder_tokenizer(["a"]), make_decoder_tokenizer(["a"])
    assert padding_id(encoder) == encoder.pad_token_id
    assert padding_id(decoder) == decoder.eos_token_id
    decoder.eos_token = None
    assert padding_id(decoder) == 0


def test_cut() -> None:
    """Rows are cut to the length asked for, or the tokenizer's own where that is less."""
    words = make_encoder_tokenizer(["a"])
    limit = row_limit(words, 16, field="training.max_length")
    found = encode([("a " * 40,), ("a",)], words, max_length=limit)
    assert found.tokens.lengths.tolist() == [16, 3]
    words.model_max_length = 12
    assert row_limit(words, 16, field="training.max_length") == 12
    words.model_max_length = 4
    with pytest.raises(DataError, match="use a window length of at least 5") as caught:
        row_limit(words, 16, field="evaluation.max_length")
    assert caught.value.field == "evaluation.max_length"


def test_no_family_for_text(tmp_path: Path) -> None:
    """A causal-lm head is refused with the heads that have a family."""
    with pytest.raises(SpecError, match="accepted here are classification, span-qa, seq2seq"):
        load_family(ExperimentSpec(), data_folder=tmp_path, mirror=None)
