"""A body run from one of its blocks on, with what the blocks before it put out kept.

What is switched in block l changes nothing before it. So the output of block l − 1 at the start map
is kept for all windows, and handed back in place of running the blocks up to there. One block's
output is kept at a time: whoever scores block after block moves it along, at the cost of one pass
over all. Works on any model whose blocks stand in one list and hand their output to the next, as
all decoders of Transformers do; the forwards of blocks that are left out stand aside while the body
runs, and nothing is left behind. Start with `Prefix`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from engine.device import free_memory_bytes, is_out_of_memory
from engine.layers.head import SplitModel
from engine.models.naming import split_name
from engine.sensitivity.inside import HandBack, Inside
from engine.sensitivity.units import list_units

MIB = 2**20
FREE_SHARE = 0.25
"""Of the free memory, for what is kept."""
WITHIN = 1e-5
"""How far, relative to the largest, hidden states may be off from those of the whole body."""
SHARED = "the model's blocks share more than what one hands to the next"
MAX_TOLD = 200
"""Characters of an error in the log."""


class Prefix:
    """The body of a model, run over batches of windows from a block on.

    Attributes:
        blocks: The model's blocks, in order; empty where they are not known.
        place: The first block that is run; what came before it is kept.
    """

    def __init__(self, root: nn.Module, split: SplitModel, names: Iterable[str]) -> None:
        """Find the blocks.

        Args:
            root: The module that names of layers start from.
            split: The same model as body and head.
            names: Of layers in its blocks.
        """
        inside = tuple(name for name in names if split_name(name).block is not None)
        self.blocks: Sequence[nn.Module] = _find_blocks(root, inside)
        self.place = 0
        self._layers = [root.get_submodule(name) for name in inside]
        self._split = split
        self._kept: list[Any] = []
        self._inside: Inside | None = None

    def hidden(self, tokens: Tensor, batch: int, *, switched: Sequence[nn.Module] = ()) -> Tensor:
        """Map (B, T) tokens of a batch to the last hidden states (B, T, D).

        Args:
            tokens: On the model's device.
            batch: Which batch they are, as in `move`.
            switched: The layers of the first block that are not at the start map, where what the
                block computes before them need not be computed again.
        """
        with self._shortened(batch, switched):
            return self._split.hidden(tokens)

    @torch.no_grad()
    def move(self, place: int, batches: Sequence[Tensor]) -> None:
        """Keep what blocks before `place` put out at the map the model stands at.

        Args:
            place: The first block to run from now on; the number of blocks leaves all out.
            batches: All (B, T) tokens, on the model's device.
        """
        if place < self.place:
            self.forget()
        if place == self.place:
            return
        self._kept = self._kept or [None] * len(batches)
        self._inside = None
        try:
            for batch, tokens in enumerate(batches):
                with self._shortened(batch), _caught(self.blocks[place - 1]) as caught:
                    self._split.hidden(tokens)
                self._kept[batch] = caught[0]
        except BaseException:
            self.forget()  # some batches are further than others
            raise
        self.place = place

    @torch.no_grad()
    def look_inside(self, batches: Sequence[Tensor]) -> None:
        """Keep what the parts of the first block put out as well, where that fits into memory.

        Args:
            batches: All (B, T) tokens, on the model's device.
        """
        if self._inside is not None or self.place >= len(self.blocks):
            return
        block = self.blocks[self.place]
        own = set(block.modules())
        found = Inside(block, [layer for layer in self._layers if layer in own])
        free = FREE_SHARE * free_memory_bytes(self._split.head_weight.device)
        for batch, tokens in enumerate(batches):
            with self._shortened(batch), found.recorded(), _caught(block):
                self._split.hidden(tokens)
            if found.num_bytes() * len(batches) > free * (batch + 1):
                found = Inside(block, [])
                break
        self._inside = found

    def forget(self) -> None:
        """Keep nothing: everything is run from the first block on."""
        self.place, self._kept, self._inside = 0, [], None

    def find_obstacle(self, batches: Sequence[Tensor]) -> str:
        """Return why nothing can be kept of these batches, or nothing where it can.

        Args:
            batches: All (B, T) tokens, on the model's device.

        Raises:
            torch.OutOfMemoryError: When trying it takes more memory than a GPU has; of this machine
                a MemoryError or the RuntimeError of torch. Nothing is kept then.
        """
        if len(self.blocks) < 2:
            return "the model's blocks do not stand in one list"
        weight = self._split.head_weight
        size = sum(map(Tensor.numel, batches)) * weight.shape[1] * weight.element_size()
        free = free_memory_bytes(weight.device)
        if size > FREE_SHARE * free:
            return (
                f"what a block puts out takes {size / MIB:,.0f} MiB, more than a quarter of the "
                f"{free / MIB:,.0f} MiB that are free; fewer or shorter windows would fit"
            )
        return self._find_difference(batches[0])

    @torch.no_grad()
    def _find_difference(self, tokens: Tensor) -> str:
        """Say how the body, run from its middle and its last block, is not what it is whole.

        So it is in families whose last blocks reuse keys of earlier ones: what these left beside
        their output is missed, as a wrong result or, where it is looked up, as an error. Any other
        error of a block looks the same, so it is told; one of memory is raised.
        """
        whole = self._split.hidden(tokens).float()
        most = WITHIN * whole.abs().max()
        try:
            for place in sorted({len(self.blocks) // 2, len(self.blocks) - 1}):
                if not (whole - self._run_from(place, tokens)).abs().max() <= most:
                    return SHARED
        except Exception as error:  # of the model's own code, which may raise anything
            if is_out_of_memory(error):
                raise
            told = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_TOLD]
            return f"run from a later block the model fails, as where {SHARED} ({told})"
        finally:
            self.forget()
        return ""

    def _run_from(self, place: int, tokens: Tensor) -> Tensor:
        """Return what the body gives from a block on, of which the last layer is switched."""
        self.move(place, [tokens])
        self.look_inside([tokens])
        own = set(self.blocks[place].modules())
        last = [layer for layer in self._layers if layer in own][-1:]
        return self.hidden(tokens, 0, switched=last).float()

    @contextmanager
    def _shortened(self, batch: int, switched: Sequence[nn.Module] = ()) -> Iterator[None]:
        """Let what is kept be handed back instead of computed."""
        skipped: list[tuple[nn.Module, Callable[..., Any]]] = [
            (block, HandBack(self._kept[batch])) for block in self.blocks[: self.place]
        ]
        if self._inside is not None:
            skipped += self._inside.list_kept(switched, batch)
        own = [vars(module).get("forward") for module, _ in skipped]
        try:
            for module, forward in skipped:
                _set_forward(module, forward)
            yield
        finally:
            for (module, _), before in zip(skipped, own, strict=True):
                _set_forward(module, before)


class _Enough(Exception):
    """Ends a pass of which no more is wanted."""


@contextmanager
def _caught(block: nn.Module) -> Iterator[list[Any]]:
    """Catch what a block puts out; the pass ends there."""
    found: list[Any] = []

    def catch(module: nn.Module, args: Any, output: Any) -> None:
        del module, args
        found.append(output)
        raise _Enough

    handle = block.register_forward_hook(catch)
    try:
        with suppress(_Enough):
            yield found
    finally:
        handle.remove()


def _set_forward(module: nn.Module, forward: Callable[..., Any] | None) -> None:
    """Give a module a forward of its own; None gives that of its class back."""
    if forward is None:
        vars(module).pop("forward", None)
    else:
        vars(module)["forward"] = forward


def _find_blocks(root: nn.Module, names: Sequence[str]) -> Sequence[nn.Module]:
    """Return the one list of blocks that layers lie in; nothing where there are several or none."""
    places = {name.rpartition(".")[0] for name in list_units(names, "block")}
    if len(places) != 1:
        return ()
    found = root.get_submodule(places.pop())
    return list(found) if isinstance(found, nn.ModuleList) else ()
