"""A rounded weight that is computed once and used many times, with its gradient.

Between `hold` and `release` of a layer the rounded weight stands here as a plain tensor. In
training its gradient is accumulated over the microbatches of an optimizer step and handed on once,
when the last use has run backward; then gradient and weight are freed, so that a whole model never
holds all its gradients at once when there is one microbatch. Start with `HeldWeight`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def multiplied_dtype(device: torch.device, model_dtype: torch.dtype) -> torch.dtype:
    """Return the dtype to multiply in: the model's own on a GPU, float32 on a CPU.

    CPUs without matrix instructions for 16-bit floats multiply float32 four to five times faster.
    """
    return torch.float32 if device.type == "cpu" else model_dtype


class HeldWeight:
    """A rounded weight and the sum of its gradients over an optimizer step.

    Attributes:
        weight: (O, I) rounded weight; converted at each use where another dtype multiplies faster,
            which costs a twentieth of the multiplication and keeps half the memory.
        gradient: (O, I) float32 sum so far, or None before the first.
        is_last: True while the last microbatch of the step runs.
    """

    def __init__(self, weight: Tensor, finish: Callable[[Tensor], None] | None) -> None:
        self.weight = weight
        self.gradient: Tensor | None = None
        self.is_last = False
        self._finish = finish
        self._pending = 0

    @property
    def trains(self) -> bool:
        """Whether anybody waits for the gradient."""
        return self._finish is not None

    def linear(self, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """Multiply (..., I) inputs with the held weight; the result has the inputs' dtype."""
        if not torch.is_grad_enabled():
            wide = self.wide()
            outputs = (inputs.to(wide.dtype) @ wide.t()).to(inputs.dtype)
        else:
            self._pending += 1
            anchor = torch.zeros((), requires_grad=True, device=inputs.device)
            outputs = _held_linear(inputs, anchor, self)
        return outputs if bias is None else outputs + bias

    def wide(self) -> Tensor:
        """Return the weight in the dtype it is multiplied in; itself where that is its own."""
        return self.weight.to(multiplied_dtype(self.weight.device, self.weight.dtype))

    def look_up(self, rows: Tensor) -> Tensor:
        """Return the weight's rows at integer indices (...), as (..., I)."""
        if not (self.trains and torch.is_grad_enabled()):
            return self.weight[rows]
        self._pending += 1
        anchor = torch.zeros((), requires_grad=True, device=rows.device)
        return _held_rows(rows, anchor, self)

    def add_gradient(self, grad_outputs: Tensor, inputs: Tensor) -> None:
        """Add (N, O)ᵀ · (N, I) to the gradient; hand it on after the last use of the step.

        Nothing is added where nobody waits for it.
        """
        if not self.trains:
            return
        if self.gradient is None:
            self.gradient = (grad_outputs.t() @ inputs).float()
        elif inputs.dtype == torch.float32:
            self.gradient.addmm_(grad_outputs.t(), inputs)
        else:
            self.gradient.add_(grad_outputs.t() @ inputs)
        self._used()

    def add_row_gradient(self, grad_outputs: Tensor, rows: Tensor) -> None:
        """Add (N, I) to the gradient of the (N,) rows that were looked up."""
        if self.gradient is None:
            self.gradient = torch.zeros_like(self.weight, dtype=torch.float32)
        self.gradient.index_add_(0, rows, grad_outputs.float())
        self._used()

    def _used(self) -> None:
        self._pending -= 1
        if self.is_last and self._pending == 0:
            self.finish()

    def finish(self) -> None:
        """Hand the gradient on, if there is any; free it and the weight."""
        if self.gradient is not None and self._finish is not None:
            gradient, self.gradient = self.gradient, None
            self.weight = self.weight.new_empty(0)
            self._finish(gradient)


class _HeldLinear(torch.autograd.Function):
    """Linear with a held weight; saves the inputs alone."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, anchor: Tensor, held: HeldWeight) -> Tensor:
        # The anchor makes autograd come back here even where the inputs need no gradient.
        del anchor
        ctx.held = held
        ctx.save_for_backward(inputs)
        wide = held.wide()
        return (inputs.to(wide.dtype) @ wide.t()).to(inputs.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Tensor | None, None, None]:
        (inputs,) = ctx.saved_tensors
        held: HeldWeight = ctx.held
        wide = held.wide()
        rows = grad_outputs.reshape(-1, grad_outputs.shape[-1]).to(wide.dtype)
        grad_inputs = None
        if ctx.needs_input_grad[0]:
            grad_inputs = (rows @ wide).view(inputs.shape).to(inputs.dtype)
        held.add_gradient(rows, inputs.reshape(-1, inputs.shape[-1]).to(wide.dtype))
        return grad_inputs, None, None


class _HeldRows(torch.autograd.Function):
    """Look-up in a held weight."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, anchor: Tensor, held: HeldWeight) -> Tensor:
        del anchor
        ctx.held = held
        ctx.save_for_backward(rows)
        return held.weight[rows]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[None, None, None]:
        (rows,) = ctx.saved_tensors
        held: HeldWeight = ctx.held
        held.add_row_gradient(grad_outputs.reshape(-1, grad_outputs.shape[-1]), rows.reshape(-1))
        return None, None, None


_held_linear = cast("Callable[[Tensor, Tensor, HeldWeight], Tensor]", _HeldLinear.apply)
_held_rows = cast("Callable[[Tensor, Tensor, HeldWeight], Tensor]", _HeldRows.apply)
