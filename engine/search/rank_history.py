"""Which ranks training sampled at each step, and the loss it saw there. Start with `RankHistory`.

Written beside a run's result, so that a later search can start from it. No torch.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError
from engine.text_file import write_text

FORMAT = "bitdial-rank-history-1"
HISTORY_FILE = "rank-history.json"
Ranks = tuple[int, ...]


@dataclass(frozen=True)
class RankHistory:
    """What training sampled, step by step.

    Attributes:
        groups: Names of the G groups of layers that share a rank, in the model's order.
        rank_space: Ranks a group may have, the largest first.
        ranks: One configuration per optimizer step, G ranks each; where a step trained several, the
            one that was drawn.
        losses: Mean training loss of each step at that configuration and at the widths the run's
            scores are of; NaN where the step trained other widths alone.
    """

    groups: tuple[str, ...]
    rank_space: Ranks
    ranks: tuple[Ranks, ...]
    losses: tuple[float, ...]

    def count_ranks(self) -> tuple[tuple[int, ...], ...]:
        """Return how often each rank was sampled: (G, R), in the order of the rank space."""
        return tuple(
            tuple(sum(ranks[index] == rank for ranks in self.ranks) for rank in self.rank_space)
            for index in range(len(self.groups))
        )


def save_history(path: Path, history: RankHistory) -> None:
    """Write a history as JSON; the file appears complete or not at all.

    Raises:
        StorageError: When it cannot be written.
    """
    losses = [loss if math.isfinite(loss) else None for loss in history.losses]
    write_text(path, json.dumps({"format": FORMAT, **asdict(history), "losses": losses}))


def load_history(path: Path) -> RankHistory:
    """Read a history back.

    Raises:
        CheckpointError: When the file is missing, damaged or of another format.
    """
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise CheckpointError(f"{path.name} is not a history of ranks")
        return RankHistory(
            groups=tuple(values["groups"]),
            rank_space=tuple(values["rank_space"]),
            ranks=tuple(tuple(ranks) for ranks in values["ranks"]),
            losses=tuple(math.nan if loss is None else loss for loss in values["losses"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path.name} is missing or damaged: {error}") from error
