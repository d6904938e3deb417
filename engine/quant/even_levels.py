"""The evenly spaced codebooks of LoftQ's code: levels from −1 to 1, times a scale from deviations.

Source: LoftQ (Li et al. 2023, arXiv:2310.08659), whose code has two such variants. There is no
level at zero, and what lies beyond the scale is clipped. Start with `even_levels`.

We differ where the published scale would fail: a block's mean counts by its magnitude, so that a
block of negative weights has a scale above zero, and the levels of a whole layer are centered at
zero, from which the means of weights differ by a thousandth of their deviation.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_DEVIATIONS = 2.5
TENSOR_DEVIATIONS = 2.0


def even_levels(bits: int) -> Tensor:
    """Return the (2^bits,) evenly spaced levels from −1 to 1, float32."""
    return torch.linspace(-1, 1, 1 << bits, dtype=torch.float64).float()


def block_scale(grouped: Tensor) -> Tensor:
    """Return |mean| + 2.5 standard deviations of each group of (O, G, g) weights, (O, G)."""
    deviation, mean = torch.std_mean(grouped.float(), dim=-1)
    return mean.abs() + BLOCK_DEVIATIONS * deviation


def tensor_scale(grouped: Tensor) -> Tensor:
    """Return two standard deviations of all (O, G, g) weights, the same for every group, (O, G)."""
    deviation = TENSOR_DEVIATIONS * torch.std(grouped.float())
    return deviation.expand(grouped.shape[:2]).clone()
