"""How many examples the tasks have where a run will look for them. Start with `RowCounts`.

As published (`task_lengths`) where nothing is known; a mirror may hold less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.estimates.task_lengths import TASK_EXAMPLES
from engine.specs import TaskData


@dataclass(frozen=True)
class RowCounts:
    """What was counted; what is not in it counts as published.

    Attributes:
        trained: Training examples by task and file of one's own, None for the task's data set.
        asked: Examples that heads other than causal-lm are scored on, by task.
    """

    trained: Mapping[tuple[str, str | None], int] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)

    def count_trained(self, data: TaskData) -> tuple[int, bool]:
        """Return the examples that are trained on, and whether that is a guess."""
        count = self.trained.get((data.task, data.source))
        is_guess = count is None and data.source is not None
        known = TASK_EXAMPLES[data.task] if count is None else count
        return max(1, known - data.held_out), is_guess
