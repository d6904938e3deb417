"""At which other widths a trained run may be measured, or why at none. Start with `describe_offer`.

What is refused for good is told by `tasks.submit`; here is what to suggest.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.text import maps as text
from engine.errors import SpecError
from engine.map_fit import check_measurable
from engine.specs import LoraBankAdapter, Subject
from engine.specs.initialization import replaces_weights

USUAL_WIDTHS = (8, 7, 6, 5, 4, 3)


@dataclass(frozen=True)
class WidthOffer:
    """What a person can ask for.

    Attributes:
        widths: Suggested, the highest first; empty where nothing can be measured.
        can_be_attacked: Whether there is a classifier to attack.
        reason: Why nothing can be measured; empty where something can.
    """

    widths: tuple[int, ...] = ()
    can_be_attacked: bool = False
    reason: str = ""


def describe_offer(spec: Subject) -> WidthOffer:
    """Return what to suggest for a run of this spec."""
    try:
        quantizer = check_measurable(spec)
    except SpecError as error:
        return WidthOffer(reason=text.NO_OFFER.format(why=error.problems[0].message))
    if replaces_weights(spec.initialization):
        start = spec.initialization.method
        return WidthOffer(
            reason=text.NO_OFFER_START.format(start=start, bits=f"{quantizer.bits:g}")
        )
    widths: tuple[int, ...] = USUAL_WIDTHS
    if isinstance(spec.adapter, LoraBankAdapter) and spec.adapter.fallback == "refuse":
        widths = spec.trained_widths or (int(quantizer.bits),)
    return WidthOffer(widths, can_be_attacked=spec.model.head == "classification")
