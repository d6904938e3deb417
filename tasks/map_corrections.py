"""What measured maps teach about predicted ones: the one correction of solving and of bit maps.

Losses of single layers do not simply add up; how far they do is learned from maps that were
predicted by the same scores and measured in the same setting. What was predicted of such a map is
summed up anew each time, from the scores there are now. Start with `learn_correction`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import hypot, inf, isfinite, log
from typing import Any

from engine.allocation.correction import Correction, learn
from engine.specs import ExperimentSpec
from engine.specs.layer_bits import find_bits
from tasks.map_subjects import describe_setting, tell_apart
from tasks.score_tables import LayerScores, ScoreTable
from tasks.store.bit_map_checks import PERPLEXITY, list_measured
from tasks.store.bit_map_records import CheckRecord
from tasks.store.database import Database

COMPARABLE = ("kl_divergence", "log_perplexity")
"""Metrics whose scores are in the unit of what a run measures of a whole map."""


@dataclass(frozen=True, eq=False)
class Basis:
    """What predictions stand on.

    Attributes:
        run_id: The sensitivity run.
        metric: Which of its metrics.
        names: Every layer that a map has a width for.
        scores: Those that were measured.
        setting: What `describe_setting` tells of the run that would measure a map.
        obstacle: Why such a run does not measure what is predicted, as a sentence; empty where it
            does.
    """

    run_id: int
    metric: str
    names: tuple[str, ...]
    scores: LayerScores
    setting: Mapping[str, Any]
    obstacle: str


@dataclass(frozen=True)
class Corrector:
    """Makes predictions of sums; `correction` is None where nothing can be learned."""

    correction: Correction | None

    @property
    def num_pairs(self) -> int:
        """How many measured maps it was learned from."""
        return 0 if self.correction is None else self.correction.num_pairs

    def correct(
        self, loss: float, standard_error: float = 0.0
    ) -> tuple[float, float | None, float | None]:
        """Return value, low and high of a predicted loss, of a sum of scores.

        A sum that is no loss is left as it is; it has no interval, nor has any where nothing can be
        learned.
        """
        if loss <= 0 or self.correction is None:
            return loss, None, None
        found = self.correction.predict(loss, standard_error)
        return found.value, found.low, found.high

    def correct_saving(self, loss: float, saving: float) -> float:
        """Return how much less is predicted where the sum is less by `saving`."""
        return max(0.0, self.correct(loss)[0] - self.correct(loss - saving)[0])


def build_basis(table: ScoreTable, subject: ExperimentSpec, names: tuple[str, ...]) -> Basis:
    """Return what the prediction of a map stands on.

    Args:
        table: The scores.
        subject: What the map is about, as `build_subject` has it.
        names: Every layer that a map has a width for.
    """
    return Basis(
        run_id=table.run.id,
        metric=table.metric,
        names=names,
        scores=table.scores,
        setting=describe_setting(subject.model_dump(mode="json")),
        obstacle=_find_obstacle(table, subject),
    )


def _find_obstacle(table: ScoreTable, subject: ExperimentSpec) -> str:
    if table.metric not in COMPARABLE:
        return f"A map's run measures divergence and perplexity of text, not {table.metric}."
    spec = table.spec
    if not spec.starts_unrounded:
        start = f"a start map of {spec.start_bits} bits"
        return f"Losses count from {start}, not from 16 bits, which a map's run measures against."
    apart = tell_apart(spec, subject)
    return apart and f"{apart}."


def learn_correction(database: Database, basis: Basis) -> Corrector:
    """Learn from every measured map that was predicted by these scores and measured alike.

    A map that was measured again counts once, as it was measured last; one with a width that was
    not scored tells nothing of the sum of scores.
    """
    if basis.obstacle or basis.metric not in COMPARABLE:
        return Corrector(None)
    found: dict[tuple[int, ...], tuple[float, float]] = {}
    checks = list_measured(database, sensitivity_run_id=basis.run_id, metric=basis.metric)
    for check in checks:
        measured = find_measured(check)
        if measured is None or describe_setting(check.spec) != basis.setting:
            continue
        widths = read_widths(check.spec, basis.names)
        loss = _add_up(basis, widths)
        if loss is not None:
            found[widths] = (loss, measured[0])
    return Corrector(learn(tuple(found.values())))


def find_measured(check: CheckRecord) -> tuple[float, float | None] | None:
    """Return what a run measured of a map in the unit of its prediction, with its error.

    Divergence is a score of the run; of log-perplexity it is how much more the run has than the
    16-bit model in the same setting. None where it is not measured yet, or cannot be compared.
    """
    if check.metric not in COMPARABLE or check.obstacle:
        return None
    if check.metric in check.scores:
        value, error = check.scores[check.metric]
        return (value, error) if isfinite(value) else None
    own, base = check.scores.get(PERPLEXITY), check.baseline
    if check.metric == COMPARABLE[0] or own is None or base is None:
        return None
    if not (0 < own[0] < inf and 0 < base[0] < inf):
        return None
    errors = [error / value for value, error in (own, base) if error is not None]
    return log(own[0] / base[0]), hypot(*errors) if errors else None


def explain_unmeasured(check: CheckRecord) -> str:
    """Say why nothing measured stands beside a prediction; empty where it does, or will."""
    if check.metric is None:
        return "Nothing was predicted: the map had no scores."
    if check.obstacle:
        return check.obstacle
    if check.state != "succeeded" or find_measured(check) is not None:
        return ""
    if check.metric == "log_perplexity" and PERPLEXITY in check.scores and check.baseline is None:
        return "The 16-bit run of this setting has not been measured yet."
    return f"The run measured no finite {check.metric}."


def read_widths(spec: Mapping[str, Any], names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the width of each layer in a stored experiment."""
    quantizer = spec["quantizer"]
    return _read_widths(tuple(quantizer["layer_bits"]), round(quantizer["bits"]), names)


@lru_cache(maxsize=256)
def _read_widths(lines: tuple[str, ...], bits: int, names: tuple[str, ...]) -> tuple[int, ...]:
    found = (find_bits(lines, name) for name in names)
    return tuple(bits if own is None else own.weights for own in found)


def _add_up(basis: Basis, widths: tuple[int, ...]) -> float | None:
    """Return the sum of scores; None where one is lacking."""
    total = 0.0
    for name, bits in zip(basis.names, widths, strict=True):
        own = basis.scores.get(name, {}).get(bits)
        if own is None:
            return None
        total += own[0]
    return total
