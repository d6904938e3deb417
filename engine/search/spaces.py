"""Which configurations of ranks there are. Start with `RankSpace`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import SpecError

Ranks = tuple[int, ...]


@dataclass(frozen=True)
class RankSpace:
    """Every configuration that gives each group of layers one rank of the rank space.

    Attributes:
        groups: Names of the G groups, in the model's order.
        ranks: The rank space, the largest first.
        parameters_per_rank: Adapter parameters per unit of rank of each group: the sum over its
            layers of inputs and outputs.
    """

    groups: tuple[str, ...]
    ranks: Ranks
    parameters_per_rank: tuple[int, ...]

    @property
    def num_configurations(self) -> int:
        """How many configurations there are."""
        return math.prod(len(self.ranks) for _ in self.groups)

    def everywhere(self, rank: int) -> Ranks:
        """Return the configuration with one rank in every group."""
        return (rank,) * len(self.groups)

    def count_parameters(self, ranks: Ranks) -> int:
        """Return how many parameters the adapters have at a configuration."""
        return sum(rank * size for rank, size in zip(ranks, self.parameters_per_rank, strict=True))

    def check(self, ranks: Ranks, *, field: str = "ranks") -> None:
        """Refuse a configuration that is none of this space.

        Raises:
            SpecError: At `field`, naming both lengths or the rank that is not in the space.
        """
        check_ranks(ranks, groups=self.groups, rank_space=self.ranks, field=field)


def check_ranks(
    ranks: Sequence[int], *, groups: Sequence[str], rank_space: Ranks, field: str = "ranks"
) -> None:
    """Refuse ranks that do not give each group one of the rank space.

    Raises:
        SpecError: At `field`, naming both lengths or the rank that is not in the space.
    """
    if len(ranks) != len(groups):
        words = "is 1 rank" if len(ranks) == 1 else f"are {len(ranks)} ranks"
        ends = f" ({groups[0]} … {groups[-1]})" if groups else ""
        raise SpecError.at(
            field, f"there {words} for {len(groups)} groups of layers{ends}; give one for each"
        )
    wrong = next((rank for rank in ranks if rank not in rank_space), None)
    if wrong is not None:
        known = ", ".join(map(str, rank_space))
        raise SpecError.at(field, f"{wrong} is not in the rank space; choose from {known}")
