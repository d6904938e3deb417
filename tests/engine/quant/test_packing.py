"""Promises of packing: nothing is lost, nothing is left between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.quant.packing import pack, packed_size, unpack


@given(bits=st.integers(2, 8), count=st.integers(0, 70), seed=st.integers(0, 99))
def test_codes_come_back(bits: int, count: int, seed: int) -> None:
    """Any number of codes of any width comes back exactly from as few bytes as hold them."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(2**bits, (count,), generator=generator, dtype=torch.uint8)
    packed = pack(codes, bits)
    assert packed.dtype == torch.uint8
    assert len(packed) == packed_size(count, bits) == -(-count * bits // 8)
    assert torch.equal(unpack(packed, bits, count=count), codes)


@pytest.mark.parametrize("bits", range(2, 9))
def test_bits_lie_one_after_another(bits: int) -> None:
    """The bytes are those of writing every code's bits in turn, the lowest first."""
    codes = torch.randint(2**bits, (3, 11), dtype=torch.uint8)
    rows = (codes.numpy().reshape(-1, 1) >> np.arange(bits, dtype=np.uint8)) & 1
    assert pack(codes, bits).numpy().tobytes() == np.packbits(rows, bitorder="little").tobytes()
