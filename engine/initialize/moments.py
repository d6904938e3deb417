"""Second moments of the inputs of layers on calibration text, in one forward pass.

Layers that read the same tensor share one matrix. Start with `collect_moments`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from engine.layers.headed import AnyModel


@torch.no_grad()
def collect_moments(
    split: AnyModel,
    modules: Mapping[str, nn.Module],
    windows: Tensor,
    *,
    progress: Callable[[int, int], None],
) -> dict[str, Tensor]:
    """Run text through the model and sum x·xᵀ for every named layer.

    Args:
        split: The model as it should be while observed, usually unrounded.
        modules: Layers to observe, by name.
        windows: (N, T) int64 on the CPU.
        progress: Told of windows done and in all.

    Returns:
        Name to (I, I) float32; layers with the same input hold the same tensor.
    """
    device = next(split.body.parameters()).device
    moments: dict[str, Tensor] = {}
    with _observed(modules, moments):
        for index, tokens in enumerate(windows):
            split.hidden(tokens.unsqueeze(0).to(device))
            progress(index + 1, len(windows))
    return moments


@contextmanager
def _observed(modules: Mapping[str, nn.Module], moments: dict[str, Tensor]) -> Iterator[None]:
    last: list[tuple[Tensor, Tensor]] = []
    handles = [
        module.register_forward_pre_hook(_Observer(name, moments, last))
        for name, module in modules.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Observer:
    """Adds a layer's input to its moments; remembers the last input to share the work."""

    def __init__(
        self, name: str, moments: dict[str, Tensor], last: list[tuple[Tensor, Tensor]]
    ) -> None:
        self._name = name
        self._moments = moments
        self._last = last

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        del module
        inputs: Tensor = args[0]
        if self._last and self._last[0][0] is inputs:
            self._moments[self._name] = self._last[0][1]
            return
        rows = inputs.detach().reshape(-1, inputs.shape[-1]).float()
        if self._name in self._moments:
            self._moments[self._name].addmm_(rows.t(), rows)
        else:
            self._moments[self._name] = rows.t() @ rows
        self._last[:] = [(inputs, self._moments[self._name])]
