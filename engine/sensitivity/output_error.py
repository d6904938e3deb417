"""The squared error of each layer's outputs, in one forward pass over calibration text.

Per token that is tr(ΔW·H·ΔWᵀ), H = mean xxᵀ of what goes into the layer. Blocks are gone through
one by one over the whole text (`prefix`), so that the second moments of one block are in memory at
a time: I² float32 numbers for each input that layers share, some 650 MiB for a block of a model of
seven billion weights. Where blocks cannot be run one by one it is those of all. Start with
`score_outputs`.

Source: the layer-wise error of Nagel et al. 2020, AdaRound (arXiv 2004.10568), and Frantar et al.
2022, GPTQ (arXiv 2210.17323), eq. 1, summed over outputs. We differ in nothing but the mean over
tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from engine.events import Listener
from engine.models.naming import split_name
from engine.sensitivity.fisher import Modules, Score
from engine.sensitivity.prefix import Prefix
from engine.sensitivity.rounding import Rounding
from engine.sensitivity.scored_model import ScoredModel, UnitSums

METRIC = "output_error"


@torch.no_grad()
def score_outputs(
    model: ScoredModel,
    batches: Sequence[Tensor],
    widths: tuple[int, ...],
    *,
    listener: Listener,
    progress: Callable[[int, int], None],
) -> None:
    """Announce the mean squared error per token of every unit's outputs at every width.

    A table's error is that of the rows that are looked up. A standard error is the score times the
    relative error over windows of its diagonal part, Σ diag(H)·ΔW², whose windows are kept apart.

    Args:
        model: The model, which stands at 16 bits.
        batches: (B, T) int64 each, on the model's device.
        widths: That its layers know.
        listener: Told of scores.
        progress: Told of layers done and in all.
    """
    num_windows, names = sum(map(len, batches)), model.names
    sums = UnitSums(model.units, METRIC, num_windows, listener)
    rounding, users, done = Rounding(), model.find_users(), 0
    prefix = Prefix(model.root, model.split, model.start.layers)
    for stage in _list_stages(model, prefix, batches):
        moments = _observe(model, prefix, stage, batches, users=users)
        for name in stage.names:
            layer = model.start.layers[name]
            scores = {
                bits: _score(rounding.of_layer(layer, bits), moments[name]) for bits in widths
            }
            sums.add(name, scores)
            done += 1
            progress(done, len(names))


@dataclass(frozen=True)
class _Stage:
    """Layers whose inputs are looked at together.

    Attributes:
        first: The block to run from.
        last: The block to end with; None to run to the end.
    """

    names: tuple[str, ...]
    first: int
    last: int | None


def _list_stages(model: ScoredModel, prefix: Prefix, batches: Sequence[Tensor]) -> list[_Stage]:
    """Return a stage for each block and one for what is outside; one for all where need be."""
    blocks = {name: split_name(name).block for name in model.names}
    if prefix.find_obstacle(batches):
        return [_Stage(model.names, 0, None)]
    stages = [
        _Stage(names, block, block)
        for block in range(len(prefix.blocks))
        if (names := tuple(name for name, place in blocks.items() if place == block))
    ]
    outside = tuple(name for name, place in blocks.items() if place is None)
    return [*stages, _Stage(outside, len(prefix.blocks), None)] if outside else stages


@dataclass
class _Moments:
    """What goes into the modules that share an input, summed over tokens.

    Attributes:
        products: (I, I) float32 Σ xxᵀ; None for a table.
        squares: (I,) float64 of each window: diag Σ xxᵀ, or how often each row is looked up.
        num_tokens: Tokens in all.
    """

    products: Tensor | None = None
    squares: list[Tensor] = field(default_factory=list)
    num_tokens: int = 0

    def add(self, inputs: Tensor) -> None:
        """Take (B, T, I) inputs of a linear layer."""
        rows = inputs.flatten(0, -2).float()
        if self.products is None:
            self.products = torch.zeros(rows.shape[1], rows.shape[1], device=rows.device)
        self.products.addmm_(rows.t(), rows)
        self.squares += list(inputs.float().square().sum(1).double())
        self.num_tokens += len(rows)

    def add_rows(self, rows: Tensor, *, num_rows: int) -> None:
        """Take (B, T) rows of a table that are looked up."""
        self.squares += [each.bincount(minlength=num_rows).double() for each in rows]
        self.num_tokens += rows.numel()


def _score(error: Tensor, moments: Sequence[_Moments]) -> Score:
    """Return the mean squared output error of ΔW, (O, I), which is overwritten."""
    value, windows = 0.0, None
    wholes = [each for each in moments if each.products is not None]
    for each in wholes:
        assert each.products is not None
        value += float(((error @ each.products) * error).sum(dtype=torch.float64)) / each.num_tokens
    squared = error.square_()
    for each in moments:
        weights = squared.sum(0 if each.products is not None else 1, dtype=torch.float64)
        parts = torch.stack(each.squares) @ weights  # (N,)
        if each.products is None:
            value += float(parts.sum()) / each.num_tokens
        windows = parts if windows is None else windows + parts
    return Score(value, _relative_error(windows, value))


def _relative_error(windows: Tensor | None, value: float) -> float | None:
    """Return one standard error of a score by its parts over windows."""
    if windows is None or len(windows) < 2:
        return None
    mean = float(windows.mean())
    return value * float(windows.std()) / math.sqrt(len(windows)) / mean if mean else 0.0


def _observe(
    model: ScoredModel,
    prefix: Prefix,
    stage: _Stage,
    batches: Sequence[Tensor],
    *,
    users: Mapping[str, Modules],
) -> dict[str, list[_Moments]]:
    """Run a stage over all windows; return what went into each of its layers, by user."""
    watch = _Watch()
    prefix.move(stage.first, batches)
    chosen = [module for name in stage.names for module in users[name].values()]
    head = model.split.head
    with _watched([module for module in chosen if module is not head], watch):
        if stage.last is None:
            for batch, tokens in enumerate(batches):
                hidden = prefix.hidden(tokens, batch)
                if any(module is head for module in chosen):  # its outputs are not needed
                    watch(head, (hidden,), None)
        else:
            prefix.move(stage.last + 1, batches)
    return {
        name: [watch.found[module] for module in users[name].values() if module in watch.found]
        for name in stage.names
    }


class _Watch:
    """Adds up what goes into modules; those that are given the same tensor share the sums."""

    def __init__(self) -> None:
        self.found: dict[nn.Module, _Moments] = {}
        self._last: Tensor | None = None
        self._of_last: _Moments | None = None

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        del output
        inputs: Tensor = args[0]
        if inputs is self._last and self._of_last is not None:
            self.found.setdefault(module, self._of_last)
            return
        moments = self.found.setdefault(module, _Moments())
        if inputs.is_floating_point():
            moments.add(inputs)
        else:
            rows = inputs.expand(1, -1) if inputs.dim() == 1 else inputs
            moments.add_rows(rows, num_rows=int(getattr(module, "num_embeddings", 0)))
        self._last, self._of_last = inputs, moments


@contextmanager
def _watched(modules: Sequence[nn.Module], watch: _Watch) -> Iterator[None]:
    """Let a watch see what goes into modules, while open."""
    handles = [module.register_forward_hook(watch) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
