"""Fractions of bits by the published rule: first blocks, whole widths, clear refusals."""

from __future__ import annotations

import pytest

from engine.allocation.fractions import Widths, find_block, mean_bits, spread_widths
from engine.errors import SpecError

LAYERS_PER_BLOCK = 2


def decoder(num_blocks: int) -> dict[str, int]:
    """Return a decoder's layers with their weights, listed from the last block to the first."""
    return {
        f"model.layers.{block}.{kind}": size
        for block in reversed(range(num_blocks))
        for kind, size in (("self_attn.q_proj", 64), ("mlp.up_proj", 256))
    }


def count(widths: Widths, width: int) -> int:
    """Return how many blocks have a width."""
    return list(widths.values()).count(width) // LAYERS_PER_BLOCK


@pytest.mark.parametrize(
    ("num_blocks", "bits", "num_high"),
    [(32, 2.25, 4), (32, 2.5, 8), (32, 3.5, 24), (30, 2.4, 6), (30, 2.25, 3), (30, 3.9, 28)],
)
def test_published_counts(num_blocks: int, bits: float, num_high: int) -> None:
    """Of 32 blocks 2.25 bits give four blocks 4 bits and 2.5 give eight, as published."""
    widths = spread_widths(decoder(num_blocks), bits)
    assert (count(widths, 4), count(widths, 2)) == (num_high, num_blocks - num_high)
    assert all(widths[f"model.layers.{block}.mlp.up_proj"] == 4 for block in range(num_high))


@pytest.mark.parametrize(("bits", "num_high"), [(4.5, 4), (6.3, 18), (7.9, 31)])
def test_four_and_eight(bits: float, num_high: int) -> None:
    """Between 4 and 8 bits the same rule mixes 8 and 4."""
    widths = spread_widths(decoder(32), bits)
    assert (count(widths, 8), count(widths, 4)) == (num_high, 32 - num_high)


@pytest.mark.parametrize("bits", [2, 3, 4, 7, 8])
def test_whole_widths_are_uniform(bits: int) -> None:
    """A whole number of bits is every layer's width."""
    assert set(spread_widths(decoder(4), bits).values()) == {bits}


@pytest.mark.parametrize("bits", [2.25, 2.5, 2.99, 3.3, 4.2, 5.55, 7.75])
def test_the_mean_is_not_exceeded(bits: float) -> None:
    """The mean over weights stays at or below what was asked, less than a block away from it."""
    sizes = decoder(24) | {"lm_head": 1000}
    inside = {name: size for name, size in sizes.items() if name != "lm_head"}
    widths = spread_widths(sizes, bits)
    assert mean_bits(widths, sizes) <= bits
    step = (2 if bits < 4 else 4) / 24
    reached = mean_bits({name: widths[name] for name in inside}, inside)
    assert bits - step < reached <= bits


def test_layers_outside_blocks_get_the_lower_width() -> None:
    """Embeddings and heads are in no block."""
    widths = spread_widths(decoder(4) | {"model.embed_tokens": 9, "lm_head": 9}, 3.5)
    assert widths["model.embed_tokens"] == widths["lm_head"] == 2


def test_the_encoder_comes_first() -> None:
    """An encoder's blocks come before its decoder's, whatever order the layers are listed in."""
    sizes = {
        f"model.{stack}.layers.{block}.fc1": 8
        for stack in ("decoder", "encoder")
        for block in range(12)
    }
    widths = spread_widths(sizes, 3.2)
    high = [name for name, width in widths.items() if width == 4]
    encoder = {f"model.encoder.layers.{block}.fc1" for block in range(12)}
    assert set(high) == encoder | {"model.decoder.layers.0.fc1", "model.decoder.layers.1.fc1"}


def test_blocks_are_told_by_number() -> None:
    """Block 10 comes after block 9, and a number further in is no block."""
    second, tenth = find_block("h.2.attn"), find_block("h.10.attn")
    assert second is not None
    assert tenth is not None
    assert second < tenth
    assert find_block("encoder.block.3.layer.1.DenseReluDense.wi") == (0, "encoder.block", 3)
    assert find_block("lm_head") is None


@pytest.mark.parametrize(
    ("num_blocks", "bits", "message"),
    [
        (6, 2.05, "2.05 of 6 blocks gives no block 4 bits; use 2, or at least 2.34"),
        (30, 4.1, "4.1 of 30 blocks gives no block 8 bits; use 4, or at least 4.14"),
        (2, 2.5, "2.5 of 2 blocks gives no block 4 bits; use 2, 3, or at least 3.01"),
        (1, 2.9, "2.9 of 1 block gives no block 4 bits; use 2 or 4"),
        (0, 2.9, "no selected layer is in one; use 2 or 4"),
    ],
)
def test_too_few_blocks(num_blocks: int, bits: float, message: str) -> None:
    """A fraction that gives no block the higher width is refused with the nearest that does."""
    with pytest.raises(SpecError) as refused:
        spread_widths(decoder(num_blocks) | {"lm_head": 4}, bits)
    assert refused.value.problems[0].field == "quantizer.bits"
    assert message in refused.value.problems[0].message


@pytest.mark.parametrize("num_blocks", [2, 3, 6, 7, 13, 30])
@pytest.mark.parametrize("bits", [2.01, 4.01])
def test_what_is_proposed_works(num_blocks: int, bits: float) -> None:
    """The fraction a refusal names is accepted and gives one block the higher width."""
    with pytest.raises(SpecError) as refused:
        spread_widths(decoder(num_blocks), bits)
    proposed = float(refused.value.problems[0].message.rsplit(" ", 1)[-1])
    assert count(spread_widths(decoder(num_blocks), proposed), 4 if bits < 4 else 8) == 1
