"""Codes of 2 to 8 bits without gaps in bytes, and back: 3 bits take 3 bits. Start with `pack`.

Eight codes make as many bytes as a code has bits, the first code in the lowest bits of the first
byte. LoftQ's published code packs 8 // bits codes per byte, which leaves out 3 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

_CODES_PER_WORD = 8
_BYTE = 255


def packed_size(count: int, bits: int) -> int:
    """Return the bytes of so many codes, the last byte filled up with zeros."""
    return -(-count * bits // 8)


def pack(codes: Tensor, bits: int) -> Tensor:
    """Pack codes.

    Args:
        codes: uint8 of any shape, each below 2^bits; read in memory order.
        bits: 1 to 8.

    Returns:
        (packed_size,) uint8.
    """
    flat = codes.reshape(-1)
    if bits == 8:
        return flat.clone()
    num_words = -(-len(flat) // _CODES_PER_WORD)
    padded = flat.new_zeros(num_words * _CODES_PER_WORD)
    padded[: len(flat)] = flat
    columns = padded.view(num_words, _CODES_PER_WORD)
    words = torch.zeros(num_words, dtype=torch.int64, device=codes.device)
    for place in range(_CODES_PER_WORD):
        words |= columns[:, place].long() << (bits * place)
    found = torch.empty(num_words, bits, dtype=torch.uint8, device=codes.device)
    for place in range(bits):
        found[:, place] = (words >> (8 * place)) & _BYTE
    return found.view(-1)[: packed_size(len(flat), bits)].clone()


def unpack(packed: Tensor, bits: int, *, count: int) -> Tensor:
    """Return the (count,) uint8 codes that were packed.

    Args:
        packed: (packed_size,) uint8.
        bits: 1 to 8, as they were packed.
        count: How many codes there were.
    """
    if bits == 8:
        return packed[:count].clone()
    num_words = -(-count // _CODES_PER_WORD)
    padded = packed.new_zeros(num_words * bits)
    padded[: len(packed)] = packed
    columns = padded.view(num_words, bits)
    words = torch.zeros(num_words, dtype=torch.int64, device=packed.device)
    for place in range(bits):
        words |= columns[:, place].long() << (8 * place)
    found = torch.empty(num_words, _CODES_PER_WORD, dtype=torch.uint8, device=packed.device)
    for place in range(_CODES_PER_WORD):
        found[:, place] = (words >> (bits * place)) & ((1 << bits) - 1)
    return found.view(-1)[:count].clone()
