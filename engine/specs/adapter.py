"""Low-rank adapters that win back what rounding lost. Start with `LoraAdapter`.

`AdapterSpec` is a closed union by `kind`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from engine.specs.base import Spec, option

Placement = Literal["absorbed", "parallel"]
Grouping = Literal["block", "kind", "layer"]
RankPolicy = Literal["uniform", "sandwich", "fixed"]
SubAdapter = Literal["maximal", "median", "minimal"]
Fallback = Literal["refuse", "none", "nearest"]
MAX_RANK = 4096


def _placement() -> Any:
    return option(
        "absorbed",
        "Placement",
        "absorbed adds the pair before rounding, so that it vanishes into the integer weights; "
        "parallel adds it to the layer's output and is kept beside them.",
        advanced=True,
    )


def _target_modules() -> Any:
    return option(
        ("*",),
        "Adapted layers",
        "Which of the quantized layers get a pair, by name with shell wildcards, one per line.",
        advanced=True,
        min_length=1,
    )


class NoAdapter(Spec):
    """No adapter."""

    kind: Literal["none"] = option("none", "Adapter", "Train no adapter.")


class LoraAdapter(Spec):
    """One pair of matrices of fixed rank per layer, inside the quantizer or beside it."""

    kind: Literal["lora"] = option(
        "lora", "Adapter", "A low-rank pair of one rank per layer, trained through the rounding."
    )
    r: int = option(
        16, "Rank", "Rank of every pair; at most the smaller side of the layer.", ge=1, le=MAX_RANK
    )
    placement: Placement = _placement()
    lora_alpha: float = option(
        16.0, "Alpha", "The pair is scaled by alpha / rank.", gt=0, le=65536, advanced=True
    )
    target_modules: tuple[str, ...] = _target_modules()

    @property
    def max_rank(self) -> int:
        """The rank of every pair."""
        return self.r


class LoraBankAdapter(Spec):
    """A pair of matrices per layer and trained width, the active one chosen by the layer's bits."""

    kind: Literal["lora-bank"] = option(
        "lora-bank",
        "Adapter",
        "A low-rank pair per layer for each width that is trained; the layer's width chooses.",
    )
    r: int = option(
        16, "Rank", "Rank of every pair; at most the smaller side of the layer.", ge=1, le=MAX_RANK
    )
    fallback: Fallback = option(
        "refuse",
        "Other widths",
        "What a width without a pair of its own uses: refuse allows none, none runs without an "
        "adapter, nearest takes the pair of the nearest width, the higher of two.",
    )
    placement: Placement = _placement()
    lora_alpha: float = option(
        16.0, "Alpha", "The pair is scaled by alpha / rank.", gt=0, le=65536, advanced=True
    )
    target_modules: tuple[str, ...] = _target_modules()

    @property
    def max_rank(self) -> int:
        """The rank of every pair."""
        return self.r


class ElasticLoraAdapter(Spec):
    """One pair per layer whose first rows and columns are adapters of smaller rank themselves."""

    kind: Literal["elastic-lora"] = option(
        "elastic-lora",
        "Adapter",
        "A low-rank pair per layer that works at every rank of a rank space; the best rank of "
        "each layer is searched after training.",
    )
    rank_space: tuple[int, ...] = option(
        (16, 12, 8),
        "Rank space",
        "Ranks a layer may have, the largest first, one per line.",
        max_length=64,
    )
    grouping: Grouping = option(
        "block",
        "Layers that share a rank",
        "block gives all layers of a transformer block one rank, kind all layers of a name "
        "(q_proj), layer each its own.",
    )
    rank_policy: RankPolicy = option(
        "uniform",
        "Rank policy",
        "uniform draws a rank per group for each optimizer step; sandwich trains the largest, the "
        "smallest and a drawn one in every step, at three times the work; fixed keeps one.",
    )
    ranks: tuple[int, ...] = option(
        (),
        "Ranks",
        "The rank of each group, in the model's order, one per line; empty for the largest.",
        shown_when={"rank_policy": ["fixed"]},
    )
    sub_adapter: SubAdapter = option(
        "median",
        "Reported ranks",
        "Which ranks the run's own scores and saved codes belong to; its adapters are saved whole, "
        "for a rank search to find better ones.",
        shown_when={"rank_policy": ["uniform", "sandwich"]},
    )
    placement: Placement = _placement()
    lora_alpha: float = option(
        16.0,
        "Alpha",
        "The pair is scaled by alpha / largest rank, whatever rank is active.",
        gt=0,
        le=65536,
        advanced=True,
    )
    target_modules: tuple[str, ...] = _target_modules()

    @field_validator("rank_space")
    @classmethod
    def _check_space(cls, space: tuple[int, ...]) -> tuple[int, ...]:
        accepted = (
            f"must be whole numbers from 1 to {MAX_RANK}, the largest first, such as 16, 12, 8"
        )
        in_order = all(high > low for high, low in pairwise(space))
        if not space or not in_order or not all(1 <= rank <= MAX_RANK for rank in space):
            raise PydanticCustomError("rank_space", "{accepted}", {"accepted": accepted})
        return space

    @field_validator("ranks")
    @classmethod
    def _check_ranks(cls, ranks: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        space: tuple[int, ...] = info.data.get("rank_space", ranks)
        policy = info.data.get("rank_policy", "fixed")
        if ranks and policy != "fixed":
            raise PydanticCustomError(
                "ranks", "are kept only with rank_policy fixed; choose that, or leave ranks empty"
            )
        wrong = next((rank for rank in ranks if rank not in space), None)
        if wrong is not None:
            raise PydanticCustomError(
                "ranks",
                "{rank} is not in the rank space {space}",
                {"rank": wrong, "space": ", ".join(map(str, space))},
            )
        return ranks

    @property
    def max_rank(self) -> int:
        """The rank of every pair with all of it active."""
        return self.rank_space[0]

    def reported_ranks(self, num_groups: int) -> tuple[int, ...]:
        """Return the rank of each group that the run's own scores belong to."""
        if self.rank_policy == "fixed" and self.ranks:
            return self.ranks
        space = self.rank_space
        places = {"maximal": 0, "median": (len(space) - 1) // 2, "minimal": -1}
        place = 0 if self.rank_policy == "fixed" else places[self.sub_adapter]
        return (space[place],) * num_groups


LowRankAdapter = LoraAdapter | LoraBankAdapter | ElasticLoraAdapter
AdapterSpec = Annotated[
    NoAdapter | LoraAdapter | LoraBankAdapter | ElasticLoraAdapter, Field(discriminator="kind")
]
