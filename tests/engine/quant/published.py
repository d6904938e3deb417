"""INT4_ASYM and INT4_SYM as published (NNCF 3.4), one number after another: slow and plain.

Restated from the formulas, in float32 arithmetic rounded after every operation: NumPy scalars. A
number divided by a tensor is, in PyTorch, the number times the tensor's reciprocal; so it is here.
Start with `fake_quantize_asymmetric`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

F = np.float32
LEVELS = F(15)
EPSILON = np.finfo(np.float32).eps


def asymmetric_parameters(group: Sequence[F]) -> tuple[F, F]:
    """Return input_low and input_range of a group."""
    low, high = min(F(0), *group), max(F(0), *group)
    scale = F(F(high - low) / LEVELS)
    if abs(scale) < EPSILON:
        scale = EPSILON
    zero_point = F(min(max(0 - int(np.rint(F(low / scale))), 0), 15))
    return F(-zero_point * scale), F(F(scale * LEVELS) - F(1e-16))


def tuned(low: F, extent: F) -> tuple[F, F]:
    """Return the range with zero on the grid: the lower end moved or the upper, as is wider."""
    safe = F(abs(extent) + F(1e-16))
    lower, upper = min(low, F(0)), max(F(safe + low), F(0))
    zero_point = F(np.rint(F(-lower * _divided(LEVELS, F(upper - lower)))))
    moved_lower, moved_upper = lower, upper
    if zero_point < LEVELS:
        moved_lower = F(F(zero_point / F(zero_point - LEVELS)) * upper)
    if zero_point > 0:
        moved_upper = F(F(F(zero_point - LEVELS) / zero_point) * lower)
    if F(upper - moved_lower) > F(moved_upper - lower):
        return moved_lower, F(upper - moved_lower)
    return lower, F(moved_upper - lower)


def symmetric_scale(group: Sequence[F]) -> F:
    """Return the signed scale of a group, 8 steps long."""
    low, high = abs(min(group)), abs(max(group))
    step = F((low if low >= high else -high) / F(8))
    if abs(step) < EPSILON:
        step = EPSILON
    return F(F(step * F(16)) / F(2))


def symmetric_range(scale: F) -> tuple[F, F]:
    """Return lower end and width of the grid of a signed scale."""
    low = -scale if scale > 0 else F(F(-scale / F(-8)) * F(7))
    return low, abs(F(F(1.875) * scale))


def rounded(value: F, low: F, width: F) -> F:
    """Return a weight rounded to the grid that begins at `low`."""
    scale = _divided(LEVELS, width)
    zero_point = np.rint(F(-low * scale))
    clipped = min(max(value, low), F(low + width))
    return F(F(np.rint(F(F(F(clipped - low) * scale) - zero_point))) / scale)


def fake_quantize_asymmetric(weight: Tensor, group_size: int) -> Tensor:
    """Round (O, I) weights in INT4_ASYM."""
    return _by_groups(weight, group_size, _asymmetric_group)


def fake_quantize_symmetric(weight: Tensor, group_size: int) -> Tensor:
    """Round (O, I) weights in INT4_SYM."""
    return _by_groups(weight, group_size, _symmetric_group)


def _asymmetric_group(group: Sequence[F]) -> list[F]:
    low, width = tuned(*asymmetric_parameters(group))
    return [rounded(value, low, width) for value in group]


def _symmetric_group(group: Sequence[F]) -> list[F]:
    low, width = symmetric_range(symmetric_scale(group))
    return [rounded(value, low, width) for value in group]


def _by_groups(weight, group_size, function) -> Tensor:
    groups = weight.float().reshape(-1, group_size).numpy()
    rows = [function(list(group)) for group in groups]
    return torch.from_numpy(np.array(rows, dtype=np.float32)).view(weight.shape)


def _divided(number: F, value: F) -> F:
    return F(F(F(1) / value) * number)
