"""Lower widths that follow the higher ones: which outputs are kept, and for how long.

Cascade distillation after InstantNet (Fu et al. 2021, arXiv:2104.10853): each width is drawn to all
higher widths, whose outputs get no gradient from it. InstantNet adds squared differences of
logits to the loss; here, as in QaLoF, a width's loss is (1 − w) of its own and w of the mean
distance, which is a divergence at a temperature. A teacher that was trained earlier in the step is
not computed again; one that was not is asked without gradients. Start with `Cascade`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from engine.specs.bit_policy import BitPolicySpec, Followed, SwitchableBits
from engine.training.configuration import Configuration, Settings


@dataclass(frozen=True)
class CascadeRule:
    """How much higher widths are followed, and in what.

    Attributes:
        weight: Share of the distance in a lower width's loss, from 0 to 1.
        temperature: Softens predictions before they are compared.
        on: What is compared.
    """

    weight: float = 0.0
    temperature: float = 1.0
    on: Followed = "logits"

    @property
    def compares_predictions(self) -> bool:
        """Whether predictions are followed."""
        return self.on != "hidden-states"

    @property
    def compares_states(self) -> bool:
        """Whether hidden states are followed."""
        return self.on != "logits"

    @property
    def prediction_weight(self) -> float:
        """Share of predictions in the loss."""
        return {"logits": 1.0, "hidden-states": 0.0, "both": 0.5}[self.on] * self.weight

    @property
    def state_weight(self) -> float:
        """Share of hidden states in the loss."""
        return {"logits": 0.0, "hidden-states": 1.0, "both": 0.5}[self.on] * self.weight


NO_CASCADE = CascadeRule()


def find_rule(spec: BitPolicySpec) -> CascadeRule:
    """Return how a bit policy lets lower widths follow."""
    if not isinstance(spec, SwitchableBits):
        return NO_CASCADE
    return CascadeRule(spec.cascade_weight, spec.cascade_temperature, spec.cascade_on)


@dataclass(frozen=True)
class Outputs:
    """What a configuration says to one microbatch, as far as others follow it.

    Attributes:
        predictions: What its learner makes predictions of: logits, or last hidden states under a
            head that is the same at every width.
        states: (N, D) hidden states of each block, where those are followed.
    """

    predictions: tuple[Tensor, ...] = ()
    states: tuple[Tensor, ...] = ()

    def detach(self) -> Outputs:
        """Return the same without gradients."""
        return Outputs(
            tuple(each.detach() for each in self.predictions),
            tuple(each.detach() for each in self.states),
        )


@dataclass(frozen=True)
class Lesson:
    """What one configuration of a step has to do with the others.

    Attributes:
        rule: How teachers are followed.
        teachers: Outputs of every teacher, one per microbatch.
        kept: Where this configuration's own outputs go; None where nobody will follow it.
    """

    rule: CascadeRule = NO_CASCADE
    teachers: tuple[Sequence[Outputs], ...] = ()
    kept: list[Outputs] | None = None

    @property
    def needs_states(self) -> bool:
        """Whether the hidden states of blocks are wanted."""
        return self.rule.compares_states and (bool(self.teachers) or self.kept is not None)

    @property
    def own_share(self) -> float:
        """Share of the configuration's own loss."""
        return 1 - self.rule.weight if self.teachers else 1.0

    def teachers_of(self, place: int) -> tuple[Outputs, ...]:
        """Return what every teacher said to the microbatch at a place."""
        return tuple(outputs[place] for outputs in self.teachers)

    def keep(self, outputs: Outputs) -> None:
        """Keep what was said to the next microbatch, where somebody will follow it."""
        if self.kept is not None:
            self.kept.append(outputs.detach())


ALONE = Lesson()


@dataclass
class _Said:
    """What a layer map said to the microbatches of a step."""

    settings: Settings
    outputs: list[Outputs] = field(default_factory=list)


class Cascade:
    """The outputs of a step's configurations, each for as long as a later one follows it."""

    def __init__(self, rule: CascadeRule, configurations: Sequence[Configuration]) -> None:
        self._rule = rule
        self._follows = [each.follows if rule.weight else () for each in configurations]
        self._settings = [each.settings for each in configurations]
        self._said: list[_Said] = []

    def list_missing(self, place: int) -> list[Settings]:
        """Return the layer maps that a configuration follows and that said nothing yet."""
        return [settings for settings in self._follows[place] if self._find(settings) is None]

    def add(self, settings: Settings, outputs: list[Outputs]) -> None:
        """Keep what a layer map that is not trained before its followers says."""
        self._said.append(_Said(settings, outputs))

    def lesson(self, place: int) -> Lesson:
        """Return what the configuration at a place follows, and whether it will be followed."""
        teachers = tuple(
            said.outputs
            for settings in self._follows[place]
            if (said := self._find(settings)) is not None
        )
        kept = None
        mine = self._settings[place]
        if self._is_followed(mine, place + 1) and self._find(mine) is None:
            said = _Said(mine)
            self._said.append(said)
            kept = said.outputs
        return Lesson(self._rule, teachers, kept)

    def finish(self, place: int) -> None:
        """Forget what no configuration after this one follows."""
        self._said = [said for said in self._said if self._is_followed(said.settings, place + 1)]

    def _is_followed(self, settings: Settings, start: int) -> bool:
        return any(settings in follows for follows in self._follows[start:])

    def _find(self, settings: Settings) -> _Said | None:
        return next((said for said in self._said if said.settings == settings), None)
