"""What each layer loses at each width, from a sensitivity run: the one way from scores to a map.

Solving, bit maps and agreement read scores here. A run that has not ended, or ended badly, gives
what it has, with a sentence that says what is missing. Start with `load_scores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType

from engine.errors import SpecError
from engine.estimates.selection import list_quantized
from engine.models.shapes import ModelShapes
from engine.sensitivity.checks import find_start, list_pairs
from engine.sensitivity.units import Units, list_units
from engine.specs import SensitivitySpec, load_spec
from tasks.desk import Desk
from tasks.prediction import load_shapes
from tasks.store.records import RunRecord, SensitivityScoreRecord
from tasks.store.runs import get_run
from tasks.store.sensitivity_scores import list_scores

FIELD = "sensitivity"
USUAL_METRIC = "kl_divergence"
ENDS: Mapping[str, str] = MappingProxyType(
    {"running": "is running, with", "failed": "failed after", "cancelled": "was cancelled after"}
)
LayerScores = dict[str, dict[int, tuple[float, float | None]]]
"""Value and standard error by layer and width."""


@dataclass(frozen=True)
class ScoreTable:
    """What a sensitivity run tells of each layer, by one metric.

    Attributes:
        run: The run.
        metric: Of its scores.
        method: How they were found.
        scores: Loss against the start map and its standard error, by layer and width; the start
            width loses nothing. Of a unit of several layers each has a part of the unit's loss as
            large as its part of the unit's weights, so that the parts add up to it.
        missing: Layers without any score; they keep their width.
        is_complete: Whether the run succeeded and everything it was to score has a finite score.
        note: A sentence on what is missing; empty where nothing is.
        groups: Layers of each unit that has several: they change their width together.
        starts: The width of every layer of the run before anything changes, in the model's order.
        metrics: All metrics the run has, the usual one first.
        spec: What the run was asked.
        shapes: The layers of its model.
    """

    run: RunRecord
    metric: str
    method: str
    scores: LayerScores
    missing: tuple[str, ...]
    is_complete: bool
    note: str
    groups: tuple[tuple[str, ...], ...]
    starts: dict[str, int]
    metrics: tuple[str, ...]
    spec: SensitivitySpec
    shapes: ModelShapes

    def find_error(self, widths: Mapping[str, int]) -> float | None:
        """Return one standard error of the summed loss of a map; None where none is known.

        Units are taken to be independent; the layers of one unit are not.
        """
        units = [[name] for name in self.scores if not any(name in group for group in self.groups)]
        found = []
        for names in (*self.groups, *units):
            errors = [
                self.scores[name].get(widths[name], (0.0, 0.0))[1]
                for name in names
                if name in self.scores and name in widths
            ]
            found += [] if None in errors else [sum(each or 0.0 for each in errors)]
        return sum(each**2 for each in found) ** 0.5 if any(found) else None


def load_scores(desk: Desk, run_id: int, metric: str | None = None) -> ScoreTable:
    """Return what a sensitivity run has scored so far.

    Args:
        desk: Where the run is.
        run_id: A sensitivity run in any state.
        metric: Which of its metrics; divergence where None, else its first.

    Raises:
        RunNotFound: When there is no such run.
        SpecError: At "sensitivity", when it is no sensitivity run; at "metric", when it has no such
            metric.
        ModelError: When its model cannot be found.
    """
    run, spec = get_sensitivity(desk, run_id)
    shapes = load_shapes(desk.settings, spec)
    sizes = {layer.name: layer.num_weights for layer in list_quantized(spec, shapes)}
    units = list_units(tuple(sizes), spec.unit)
    records = list_scores(desk.database, run_id)
    metrics = list_metrics(records)
    chosen = choose_metric(run, metrics, metric)
    by_unit = _read_units(records, chosen, units)
    starts = {name: find_start(spec, name) for name in sizes}
    scores = _share_out(by_unit, units, sizes=sizes, starts=starts)
    missing = tuple(name for name in sizes if name not in scores)
    note = _describe(run, spec, units, by_unit)
    return ScoreTable(
        run=run,
        metric=chosen,
        method=spec.method.method,
        scores=scores,
        missing=missing,
        is_complete=not note,
        note=note,
        groups=tuple(layers for layers in units.values() if len(layers) > 1),
        starts=starts,
        metrics=metrics,
        spec=spec,
        shapes=shapes,
    )


def get_sensitivity(desk: Desk, run_id: int) -> tuple[RunRecord, SensitivitySpec]:
    """Return a sensitivity run and what it was asked.

    Raises:
        RunNotFound: When there is no such run.
        SpecError: At "sensitivity", when it is of another kind.
    """
    run = get_run(desk.database, run_id)
    spec = load_spec(run.spec)
    if not isinstance(spec, SensitivitySpec):
        kind = run.kind.replace("-", " ")
        article = "an" if kind[0] in "aeiou" else "a"
        raise SpecError.at(
            FIELD, f"run {run_id} is {article} {kind} and scored no layers; give a sensitivity run"
        )
    return run, spec


def list_metrics(records: Sequence[SensitivityScoreRecord]) -> tuple[str, ...]:
    """Return the metrics of scores, divergence first and the others by name."""
    return tuple(
        sorted({each.metric for each in records}, key=lambda name: (name != USUAL_METRIC, name))
    )


def choose_metric(run: RunRecord, metrics: Sequence[str], wanted: str | None) -> str:
    """Return the metric that is meant; divergence where none has been measured yet.

    Raises:
        SpecError: At "metric", when there is no such metric.
    """
    if wanted is None:
        return metrics[0] if metrics else USUAL_METRIC
    if wanted not in metrics:
        known = f"it has {', '.join(metrics)}" if metrics else "it has no scores yet"
        raise SpecError.at("metric", f"run {run.id} has no {wanted[:80]!r}; {known}")
    return wanted


def describe_lacking(
    run: RunRecord,
    spec: SensitivitySpec,
    units: Units,
    records: Sequence[SensitivityScoreRecord],
) -> str:
    """Say what is missing of a run's scores, by its usual metric; nothing where it is whole."""
    metric = choose_metric(run, list_metrics(records), None)
    return _describe(run, spec, units, _read_units(records, metric, units))


def _read_units(
    records: Sequence[SensitivityScoreRecord], metric: str, units: Units
) -> LayerScores:
    """Return the finite scores of each unit there is."""
    found: LayerScores = {}
    for each in records:
        if each.metric == metric and each.unit in units and isfinite(each.value):
            found.setdefault(each.unit, {})[each.bits] = (each.value, each.standard_error)
    return found


def _share_out(
    by_unit: LayerScores, units: Units, *, sizes: Mapping[str, int], starts: Mapping[str, int]
) -> LayerScores:
    """Give every layer of a unit its part of the unit's scores, and nothing at its start."""
    found: LayerScores = {}
    for unit, scores in by_unit.items():
        whole = sum(sizes[name] for name in units[unit])
        for name in units[unit]:
            part = sizes[name] / whole
            found[name] = {starts[name]: (0.0, 0.0)} | {
                bits: (value * part, None if error is None else error * part)
                for bits, (value, error) in scores.items()
            }
    return {name: found[name] for name in sizes if name in found}


def _describe(run: RunRecord, spec: SensitivitySpec, units: Units, by_unit: LayerScores) -> str:
    """Say what is missing of a run's scores; nothing where all are there and it succeeded."""
    pairs = list_pairs(spec, units)
    expected = {pair.unit for pair in pairs}
    short = [each for each in pairs if each.bits not in by_unit.get(each.unit, {})]
    lacking = expected - set(by_unit)
    if run.state == "succeeded" and not short:
        return ""
    if not by_unit:
        state = "has not begun" if run.state == "queued" else f"is {run.state}"
        return f"run {run.id} {state} and has no scores" + (" yet" * (run.state != "failed"))
    if run.state == "running" and not short:
        return f"run {run.id} is running, and its scores may still change"
    verb = ENDS.get(run.state, "has")
    num_partial = len({each.unit for each in short} - lacking)
    partly = _tell_partial(num_partial, spec.unit)
    if not lacking:
        done = f"{len(pairs) - len(short)} of {len(pairs)} scores"
        return f"run {run.id} {verb} {done}; {partly or 'all are there'}"
    num_layers = sum(len(units[unit]) for unit in lacking)
    keep = (
        "layers have no score and keep their width"
        if num_layers > 1
        else "layer has no score and keeps its width"
    )
    done = f"{len(expected) - len(lacking)} of {_count(len(expected), spec.unit)}"
    return f"run {run.id} {verb} {done}; {num_layers} {keep}{partly and ', and '}{partly}"


def _tell_partial(count: int, noun: str) -> str:
    if not count:
        return ""
    words = "lacks some of its widths" if count == 1 else "lack some of their widths"
    return f"{_count(count, noun)} {words}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
