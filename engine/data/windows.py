"""Documents as windows of tokens, and the order in which training sees them.

Shapes: N windows, T tokens per window. Windows are full: no padding, no overlap; what is left after
the last full window is dropped. Start with `build_windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import torch
from transformers import PreTrainedTokenizerBase

from engine.errors import DataError


def build_windows(
    documents: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    field: str = "",
) -> torch.Tensor:
    """Join documents and cut them into windows.

    Each document is followed by the tokenizer's end-of-text token where it has one; special tokens
    are not added otherwise.

    Args:
        documents: Texts in order.
        tokenizer: The model's tokenizer.
        max_length: Tokens per window, T.
        field: The spec field an error is reported at ("training.data").

    Returns:
        (N, T) int64 on the CPU, N at least 1.

    Raises:
        DataError: When the text is too short for a single window.
    """
    # verbose=False: windows are cut right here, so a text longer than the model is no mistake
    encoded = tokenizer(list(documents), add_special_tokens=False, verbose=False)["input_ids"]
    end = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    tokens = torch.tensor(
        list(chain.from_iterable([*ids, *end] for ids in encoded)), dtype=torch.long
    )
    num_windows = len(tokens) // max_length
    if num_windows == 0:
        raise DataError(
            f"the text has {len(tokens)} tokens, too few for one window of {max_length}; use more "
            f"text or a window length of at most {len(tokens)}",
            field=field,
        )
    return tokens[: num_windows * max_length].view(num_windows, max_length)  # (N, T)


def spread(windows: torch.Tensor, limit: int | None) -> torch.Tensor:
    """Pick `limit` windows evenly over the text, first and last part alike; all of them for None.

    Returns:
        (min(N, limit), T), in the order of the text.
    """
    if limit is None or limit >= len(windows):
        return windows
    # the middle of each of `limit` equal parts, in integers so that no rounding depends on N
    places = [(2 * index + 1) * len(windows) // (2 * limit) for index in range(limit)]
    return windows[torch.tensor(places)]


def epoch_order(num_windows: int, *, seed: int, epoch: int) -> torch.Tensor:
    """Return the order of windows in one epoch: a permutation that follows from seed and epoch.

    Returns:
        (N,) int64. Always drawn on the CPU, so it is the same on every device.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(num_windows, generator=generator)


def iter_batches(
    windows: torch.Tensor,
    *,
    batch_size: int,
    seed: int,
    start: int = 0,
    order: Callable[[int], torch.Tensor] | None = None,
) -> Iterator[torch.Tensor]:
    """Yield batches without end, each epoch in an order of its own.

    Batch k holds places k·B to (k+1)·B − 1 of the endless row of epochs, so a batch may reach over
    the end of an epoch and is always full. It depends on seed and place alone: a run that goes on
    at `start` sees what the uninterrupted run would have seen.

    Args:
        windows: (N, T).
        batch_size: Windows per batch, B.
        seed: Seed of the order.
        start: Number of the first batch to yield.
        order: Maps an epoch to its order, (N,) int64, a permutation; `epoch_order` where None.
    """
    num_windows = len(windows)
    order_of = order or partial(_shuffled, num_windows, seed)
    orders: dict[int, torch.Tensor] = {}
    place = start * batch_size
    while True:
        rows = []
        for row in range(place, place + batch_size):
            epoch = row // num_windows
            if epoch not in orders:
                before = {kept: known for kept, known in orders.items() if kept == epoch - 1}
                orders = before | {epoch: order_of(epoch)}
            rows.append(int(orders[epoch][row % num_windows]))
        place += batch_size
        yield windows[torch.tensor(rows)]


def _shuffled(num_windows: int, seed: int, epoch: int) -> torch.Tensor:
    return epoch_order(num_windows, seed=seed, epoch=epoch)
