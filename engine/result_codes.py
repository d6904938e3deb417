"""The codes of a result file, turned back into weights. Start with `decode_weight`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from torch import Tensor

from engine.errors import CheckpointError
from engine.quant.grouping import join, split
from engine.quant.packing import unpack
from engine.quant.ranges import asymmetric_grid, narrow_grid, symmetric_grid
from engine.quant.uniform import decode
from engine.tensor_file import TensorFile

WIDEST_CODE = 8
"""Bits of a code that are read; `pack` writes no wider ones."""


@dataclass(frozen=True)
class Codes:
    """What the codes of a layer must be read with: width, the weight's shape, the kind of grid."""

    bits: int
    shape: tuple[int, int]
    is_narrow: bool


def read_described(file: TensorFile) -> dict[str, Codes]:
    """Return what a result says of each layer's codes.

    Raises:
        CheckpointError: When it says nothing, or nothing that can be.
    """
    if "layers" not in file.metadata:
        raise CheckpointError(f"{file.name} is of an older version")
    try:
        described = json.loads(file.metadata["layers"])
        return {name: _read_codes(**layer) for name, layer in described.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{file.name} is damaged: it does not say of each layer how wide its codes are and "
            "which shape they have"
        ) from error


def _read_codes(*, bits: int, shape: list[int], is_narrow: bool = False) -> Codes:
    rows, columns = map(int, shape)
    if not 1 <= bits <= WIDEST_CODE or min(rows, columns) < 1:
        raise ValueError(f"{bits} bits and shape {shape}")
    return Codes(int(bits), (rows, columns), bool(is_narrow))


def decode_weight(file: TensorFile, name: str, described: Codes) -> Tensor:
    """Turn the codes of a layer back, (O, I) float32, whichever grid they are of.

    Raises:
        CheckpointError: When they do not fit what the file says of them.
    """
    try:
        return _compute_weight(file, name, described)
    except (RuntimeError, IndexError) as error:  # of tensors that do not fit each other
        raise CheckpointError(f"{file.name} is damaged at {name}: {error}") from error


def _compute_weight(file: TensorFile, name: str, described: Codes) -> Tensor:
    rows, columns = described.shape
    packed = file.read(f"{name}/codes")
    codes = unpack(packed, described.bits, count=rows * columns).view(rows, columns)
    known = file.list_names()
    several = f"{name}/ranges.{described.bits}."
    ranges = several if any(each.startswith(several) for each in known) else f"{name}/ranges."
    if f"{name}/levels" in known:
        scale = file.read(f"{ranges}scale")
        values = file.read(f"{name}/levels")[split(codes, scale.shape[1]).int()]
        return join(values * scale.unsqueeze(-1))
    if f"{ranges}scale" in known:
        build = narrow_grid if described.is_narrow else symmetric_grid
        grid = build(file.read(f"{ranges}scale"), described.bits)
    else:
        low, extent = (file.read(f"{ranges}{key}") for key in ("low", "extent"))
        grid = asymmetric_grid(low, extent, described.bits)
    return join(decode(split(codes, grid.width.shape[1]), grid))
