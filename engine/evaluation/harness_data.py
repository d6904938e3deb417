"""lm-eval's data from the mirror: its calls of `datasets.load_dataset` are answered from there.

lm-eval's tasks, groups and Python tasks all load through that one function, and leave nothing to
hand a data set in by. What the mirror lacks goes to the hub or, where that does not answer, to the
local cache alone. Start with `mirrored`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets

from engine.data.hub import hub_in_reach
from engine.data.mirror import find_splits
from engine.data.row_files import iter_rows

LOADED_BY_NAME = frozenset({"path", "name", "split", "revision", "token", "trust_remote_code"})


class MirroredSplits(datasets.DatasetDict):
    """The splits of a data set in the mirror; one it lacks is empty, and noted.

    lm-eval reads the training split for solved examples even where it shows none, so that a mirror
    without it must still do.
    """

    missing: list[str]

    def __getitem__(self, split: Any) -> Any:
        if isinstance(split, str) and split not in self:
            self.missing.append(split)
            return next(iter(self.values())).select([])
        return super().__getitem__(split)


class Seen:
    """What was asked for while a benchmark was prepared.

    Attributes:
        sources: Data sets by name.
        lacking: The mirror's data sets that lacked a split: name, lacking splits, splits there.
    """

    def __init__(self) -> None:
        self.sources: list[str] = []
        self._mirrored: list[tuple[str, MirroredSplits]] = []

    def add(self, source: str, splits: MirroredSplits | None) -> None:
        """Note that a data set was asked for, and what the mirror had of it."""
        self.sources.append(source)
        if splits is not None:
            self._mirrored.append((source, splits))

    @property
    def lacking(self) -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
        """Name, lacking splits and splits there of each data set that lacked one."""
        return tuple(
            (source, tuple(dict.fromkeys(splits.missing)), tuple(splits))
            for source, splits in self._mirrored
            if splits.missing
        )


@contextmanager
def mirrored(mirror: Path | None, *, field: str) -> Iterator[Seen]:
    """Answer `datasets.load_dataset` from the mirror inside the block.

    Args:
        mirror: Folder of hub data sets, or None for the hub alone.
        field: The spec field errors are reported at.
    """
    original, seen = datasets.load_dataset, Seen()

    def load(path: str, name: str | None = None, *args: Any, **given: Any) -> Any:
        splits = None
        if mirror is not None and not args and given.keys() <= LOADED_BY_NAME:
            splits = _load_splits(str(path), name, mirror, field)
        seen.add(str(path), splits)
        if splits is not None:
            split = given.get("split")
            return splits if split is None else splits[str(split)]
        with hub_in_reach():
            return original(path, name, *args, **given)

    datasets.load_dataset = load
    try:
        yield seen
    finally:
        datasets.load_dataset = original


def _load_splits(source: str, name: str | None, mirror: Path, field: str) -> MirroredSplits | None:
    """Return the mirror's splits in memory, or None where it lacks the data set."""
    files = find_splits(source, name, field=field, mirror=mirror)
    if not files:
        return None
    splits = MirroredSplits()
    splits.missing = []
    for split, path in files.items():
        rows = iter_rows(path, None, field=field, column_field=field)
        splits[split] = datasets.Dataset.from_list([row for _, row in rows])
    return splits
