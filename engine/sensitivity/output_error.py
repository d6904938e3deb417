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

from engine.events import Listener, Logged
from engine.models.naming import split_name
from engine.sensitivity.fisher import Modules, Score
from engine.sensitivity.prefix import Prefix
from engine.sensitivity.rounding import Rounding
from engine.sensitivity.scored_model import ScoredModel, UnitSums, require_finite

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

    An expert that some tokens are sent to counts them alone, over all tokens; what it gets does not
    tell which window it is of, so it has no standard error.

    Args:
        model: The model, which stands at 16 bits.
        batches: (B, T) int64 each, on the model's device.
        widths: That its layers know.
        listener: Told of scores, and why blocks are not gone through one by one where so.
        progress: Told of layers done and in all.

    Raises:
        ModelError: When an error is not a number.
    """
    num_windows, num_tokens = sum(map(len, batches)), sum(map(Tensor.numel, batches))
    names = model.names
    sums = UnitSums(model.units, METRIC, num_windows, listener)
    rounding, users, done = Rounding(), model.find_users(), 0
    prefix = Prefix(model.root, model.split, model.start.layers)
    for stage in _list_stages(model, prefix, batches, listener):
        moments = _observe(model, prefix, stage, batches, users=users)
        for name in stage.names:
            layer = model.start.layers[name]
            scores = {
                bits: _score(
                    rounding.of_layer(layer, bits),
                    moments[name],
                    num_windows=num_windows,
                    num_tokens=num_tokens,
                )
                for bits in widths
            }
            require_finite(scores, f"the output error of {name}")
            sums.add(name, scores)
            done += 1
            progress(done, len(names))
        del moments  # before those of the next block are made


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


def _list_stages(
    model: ScoredModel, prefix: Prefix, batches: Sequence[Tensor], listener: Listener
) -> list[_Stage]:
    """Return a stage for each block and one for what is outside.

    One for all where blocks cannot be run one by one; the log says why.
    """
    blocks = {name: split_name(name).block for name in model.names}
    reason = prefix.find_obstacle(batches)
    if reason:
        if len(set(blocks.values())) > 1:
            told = f"Second moments of all blocks are in memory at once: {reason}."
            listener(Logged("warning", told))
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
        is_apart: Whether all that came in could be told apart by window; a table's is in pieces
            otherwise, and of a linear layer there is none.
    """

    products: Tensor | None = None
    squares: list[Tensor] = field(default_factory=list)
    is_apart: bool = True

    def add(self, inputs: Tensor, batch: torch.Size) -> None:
        """Take (..., I) inputs of a linear layer, of (B, T) tokens."""
        rows = inputs.flatten(0, -2).float()
        if self.products is None:
            self.products = torch.zeros(rows.shape[1], rows.shape[1], device=rows.device)
        self.products.addmm_(rows.t(), rows)
        is_shaped = inputs.dim() > 2 and inputs.shape[:2] == batch
        if is_shaped or inputs.shape[0] == batch.numel():  # some families flatten (B, T)
            windows = rows.view(batch[0], -1, rows.shape[1])
            self.squares += list(windows.square().sum(1).double())
        else:
            self.is_apart = False

    def add_rows(self, rows: Tensor, batch: torch.Size, *, num_rows: int) -> None:
        """Take the rows of a table that are looked up for (B, T) tokens; (T,) are so for each."""
        if rows.numel() == batch[1]:
            rows = rows.reshape(1, -1).expand(batch)
        if rows.shape != batch and rows.shape[0] != batch.numel():
            self.is_apart = False
        windows = rows.reshape(batch[0], -1) if self.is_apart else rows.reshape(1, -1)
        self.squares += [each.bincount(minlength=num_rows).double() for each in windows]


def _score(
    error: Tensor, moments: Sequence[_Moments], *, num_windows: int, num_tokens: int
) -> Score:
    """Return the squared output error of ΔW, (O, I), per token; ΔW is overwritten."""
    value = 0.0
    for each in moments:
        if each.products is not None:
            value += float(((error @ each.products) * error).sum(dtype=torch.float64))
    squared, windows = error.square_(), list[Tensor]()
    for each in moments:
        if each.products is None or each.is_apart:
            weights = squared.sum(0 if each.products is not None else 1, dtype=torch.float64)
            windows.append(torch.stack(each.squares) @ weights)  # (N,)
        if each.products is None:
            value += float(windows[-1].sum())
    value /= num_tokens
    is_apart = all(each.is_apart and len(each.squares) == num_windows for each in moments)
    if not is_apart or not windows or num_windows < 2:
        return Score(value, None)
    return Score(value, _find_error(torch.stack(windows).sum(0), value))


def _find_error(windows: Tensor, value: float) -> float:
    """Return one standard error of a score by its parts over windows."""
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
    with _watched(model.split.body, [each for each in chosen if each is not head], watch):
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
        self._batch = torch.Size((1, 1))
        self._last: Tensor | None = None
        self._of_last: _Moments | None = None

    def begin(self, body: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        """Note how many windows of how many tokens the body is about to be run on."""
        del body, args
        self._batch = given["input_ids"].shape

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Take what went into a module."""
        del output
        inputs: Tensor = args[0]
        if inputs is self._last and self._of_last is not None:
            self.found.setdefault(module, self._of_last)
            return
        moments = self.found.setdefault(module, _Moments())
        if inputs.is_floating_point():
            moments.add(inputs, self._batch)
        else:
            num_rows = int(getattr(module, "num_embeddings", 0))
            moments.add_rows(inputs, self._batch, num_rows=num_rows)
        self._last, self._of_last = inputs, moments


@contextmanager
def _watched(body: nn.Module, modules: Sequence[nn.Module], watch: _Watch) -> Iterator[None]:
    """Let a watch see what goes into modules of a body, while open."""
    handles = [body.register_forward_pre_hook(watch.begin, with_kwargs=True)]
    handles += [module.register_forward_hook(watch) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
