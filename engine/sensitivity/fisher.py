"""The diagonal Fisher information of a model's weights, by windows of calibration text.

For each window the gradient of every weight is computed from the inputs and the gradient of the
outputs of the modules that use it, since the weights are frozen, squared and added up. Start with
`Fisher`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.errors import ModelError
from engine.layers.head import SplitModel
from engine.layers.quantized_embedding import QuantizedEmbedding
from engine.sensitivity.rounding import Spare

Modules = Mapping[str, nn.Module]
"""The linear layers and embeddings that use one weight, by their own names."""
LABELS_PER_TOKEN = 8
"""More labels make the gradients of unlikely tokens less of a lottery, at no further pass."""
LOGIT_ROWS = 64
"""Rows of logits computed at once."""
SQUARES = "squares."
Tables = nn.Embedding | QuantizedEmbedding


class Score(NamedTuple):
    """A score with one standard error of it, or None where there is one window."""

    value: float
    standard_error: float | None


class Fisher:
    """The diagonal Fisher information of weights, window by window.

    Attributes:
        done: Windows gone through.
    """

    def __init__(
        self, model: SplitModel, targets: Mapping[str, Modules], windows: Tensor, *, seed: int
    ) -> None:
        """Begin with nothing.

        Args:
            model: The unrounded model, frozen and in evaluation mode.
            targets: What uses the weight of each layer.
            windows: (N, T) int64 on the CPU.
            seed: Of the labels.
        """
        self.done = 0
        self._model = model
        self._targets = targets
        self._windows = windows
        self._generator = torch.Generator(model.head_weight.device).manual_seed(seed)
        spare = Spare()
        self._curvatures = {
            name: _Curvature(users, model.head, spare) for name, users in targets.items()
        }

    def run(self, after: Callable[[int], None]) -> None:
        """Go through the windows that are left; `after` is told of each how many are done.

        Raises:
            ModelError: When what the model computes is not a number.
        """
        with torch.enable_grad(), _observed(self._model, self._targets, self._curvatures):
            for tokens in self._windows[self.done :]:
                _walk(self._model, tokens.unsqueeze(0).to(self._generator.device), self._generator)
                for curvature in self._curvatures.values():
                    curvature.end_window()
                self.done += 1
                after(self.done)

    @torch.no_grad()
    def score(
        self, name: str, widths: Sequence[int], error_at: Callable[[int], Tensor]
    ) -> dict[int, Score]:
        """Return ½ Σ F ⊙ ΔW² per token at every width, from the windows so far.

        Args:
            name: Of the layer.
            widths: Of its weight.
            error_at: Gives ΔW, (O, I) float32, at a width; overwritten.
        """
        curvature = self._curvatures[name]
        num_tokens = self.done * self._windows.shape[1]
        relative, found = curvature.relative_error(), {}
        for width in widths:
            value = 0.0
            if curvature.squares is not None:
                squared = error_at(width).square_()
                value = float(squared.view(-1) @ curvature.squares.view(-1)) / (2 * num_tokens)
            found[width] = Score(value, None if relative is None else value * relative)
        return found

    def forget(self, name: str) -> None:
        """Free what is known of a layer."""
        self._curvatures[name].squares = None

    def state(self) -> dict[str, Tensor]:
        """Return all it takes to go on from here: squares, sums and the labels' random state."""
        sums = [curvature.sums for curvature in self._curvatures.values()]
        squares = {
            f"{SQUARES}{name}": curvature.squares
            for name, curvature in self._curvatures.items()
            if curvature.squares is not None
        }
        return squares | {
            "sums": torch.tensor(sums, dtype=torch.float64),
            "random": self._generator.get_state(),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from where another stood, of the same model, layers, text and kind of device.

        Raises:
            RuntimeError: When it was another kind of device; nothing has changed then.
            ValueError: When there were more or fewer layers; nothing has changed then.
        """
        sums, device = state["sums"].tolist(), self._generator.device
        found = list(zip(self._curvatures.items(), sums, strict=True))
        self._generator.set_state(state["random"])
        for (name, curvature), of_layer in found:
            curvature.sums = of_layer
            squares = state.get(f"{SQUARES}{name}")
            curvature.squares = None if squares is None else squares.to(device)
        self.done = state["sums"].shape[1]


class _Curvature:
    """Squared gradients of one weight, window by window.

    Attributes:
        squares: (O, I) float32 sum over windows; None until something reached the layer.
        sums: Of the squared gradient, one for each window.
    """

    def __init__(self, users: Modules, head: nn.Module, spare: Spare) -> None:
        self.squares: Tensor | None = None
        self.sums: list[float] = []
        # a gradient that comes in pieces must be whole before it is squared
        self._has_pieces = len(users) > 1 or any(user is head for user in users.values())
        self._num_calls = 0
        self._pending: Tensor | None = None
        self._spare = spare
        self._now: Tensor | None = None

    @property
    def _in_pieces(self) -> bool:
        """Whether there is more of this window's gradient than what comes at once."""
        return self._has_pieces or self._num_calls > 1

    def expect(self) -> None:
        """Note that the weight is used; a gradient comes of every use, all uses before the first.

        The head is used anew for every piece, and known to be.
        """
        self._num_calls += 1

    def add(self, gradients: Tensor, inputs: Tensor) -> None:
        """Take the gradient gradientsᵀ · inputs of this window, or a piece of it.

        Args:
            gradients: (T, O) of the outputs, float32.
            inputs: (T, I), float32.
        """
        shape = (gradients.shape[1], inputs.shape[1])
        if self._in_pieces:
            self._whole(shape, inputs.device).addmm_(gradients.t(), inputs)
            return
        self._square(torch.mm(gradients.t(), inputs, out=self._spare.take(shape, inputs.device)))

    def add_rows(self, gradients: Tensor, rows: Tensor, *, num_rows: int) -> None:
        """Take (T, D) gradients of the rows of a table that were looked up, (T,) int64."""
        whole = self._whole((num_rows, gradients.shape[1]), gradients.device)
        whole.index_add_(0, rows, gradients)
        if not self._in_pieces:
            self.end_pieces()

    def end_pieces(self) -> None:
        """Square what came in pieces."""
        if self._pending is not None:
            self._square(self._pending)
            self._pending = None

    def end_window(self) -> None:
        """Square what came in pieces, and note how large the window's gradient was."""
        self.end_pieces()
        self.sums.append(0.0 if self._now is None else float(self._now))
        self._now = None
        self._num_calls = 0

    def relative_error(self) -> float | None:
        """Return one standard error of the squared gradient's mean over windows, relative to it."""
        if len(self.sums) < 2:  # one window tells nothing of others
            return None
        sums = torch.tensor(self.sums, dtype=torch.float64)
        mean = float(sums.mean())
        return float(sums.std()) / len(sums) ** 0.5 / mean if mean else 0.0

    def _whole(self, shape: tuple[int, int], device: torch.device) -> Tensor:
        if self._pending is None:
            self._pending = torch.zeros(shape, device=device)
        return self._pending

    def _square(self, gradient: Tensor) -> None:
        """Add the square of a whole gradient, which may be overwritten afterwards."""
        flat = gradient.view(-1)
        self._now = flat @ flat
        if self.squares is None:
            self.squares = gradient.square()
        else:
            self.squares.addcmul_(gradient, gradient)


def _walk(model: SplitModel, tokens: Tensor, generator: torch.Generator) -> None:
    """Run a window forward and back; hooks see the gradients.

    Args:
        model: The model.
        tokens: (1, T).
        generator: Of the labels; on the model's device.
    """
    hidden = model.hidden(tokens)  # (1, T, D)
    leaf = hidden.detach().requires_grad_()
    pieces = []
    for rows in torch.split(leaf, LOGIT_ROWS, dim=1):
        logits = model.logits(rows)
        (piece,) = torch.autograd.grad(logits, rows, _draw(logits.detach()[0], generator)[None])
        pieces.append(piece)
    torch.autograd.backward(hidden, torch.cat(pieces, dim=1))


def _draw(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw labels from (T, V) logits; return the gradient of their loss, (T, V).

    Sums of K independent gradients over √K have the covariance of a single one.

    Raises:
        ModelError: When a logit is not a number; a draw would end in an error of the device.
    """
    chances = logits.float().softmax(-1)
    if not chances.isfinite().all():
        raise ModelError(
            "what the model computes on the calibration text is not a finite number in this "
            "format; choose float32 or bfloat16",
            field="model.dtype",
        )
    labels = torch.multinomial(chances, LABELS_PER_TOKEN, replacement=True, generator=generator)
    gradient = chances.mul_(LABELS_PER_TOKEN)
    gradient.scatter_add_(-1, labels, torch.full_like(labels, -1, dtype=gradient.dtype))
    return gradient.div_(LABELS_PER_TOKEN**0.5).to(logits.dtype)


@contextmanager
def _observed(
    model: SplitModel, targets: Mapping[str, Modules], curvatures: Mapping[str, _Curvature]
) -> Iterator[None]:
    """Hand the gradient of every target's weight to its curvature, while open."""
    handles = [_table(model).register_forward_hook(_require_gradient)]
    for name, users in targets.items():
        handles += _observe(users.values(), curvatures[name])
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _observe(users: Iterable[nn.Module], curvature: _Curvature) -> Iterator[RemovableHandle]:
    for user in users:
        if isinstance(user, Tables):
            yield user.register_forward_hook(_require_gradient)
        yield user.register_forward_hook(_Observer(curvature))


def _table(model: SplitModel) -> nn.Module:
    """Return the token embedding, where the graph begins: weights are frozen."""
    find: Callable[[], nn.Module] = getattr(model.body, "get_input_embeddings")  # noqa: B009
    return find()


def _require_gradient(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
    del module, args
    if not output.requires_grad:
        output.requires_grad_()


@dataclass(frozen=True)
class _Observer:
    """Computes the gradient of a weight from input and output, since weights are frozen."""

    curvature: _Curvature

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        inputs: Tensor = args[0].detach()
        self.curvature.expect()

        def take(gradient: Tensor) -> None:
            rows = gradient.detach().flatten(0, -2).float()
            if isinstance(module, Tables):
                num_rows = module.num_embeddings
                self.curvature.add_rows(rows, inputs.flatten(), num_rows=num_rows)
            else:
                self.curvature.add(rows, inputs.flatten(0, -2).float())

        output.register_hook(take)  # type: ignore[no-untyped-call]


def weight_of(users: Modules) -> Tensor:
    """Return the (O, I) weight that some modules use."""
    weight = next(iter(users.values())).weight
    if not isinstance(weight, Tensor):
        raise TypeError("a layer has no weight matrix")
    return weight.detach()
