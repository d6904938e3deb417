"""PEFT's side of the LoftQ benchmark: its own `loftq_init`, with its device moved to the CPU.

PEFT computes on "cuda" or "xpu", a constant inside the function; here the same code runs with that
constant changed. It rounds with bitsandbytes, which also works on CPUs. Start with `load_peft`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor

from tests.benchmarks.report import CannotMeasure

LoftqInit = Callable[..., tuple[Tensor, Tensor, Tensor]]
_DEVICES = {"cuda": "cpu", "xpu": "cpu"}


def load_peft() -> LoftqInit:
    """Return `loftq_init(weight, num_bits, reduced_rank, num_iter)`, which gives Q, A and B.

    Raises:
        CannotMeasure: When PEFT or bitsandbytes is not installed, or PEFT's function is another.
    """
    for name in ("peft", "bitsandbytes"):
        if find_spec(name) is None:
            raise CannotMeasure(
                f"this benchmark measures beside PEFT, which needs {name}; "
                'run pip install -c constraints.txt ".[bench]"'
            )
    module: Any = import_module("peft.utils.loftq_utils")
    published = getattr(module.loftq_init, "__wrapped__", module.loftq_init)
    code: CodeType = published.__code__
    if "cuda" not in code.co_consts:
        raise CannotMeasure("this version of PEFT chooses its device otherwise; use 0.21.2")
    constants = tuple(_DEVICES.get(each, each) for each in code.co_consts)
    moved = code.replace(co_consts=constants)
    return FunctionType(moved, published.__globals__, argdefs=published.__defaults__)
