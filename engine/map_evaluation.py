"""One trained model measured at many layer maps, every one on the same text, benchmarks and rows.

Nothing is trained. The model is put together once, learns the widths that were not trained, and is
set to one map after another; at each it is asked exactly what an experiment asks at its end. Start
with `run_map_evaluation`; what cannot be measured is told by `engine.map_fit`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from engine.errors import SpecError
from engine.evaluation.random_precision import list_chances, random_precision
from engine.events import (
    Event,
    Listener,
    Logged,
    MapScored,
    Progressed,
    ScoreMeasured,
    StageStarted,
)
from engine.initialize.catalogue import Installed
from engine.layers.bit_maps import mean_bits, named_map, uniform_map
from engine.layers.layer_map import LayerSetting, apply_map
from engine.layers.swap import Layers
from engine.layers.width_bank import add_widths
from engine.map_fit import FIELD, check_measurable, iter_map_problems, list_lines, list_needed
from engine.measured_size import measure_size
from engine.models.loading import LoadedModel
from engine.robustness.attackable import check_attack
from engine.session import Session, Workspace, open_session
from engine.specs import GradientAttack, LayerBitsMap, MapEvaluationSpec, MapSpec, RandomMap
from engine.specs.quantizer import BITS_UNQUANTIZED, WeightQuantizer
from engine.stages.attack import Attack, attack, prepare_attack
from engine.stages.measure import measure
from engine.stages.restore import (
    ParentFiles,
    Restored,
    RestoredHead,
    restore,
    restore_with_head,
)
from engine.stages.supervise import measure_task

__all__ = ["ParentFiles", "run_map_evaluation"]

STAGE = "maps"
EXPECTED_DIGITS = 9
"""Of an expected width: thirds of 8, 6 and 4 are 6, not 5.999999999999999."""


def run_map_evaluation(
    spec: MapEvaluationSpec,
    *,
    workspace: Workspace,
    listener: Listener,
    parent: ParentFiles,
    device: str = "auto",
    done: Collection[int] = frozenset(),
) -> None:
    """Measure a trained model at layer maps.

    Args:
        spec: What was asked; complete.
        workspace: Where to read and write.
        listener: Told of every score as `MapScored`; may raise `Cancelled`.
        parent: Files of the training run.
        device: "auto", "cpu", "cuda" or "cuda:1".
        done: Places of maps that were measured before; they are not again.

    Raises:
        BitdialError: Of the kind that fits; its sentence is for the user.
    """
    with open_session(spec, workspace, listener, device=device) as session:
        trained = _prepare(session, spec, parent)
        with session.stage(STAGE, len(spec.maps) * trained.num_units):
            for place in range(len(spec.maps)):
                if place not in done:
                    _measure_map(session, spec, trained, place)


@dataclass(frozen=True)
class _Trained:
    """The trained model, whichever head it has."""

    found: Restored | RestoredHead
    quantizer: WeightQuantizer
    attack: Attack | None

    @property
    def model(self) -> LoadedModel:
        """The model with its tokenizer."""
        return self.found.loaded.model

    @property
    def installed(self) -> Installed:
        """Its layers."""
        return self.found.installed

    @property
    def num_units(self) -> int:
        """Windows and questions of each map; its attack counts as many as it costs."""
        if not isinstance(self.found, RestoredHead):
            return len(self.found.text.windows) + self.found.loaded.benchmarks.num_questions
        attacked = 0 if self.attack is None else self.attack.num_units
        return self.found.loaded.family.num_questions + attacked

    def measure(self, session: Session) -> None:
        """Ask what an experiment asks at its end."""
        if isinstance(self.found, RestoredHead):
            measure_task(session, self.found.loaded, self.installed, phase="final")
        else:
            measure(session, self.found.loaded, self.installed, self.found.text)


@dataclass(frozen=True)
class _Widths:
    """How wide a map is, on the mean over weights; expected where widths are drawn."""

    nominal: float
    effective: float


def _prepare(session: Session, spec: MapEvaluationSpec, parent: ParentFiles) -> _Trained:
    """Put the model together, and let its layers know every width of the maps."""
    quantizer = check_measurable(spec)
    if isinstance(spec.attack, GradientAttack):
        check_attack(spec)
    restoring = restore if spec.model.head == "causal-lm" else restore_with_head
    found = restoring(session, parent, lines=list_lines(spec))
    layers = found.installed.layers
    _add_widths(spec, layers)
    prepared = None
    if isinstance(spec.attack, GradientAttack) and isinstance(found, RestoredHead):
        prepared = prepare_attack(session, found, spec.attack)
    return _Trained(found, quantizer, prepared)


def _add_widths(spec: MapEvaluationSpec, layers: Layers) -> None:
    """Let every layer know the widths it takes at the maps.

    Raises:
        SpecError: When it cannot.
    """
    quantized = [name for name, layer in layers.items() if layer.ranges is not None]
    adapted = [name for name in quantized if layers[name].adapter is not None]
    whole = [name for name, layer in layers.items() if layer.ranges is None]
    problems = tuple(iter_map_problems(spec, quantized=quantized, adapted=adapted, whole=whole))
    if problems:
        raise SpecError(*problems)
    for name in quantized:
        add_widths({name: layers[name]}, list_needed(spec, name), spec)


def _measure_map(session: Session, spec: MapEvaluationSpec, trained: _Trained, place: int) -> None:
    """Set the model to a map and measure it there."""
    wanted, units = spec.maps[place], trained.num_units
    widths = _find_widths(trained, wanted)
    listener = _MapListener(session.listener, place, wanted.label, widths)
    listener.units_before, listener.total = place * units, len(spec.maps) * units
    session.listener(Progressed(STAGE, listener.units_before, listener.total))
    of_map = replace(session, listener=listener, seconds={})
    with _set_to(trained, wanted, seed=spec.seed):
        trained.measure(of_map)
    if trained.attack is not None:
        with _set_to(trained, wanted, seed=spec.seed):
            name = f"adversarial-{place}.json"
            attack(of_map, trained.attack, file_name=name, label=wanted.label)


@contextmanager
def _set_to(trained: _Trained, wanted: MapSpec, *, seed: int) -> Iterator[None]:
    """Set the model to a map for a while."""
    installed = trained.installed
    if not isinstance(wanted, RandomMap):
        apply_map(installed.layers, _build_map(trained, wanted))
        yield
        return
    with random_precision(
        trained.model.model,
        installed.layers,
        wanted,
        trained.quantizer,
        seed=seed,
        dtype=installed.split.head_weight.dtype,
    ):
        yield


def _build_map(trained: _Trained, wanted: MapSpec) -> dict[str, LayerSetting]:
    """Return the setting of every layer at a map whose widths are fixed."""
    layers, quantizer = trained.installed.layers, trained.quantizer
    if isinstance(wanted, LayerBitsMap):
        return named_map(layers, wanted.layer_bits, quantizer, field=FIELD)
    assert not isinstance(wanted, RandomMap)
    return uniform_map(layers, wanted.bits, quantizer)


def _find_widths(trained: _Trained, wanted: MapSpec) -> _Widths:
    """Return how wide a map is; the model is left standing at some of its widths."""
    if not isinstance(wanted, RandomMap):
        return _weigh(trained, _build_map(trained, wanted))
    layers = trained.installed.layers
    parts = [
        (chance, _weigh(trained, uniform_map(layers, width, trained.quantizer)))
        for width, chance in list_chances(wanted).items()
    ]
    return _Widths(
        round(sum(chance * each.nominal for chance, each in parts), EXPECTED_DIGITS),
        round(sum(chance * each.effective for chance, each in parts), EXPECTED_DIGITS),
    )


def _weigh(trained: _Trained, settings: dict[str, LayerSetting]) -> _Widths:
    """Apply a map and return its widths; layers at 16 bits count as such in both."""
    layers = trained.installed.layers
    apply_map(layers, settings)
    parts = measure_size(trained.model.model, layers, trained.quantizer).parts
    stored = 8 * sum(parts[name] for name in ("weights", "scales", "zero_points"))
    counted = [layers[name] for name in settings]
    whole = sum(each.weight.numel() for each in counted if each.active_bits == BITS_UNQUANTIZED)
    total = sum(each.weight.numel() for each in counted)
    return _Widths(mean_bits(layers), (stored + BITS_UNQUANTIZED * whole) / total)


class _MapListener:
    """Hands on what is measured at one map, under its name.

    Attributes:
        units_before: Units of the maps before it.
        total: Of all maps.
    """

    def __init__(self, listener: Listener, place: int, label: str, widths: _Widths) -> None:
        self.units_before = self.total = 0
        self._listener = listener
        self._place = place
        self._label = label
        self._widths = widths
        self._passed = self._stage_units = 0

    def __call__(self, event: Event, /) -> None:
        """Tell of scores as those of the map, and of its progress as a part of the whole."""
        if isinstance(event, ScoreMeasured):
            self._listener(self._tell_score(event))
        elif isinstance(event, Logged):
            self._listener(replace(event, message=f"{self._label}: {event.message}"))
        elif isinstance(event, StageStarted):
            self._passed += self._stage_units
            self._stage_units = event.total or 0
        elif isinstance(event, Progressed):
            done = self.units_before + self._passed + event.done
            self._listener(Progressed(STAGE, done, self.total))
        else:
            self._listener(event)

    def _tell_score(self, score: ScoreMeasured) -> MapScored:
        return MapScored(
            place=self._place,
            label=self._label,
            bits=self._widths.nominal,
            effective_bits=self._widths.effective,
            benchmark=score.benchmark,
            metric=score.metric,
            value=score.value,
            standard_error=score.standard_error,
            num_samples=score.num_samples,
            direction=score.direction,
            limited=score.limited,
        )
