"""What the parts of one block put out at the start map, handed back in place of computing it.

A block is gone through part by part: what ended before a switched layer began knows nothing of the
switch, down to the single layer. Which that is, is seen and not known: parts are its layers and the
modules right under the block, and their order is that of the pass of each batch. Start with
`Inside`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class Inside:
    """The parts of a block, in the order they run, and what they put out for each batch."""

    def __init__(self, block: nn.Module, layers: Sequence[nn.Module]) -> None:
        """Choose the parts.

        Args:
            block: A block of a body.
            layers: The layers in it that may be switched.
        """
        children = (each for each in block.children() if not isinstance(each, nn.ModuleList))
        self._parts = list(dict.fromkeys((*layers, *children)))
        self._befores: list[dict[nn.Module, tuple[nn.Module, ...]]] = []
        self._outputs: list[dict[nn.Module, Any]] = []

    def num_bytes(self) -> int:
        """Return what is kept; what several parts hand on counts once."""
        found = {
            tensor.data_ptr(): tensor.numel() * tensor.element_size()
            for outputs in self._outputs
            for output in outputs.values()
            for tensor in _list_tensors(output)
        }
        return sum(found.values())

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Keep what the parts put out while a batch runs through the block, batch after batch.

        Each batch has an order of its own: a block may leave parts out, or run them twice.
        """
        outputs: dict[nn.Module, Any] = {}
        before: dict[nn.Module, tuple[nn.Module, ...]] = {}
        began: set[nn.Module] = set()

        def begin(module: nn.Module, args: Any) -> None:
            del args
            if module in began:  # run twice: which of the two would be handed back?
                before.update(dict.fromkeys(self._parts, ()))
            before.setdefault(module, tuple(outputs))
            began.add(module)

        def end(module: nn.Module, args: Any, output: Any) -> None:
            del args
            outputs[module] = output

        handles = [each.register_forward_pre_hook(begin) for each in self._parts]
        handles += [each.register_forward_hook(end) for each in self._parts]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        self._befores.append(before)
        self._outputs.append(outputs)

    def list_kept(
        self, switched: Sequence[nn.Module], batch: int
    ) -> list[tuple[nn.Module, Callable[..., Any]]]:
        """Return the parts that ended before any switched layer began, with forwards of theirs.

        Empty where a switched layer was not run in that batch, or any part twice.
        """
        if not switched or batch >= len(self._outputs):
            return []
        outputs, before = self._outputs[batch], self._befores[batch]
        first = min((before.get(module, ()) for module in switched), key=len)
        return [(part, HandBack(outputs[part])) for part in first]


class HandBack:
    """A forward that computes nothing."""

    def __init__(self, output: Any) -> None:
        self._output = output

    def __call__(self, *args: Any, **given: Any) -> Any:
        """Return what was kept, whatever comes in."""
        del args, given
        return self._output


def _list_tensors(output: Any) -> list[Tensor]:
    if isinstance(output, tuple):
        return [each for each in output if isinstance(each, Tensor)]
    return [output] if isinstance(output, Tensor) else []
