"""One unit after another at each width, measured on calibration text, exactly. Start with `ablate`.

A score is what the switched model loses more than the model at its start map on the same windows;
its standard error is that of the mean difference, paired by window. Both directions follow from the
start map: a high one scores one low among high, a low one one high among low, which then is
negative. Divergence is counted from the model as it was loaded, of a trained one the original.

Source: QaLoF (`switch_precision/utils/test_config.py`) changes parts of a uniform model by hand and
evaluates each. We differ in that all units and widths are gone through, with the blocks before the
switched one kept instead of run again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.errors import ModelError
from engine.events import Listener, Logged, SensitivityScored
from engine.layers.quantized_linear import QuantizedLinear
from engine.models.naming import split_name
from engine.sensitivity.checks import Pair
from engine.sensitivity.prefix import Prefix
from engine.sensitivity.scored_model import ScoredModel
from engine.sensitivity.text_losses import CalibrationText, TextLosses, WindowLosses


class _Place(NamedTuple):
    """Where a unit begins to matter: its first block, and whether the head changes with it.

    Attributes:
        switched: Its layers in that block.
    """

    first: int
    in_head: bool
    switched: tuple[nn.Module, ...] = ()


@torch.no_grad()
def ablate(
    model: ScoredModel,
    text: CalibrationText,
    pairs: Sequence[Pair],
    *,
    reuse: bool,
    listener: Listener,
    progress: Callable[[int, int], None],
    done: Collection[tuple[str, int]] = frozenset(),
) -> None:
    """Measure units at widths; each is announced as divergence and as log perplexity.

    Pairs of one width are measured in the order of the blocks. The model stands at its start map
    before and after, even where something goes wrong.

    Args:
        model: The model.
        text: What it is measured on.
        pairs: What to measure, widths in their order. One that computes no numbers is told in the
            log and stays without scores.
        reuse: Whether to keep what blocks before a switched one put out; it is not, and the log
            says why, where it would not give the same or not fit into memory.
        listener: Told of scores; may raise to stop.
        progress: Told of pairs done and in all.
        done: Pairs that are known already.

    Raises:
        ModelError: When what the model computes at its start map is not a number.
    """
    meter = PairMeter(model, text, listener, reuse=reuse)
    known = set(done)
    left = [pair for pair in meter.sort(pairs) if tuple(pair) not in known]
    progress(len(pairs) - len(left), len(pairs))
    if not left:
        return
    model.start.apply()
    model.start.hold()
    try:
        meter.prepare()
        for count, pair in enumerate(left, start=len(pairs) - len(left) + 1):
            for score in meter.measure(pair):
                listener(score)
            progress(count, len(pairs))
    finally:
        model.start.release()


class PairMeter:
    """Measures pairs one by one, while the weights of the start map are held.

    What is kept of the blocks before a switched one moves along, so pairs come in the order of
    `sort`.
    """

    def __init__(
        self, model: ScoredModel, text: CalibrationText, listener: Listener, *, reuse: bool
    ) -> None:
        self._model = model
        self._text = text
        self._listener = listener
        self._prefix = Prefix(model.root, model.split, model.start.layers)
        self._tokens = text.list_tokens(model.split.head_weight.device)
        self._places = _list_places(model, len(self._prefix.blocks))
        self._reuses = reuse

    def sort(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return pairs in the order of widths, those of a width in the order of blocks."""
        widths = {bits: place for place, bits in enumerate(dict.fromkeys(p.bits for p in pairs))}
        return sorted(pairs, key=lambda p: (widths[p.bits], self._places[p.unit].first))

    def prepare(self) -> None:
        """Measure the start, and find out what can be kept. Weights are held.

        Raises:
            ModelError: When what the model computes there is not a number.
        """
        self._losses = TextLosses(self._model.split, self._model.start.layers, self._text)
        self._start = self._run(_Place(0, in_head=False))
        if not _is_finite(self._start):
            raise ModelError(
                "what the model at its start map computes is not a finite number in this format; "
                "choose float32 or bfloat16",
                field="model.dtype",
            )
        if self._reuses:
            self._reuses = self._can_reuse()

    def approach(self, pair: Pair) -> None:
        """Keep what the blocks before a unit put out; nothing to do where that is kept already."""
        if self._reuses:
            self._prefix.move(self._places[pair.unit].first, self._tokens)
            if self._places[pair.unit].switched:
                self._prefix.look_inside(self._tokens)

    def measure(self, pair: Pair) -> Iterator[SensitivityScored]:
        """Yield the scores of a unit at a width; where they are no numbers the log says so."""
        self.approach(pair)
        place = self._places[pair.unit]
        with self._model.start.switched(self._model.units[pair.unit], pair.bits):
            losses = self._run(place)
        if not _is_finite(losses):
            told = (
                f"{pair.unit} at {pair.bits} bits has no score: the model computes no numbers there"
            )
            self._listener(Logged("warning", told))
            return
        for metric, now in losses._asdict().items():
            value, error = _difference(now, getattr(self._start, metric))
            yield SensitivityScored(pair.unit, pair.bits, metric, value, error, len(now))

    def _run(self, place: _Place) -> WindowLosses:
        """Measure the model as it stands on all windows."""
        found = []
        for batch, tokens in enumerate(self._tokens):
            hidden = self._prefix.hidden(tokens, batch, switched=place.switched)
            losses = self._losses.score(hidden, tokens, batch, head_as_start=not place.in_head)
            found.append(losses)
        return WindowLosses(*map(torch.cat, zip(*found, strict=True)))

    def _can_reuse(self) -> bool:
        """Whether the outputs of blocks can be kept; the log says why where not."""
        if not any(place.first for place in self._places.values()):
            return False
        reason = self._prefix.find_obstacle(self._tokens)
        if reason:
            self._listener(Logged("warning", f"Every block is run for every score: {reason}."))
        return not reason


def _list_places(model: ScoredModel, num_blocks: int) -> dict[str, _Place]:
    """Return where each unit begins to matter.

    Outside blocks that is the beginning, but for a head that shares its weight with nothing.
    """
    head = model.split.head
    rounded = head.rounded if isinstance(head, QuantizedLinear) else None
    parts = (dict(module.named_children()).get("rounded") for module in model.root.modules())
    last = num_blocks if sum(part is rounded for part in parts) == 1 else 0

    def find(name: str) -> int:
        block = split_name(name).block
        if block is not None:
            return min(block, num_blocks)
        return last if model.start.layers[name] is rounded else 0

    def place(names: Sequence[str]) -> _Place:
        first = min(map(find, names))
        # units of many layers begin with their block, so that nothing comes before them in it
        is_inside = len(names) == 1 and split_name(names[0]).block is not None and num_blocks
        own = names if is_inside else ()
        in_head = any(model.start.layers[name] is rounded for name in names)
        return _Place(first, in_head, tuple(map(model.root.get_submodule, own)))

    return {unit: place(names) for unit, names in model.units.items()}


def _difference(now: Tensor, before: Tensor) -> tuple[float, float | None]:
    """Return the mean of now − before over windows, and its standard error."""
    gap = now - before
    error = float(gap.std(correction=1)) / math.sqrt(len(gap)) if len(gap) > 1 else None
    return float(gap.mean()), error


def _is_finite(losses: WindowLosses) -> bool:
    """Whether all losses are numbers."""
    return all(bool(each.isfinite().all()) for each in losses)
