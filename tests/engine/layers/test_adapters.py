"""Promises of adapter pairs: float32, starting at nothing, no larger than the layer."""

from __future__ import annotations

import pytest
import torch

from engine.errors import SpecError
from engine.layers.adapters import LoraPair
from engine.specs import LoraAdapter


def make_pair(shape: tuple[int, int], r: int) -> LoraPair:
    """Build a pair with alpha 6."""
    spec = LoraAdapter(r=r, lora_alpha=6.0)
    return LoraPair(torch.Size(shape), spec, generator=torch.Generator().manual_seed(0))


def test_a_pair_starts_at_nothing_in_float32() -> None:
    """B is zero, A lies within Kaiming's bound, both are float32, s is alpha / rank."""
    pair = make_pair((8, 25), 4)
    assert pair.b.shape == (8, 4)
    assert not pair.b.any()
    assert pair.a.shape == (4, 25)
    assert 0.1 < pair.a.abs().max() <= 0.2
    assert {value.dtype for value in pair.parameters()} == {torch.float32}
    assert pair.low_rank(pair.max_rank).scaling == 1.5
    assert not pair.low_rank(pair.max_rank).a.requires_grad


@pytest.mark.parametrize("shape", [(4, 25), (25, 4)])
def test_a_rank_beyond_the_smaller_side_is_refused(shape: tuple[int, int]) -> None:
    """The largest rank a layer allows is its smaller side, and the refusal says so."""
    assert make_pair(shape, 4).a.shape[0] == 4
    with pytest.raises(SpecError, match=r"adapter\.r: 5 is more than .* use at most 4"):
        make_pair(shape, 5)
