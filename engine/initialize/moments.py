"""Second moments of the inputs of layers on calibration text, in one forward pass.

Layers that read the same tensor share one matrix. Start with `collect_moments`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
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
    collection = _Collection()
    with collection.observing(modules):
        for index, tokens in enumerate(windows):
            split.hidden(tokens.unsqueeze(0).to(device))
            collection.end_window()
            progress(index + 1, len(windows))
    return collection.moments


class _Collection:
    """Moments by layer; layers that read the same tensor hold the same matrix.

    A layer that is called again in a window, as DeBERTa's keys are for relative positions, gets a
    matrix of its own: those it shared with read other inputs than it does.
    """

    def __init__(self) -> None:
        self.moments: dict[str, Tensor] = {}
        self._called: set[str] = set()
        self._alone: set[str] = set()
        self._last: tuple[Tensor, Tensor] | None = None

    @contextmanager
    def observing(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """Take the inputs of these modules for a while."""
        handles = [
            module.register_forward_pre_hook(partial(self._observe, name))
            for name, module in modules.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def end_window(self) -> None:
        """Forget what belongs to one pass."""
        self._called.clear()
        self._last = None

    def _observe(self, name: str, _: nn.Module, args: tuple[Any, ...]) -> None:
        inputs: Tensor = args[0]
        if name in self._called and name not in self._alone:
            self._alone.add(name)
            self.moments[name] = self.moments[name].clone()
        self._called.add(name)
        if name in self._alone:
            self._add(name, inputs)
        elif self._last is not None and self._last[0] is inputs:
            self.moments[name] = self._last[1]
        else:
            self._add(name, inputs)
            self._last = (inputs, self.moments[name])

    def _add(self, name: str, inputs: Tensor) -> None:
        rows = inputs.detach().reshape(-1, inputs.shape[-1]).float()
        if name in self.moments:
            self.moments[name].addmm_(rows.t(), rows)
        else:
            self.moments[name] = rows.t() @ rows
