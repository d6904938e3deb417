"""Which widths each step of a training uses. Start with `BitPolicySpec`.

Every policy's `list_widths` names the widths it trains, the highest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from engine.specs.base import Spec, option
from engine.specs.layer_bits import WIDTHS

SwitchOrder = Literal["high-to-low", "low-to-high", "sandwich", "one-after-another"]
Followed = Literal["logits", "hidden-states", "both"]
Scope = Literal["model", "block", "layer"]
MAX_WIDTHS = len(WIDTHS)
MAX_WEIGHT = 1_000_000


def check_widths(widths: Iterable[int]) -> tuple[int, ...]:
    """Return widths with the highest first.

    Raises:
        PydanticCustomError: When one is none, or there twice, or there are none at all.
    """
    found = tuple(sorted(widths, reverse=True))
    wrong = next((width for width in found if width not in WIDTHS), None)
    if wrong is not None or not found or len(set(found)) < len(found):
        raise PydanticCustomError(
            "widths", "must be different widths from 2 to 8 or 16, such as 8, 6, 4"
        )
    return found


def check_weights(weights: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
    """Refuse weights of a draw that are not one positive number per width, not too large to add."""
    count = len(info.data.get("widths", weights))
    if weights and (len(weights) != count or not all(0 < each <= MAX_WEIGHT for each in weights)):
        raise PydanticCustomError(
            "weights",
            "must be empty or {count} numbers above 0 and up to {most}, one for each width, in the "
            "order of the widths",
            {"count": count, "most": f"{MAX_WEIGHT:,}"},
        )
    return weights


Widths = Annotated[tuple[int, ...], AfterValidator(check_widths)]
"""Different widths, kept with the highest first."""
Weights = Annotated[tuple[float, ...], AfterValidator(check_weights)]
"""How likely each of the field `widths` is, in its order; empty for all alike."""
_AS_WIDTHS = TypeAdapter(tuple[int, ...])
_AS_WEIGHTS = TypeAdapter(tuple[float, ...])


def sort_weights(given: Any) -> Any:
    """Let the weights of a draw follow its widths, which will be sorted, from their given order.

    To be used before a model's fields are read. What cannot be paired is left as it is: the fields
    refuse it.
    """
    if not isinstance(given, Mapping) or not {"widths", "weights"} <= given.keys():
        return given
    try:
        widths = _AS_WIDTHS.validate_python(given["widths"])
        weights = _AS_WEIGHTS.validate_python(given["weights"])
    except ValidationError:
        return given
    if len(widths) != len(weights):
        return given
    order = sorted(range(len(widths)), key=widths.__getitem__, reverse=True)
    return {**given, "weights": tuple(weights[place] for place in order)}


def widths_option(default: tuple[int, ...], description: str) -> Any:
    """Describe a field that lists widths."""
    return option(default, "Widths", description, unit="bits", min_length=1, max_length=MAX_WIDTHS)


def scope_option() -> Any:
    """Describe what shares a drawn width."""
    return option(
        "model",
        "Drawn for",
        "model draws one width for all layers, block one for each transformer block, layer one for "
        "each layer.",
    )


def weights_option() -> Any:
    """Describe how likely each width of a draw is."""
    return option(
        (),
        "Chances",
        "How likely each width is, in any unit, in the order the widths are given in, one per "
        "line; empty for all alike.",
        max_length=MAX_WIDTHS,
    )


class FixedBits(Spec):
    """Every step at the quantizer's own widths."""

    policy: Literal["fixed"] = option(
        "fixed", "Bit policy", "Train at the quantizer's width from first to last."
    )

    def list_widths(self) -> tuple[int, ...]:
        """None of its own."""
        return ()


class SwitchableBits(Spec):
    """Several widths in every step, the lower ones following the higher."""

    policy: Literal["switchable"] = option(
        "switchable",
        "Bit policy",
        "Train several widths at once, so that the model can be served at any of them; lower "
        "widths follow the higher ones.",
    )
    widths: Widths = widths_option(
        (8, 6, 4),
        "Widths to train, one per line; 16 is followed alone where nothing trains unrounded.",
    )
    order: SwitchOrder = option(
        "high-to-low",
        "Order",
        "high-to-low and low-to-high train every width in each step; sandwich the highest, the "
        "lowest and a drawn one; one-after-another each width for a part of the steps, the highest "
        "first, as published.",
    )
    cascade_weight: float = option(
        0.5,
        "Cascade weight",
        "Share of a lower width's loss that is its distance from the higher widths; 0 for none.",
        ge=0,
        le=1,
    )
    cascade_temperature: float = option(
        2.0,
        "Cascade temperature",
        "Softens both widths' predictions before they are compared.",
        advanced=True,
        gt=0,
        le=100,
    )
    cascade_on: Followed = option(
        "logits",
        "Followed",
        "What of the higher widths is followed: their predictions, the hidden states of every "
        "block, or both.",
        advanced=True,
    )

    def list_widths(self) -> tuple[int, ...]:
        """The widths it trains, the highest first."""
        return self.widths


class CyclicBits(Spec):
    """One width per step, rising along a cosine from the lowest to the highest, again and again."""

    policy: Literal["cyclic"] = option(
        "cyclic",
        "Bit policy",
        "Let the width of all layers rise from the lowest to the highest along a cosine, in "
        "cycles (CPT).",
    )
    lowest: int = option(4, "Lowest width", "Where each cycle begins.", unit="bits", ge=2, le=8)
    highest: int = option(8, "Highest width", "Where each cycle ends.", unit="bits", ge=2, le=8)
    num_cycles: int = option(
        32, "Cycles", "How often the width rises in the whole training.", ge=1, le=100_000
    )
    range_test: bool = option(
        False,
        "Range test",
        "First try the widths from the lowest upwards for some steps each, and begin the cycles at "
        "the first one that learns; nothing of the trial is kept.",
    )
    range_test_steps: int = option(
        10,
        "Trial steps",
        "Optimizer steps tried at each width.",
        unit="steps",
        shown_when={"range_test": [True]},
        advanced=True,
        ge=2,
        le=100_000,
    )
    range_test_threshold: float = option(
        0.01,
        "Trial threshold",
        "Share of its first loss that a width must lose in the trial to count as learning.",
        shown_when={"range_test": [True]},
        advanced=True,
        ge=0,
        lt=1,
    )

    @field_validator("highest")
    @classmethod
    def _check_order(cls, highest: int, info: ValidationInfo) -> int:
        lowest = info.data.get("lowest", highest)
        if highest < lowest:
            raise PydanticCustomError(
                "cyclic_bounds",
                "must not be below lowest, which is {lowest}; swap them or raise it",
                {"lowest": lowest},
            )
        return highest

    def list_widths(self) -> tuple[int, ...]:
        """The widths it may train, the highest first."""
        return tuple(range(self.highest, self.lowest - 1, -1))


class RandomBits(Spec):
    """Widths drawn anew for every step."""

    policy: Literal["random"] = option(
        "random", "Bit policy", "Draw a width anew for every step, so that any of them can serve."
    )
    widths: Widths = widths_option((8, 6, 4), "Widths to draw from, one per line.")
    weights: Weights = weights_option()
    scope: Scope = scope_option()

    _sort_weights = model_validator(mode="before")(sort_weights)

    def list_widths(self) -> tuple[int, ...]:
        """The widths it draws from, the highest first."""
        return self.widths


class CurriculumBits(Spec):
    """Widths that fall as training goes on."""

    policy: Literal["curriculum"] = option(
        "curriculum",
        "Bit policy",
        "Begin at the highest width and go down to the lowest, each for an equal part of the "
        "steps.",
    )
    widths: Widths = widths_option((8, 6, 4), "Widths to go through, one per line.")

    def list_widths(self) -> tuple[int, ...]:
        """The widths it goes through, the highest first."""
        return self.widths


BitPolicySpec = Annotated[
    FixedBits | SwitchableBits | CyclicBits | RandomBits | CurriculumBits,
    Field(discriminator="policy"),
]
