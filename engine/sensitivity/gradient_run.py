"""The gradient method as a run: scores of units, better and better, that a stop does not lose.

Start with `score_by_gradient`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import Tensor

from engine.errors import CheckpointError
from engine.events import Listener, Logged
from engine.sensitivity.fisher import Fisher
from engine.sensitivity.rounding import Rounding
from engine.sensitivity.scored_model import ScoredModel, UnitSums, require_finite
from engine.teacher.cache import write_tensors
from engine.tensor_file import open_tensors

METRIC = "kl_divergence"
FORMAT = "bitdial-fisher-1"
SECONDS_BETWEEN = 60.0
"""Between two savings of the state."""
SAVING_SHARE = 0.05
"""Of the time, at most, that saving may take: a model of many weights is saved less often."""
LEAST_WINDOWS = 8
"""From which on scores are told before the end."""


@dataclass(frozen=True)
class GradientText:
    """The text, and what labels and state depend on besides.

    Attributes:
        windows: (N, T) int64 on the CPU.
        seed: Of the labels.
        path: Where the state is kept while it runs.
        key: Of everything the state depends on.
    """

    windows: Tensor
    seed: int
    path: Path
    key: str


def score_by_gradient(
    model: ScoredModel,
    text: GradientText,
    widths: tuple[int, ...],
    *,
    listener: Listener,
    progress: Callable[[int, int], None],
) -> None:
    """Announce the divergence to expect of every unit at every width.

    From eight windows on scores are told after a quarter and after half of them as well. A run that
    was stopped goes on from the state it saved last, and ends with the scores that it would have
    had; on another kind of device, whose random numbers are others, it begins anew.

    The reference is the model at 16 bits with its adapters, for a trained one not the model it was
    made from, which an ablation counts from. A width's own adapter counts where it is absorbed, as
    part of the weight that is rounded.

    Args:
        model: The model, which stands at 16 bits, held, with nothing that trains.
        text: The calibration text.
        widths: That its layers know.
        listener: Told of scores, and of going on or beginning anew.
        progress: Told of windows done and in all, the rounding at the end counting as one.

    Raises:
        ModelError: When a gradient, or what the model computes, is not a number.
        StorageError: When the state cannot be written.
    """
    fisher = Fisher(model.split, model.find_users(), text.windows, seed=text.seed)
    state = _State(text)
    state.find(fisher, listener)
    count = len(text.windows)
    early = {count // 4, count // 2} if count >= LEAST_WINDOWS else set()

    def after(done: int) -> None:
        progress(done, count + 1)
        if done in early:
            _announce(model, fisher, widths, listener)
        if done < count:
            state.save_sometimes(fisher)

    fisher.run(after)
    _announce(model, fisher, widths, listener)
    progress(count + 1, count + 1)
    text.path.unlink(missing_ok=True)


def _announce(
    model: ScoredModel, fisher: Fisher, widths: tuple[int, ...], listener: Listener
) -> None:
    """Tell the scores from the windows so far."""
    sums, rounding = UnitSums(model.units, METRIC, fisher.done, listener), Rounding()
    for name in model.names:
        error_at = partial(rounding.of_layer, model.start.layers[name])
        scores = fisher.score(name, widths, error_at)
        require_finite(scores, f"the gradient of {name}")
        sums.add(name, scores)


@dataclass
class _State:
    """The file of a state, written now and then."""

    text: GradientText
    last: float = field(default_factory=time.monotonic)
    least: float = 0.0

    def find(self, fisher: Fisher, listener: Listener) -> None:
        """Go on from the file where it is there, whole, and of the same text, model and device.

        One that is whole and of the same text but does not fit is told in the log.
        """
        if not self.text.path.is_file():
            return
        try:
            with open_tensors(self.text.path, (FORMAT,), what="a state of sensitivity") as file:
                if file.metadata.get("key") == self.text.key:
                    fisher.load_state({name: file.read(name) for name in file.list_names()})
        except CheckpointError:
            return  # cut off by a crash: begin anew
        except (RuntimeError, ValueError) as error:
            told = f"the run begins anew: what it had saved does not fit this run ({error})"
            listener(Logged("warning", told))
        if fisher.done:
            listener(Logged("info", f"going on after {fisher.done} windows"))

    def save_sometimes(self, fisher: Fisher) -> None:
        """Write the file when it is time."""
        began = time.monotonic()
        if began - self.last < max(SECONDS_BETWEEN, self.least):
            return
        metadata = {"format": FORMAT, "key": self.text.key}
        write_tensors(self.text.path, fisher.state(), metadata)
        self.last = time.monotonic()
        self.least = (self.last - began) / SAVING_SHARE
