"""What the sensitivity part of the Run page reads from the store, and what the address chose of it.

How it is shown stands in `run_sensitivity`. Start with `read_seen` and `choose`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app import reports
from app.plots.sensitivity_agreement import Pairs, Side, read_pairs
from app.plots.sensitivity_scores import (
    Sensitivity,
    list_score_metrics,
    name_score,
    name_units,
    read_sensitivity,
)
from app.quantities import write_count
from app.reports import Lacking
from app.services import Services
from app.tables.describing import SENSITIVITY
from app.tables.sensitivity_facts import MapMade
from app.tables.sensitivity_table import Compared
from app.text import sensitivity as text
from engine.sensitivity.agreement import Scores, compare
from engine.sensitivity.layer_facts import LayerFact
from engine.sensitivity.units import list_units
from tasks.store import bit_map_checks, bit_maps, sensitivity_scores
from tasks.store.records import TERMINAL_STATES, RunRecord, SensitivityScoreRecord

MOST_COMPARED = 8
Records = tuple[SensitivityScoreRecord, ...]


@dataclass(frozen=True)
class Seen:
    """What is known of a sensitivity run.

    Attributes:
        run: The run.
        scores: What it measured so far.
        metrics: Their titles.
        num_units: How many units there will be; None where it is not known yet.
        facts: What is known of each layer's weights.
        others: Comparable runs, the newest first, with what they measured.
    """

    run: RunRecord
    scores: Records
    metrics: dict[str, str]
    num_units: int | None
    facts: Mapping[str, LayerFact]
    others: tuple[tuple[RunRecord, Records], ...] = ()

    @property
    def method(self) -> str:
        """How its units were scored."""
        return method_of(self.run)

    @property
    def unit(self) -> str:
        """What changes its width at once."""
        return str(self.run.spec.get("unit", "layer"))


@dataclass(frozen=True)
class Chosen:
    """What the address selects.

    Attributes:
        metric: Of the scores; "" where there are none yet.
        bits: The width that is drawn.
        is_log: Whether colors or axis are logarithmic.
        is_common: Whether the colors of all widths share one scale.
        widths: To choose from, the highest first.
        found: Scores of the metric.
        compared: How far other runs agree: those by another method first, then by their scores.
        other: With which of them every score is compared; None for none.
        pairs: Both runs' scores; None for none.
        method: How the run itself scores units.
    """

    metric: str
    bits: int
    is_log: bool
    is_common: bool
    widths: tuple[int, ...]
    found: Sensitivity
    compared: tuple[Compared, ...] = field(default=())
    other: int | None = None
    pairs: Pairs | None = None
    method: str = ""


def read_seen(services: Services, run: RunRecord) -> Seen:
    """Read a sensitivity run's scores, its layers' facts, and the runs it is compared with."""
    database = services.database
    scores = sensitivity_scores.list_scores(database, run.id)
    known = reports.read_facts(services, run.id)
    facts = {} if isinstance(known, Lacking) else known.layers
    unit = run.spec.get("unit", "layer")
    others = sensitivity_scores.list_comparable(database, run)[:MOST_COMPARED] if scores else ()
    return Seen(
        run,
        scores,
        list_score_metrics(scores),
        len(list_units(tuple(facts), unit)) if facts else None,
        facts,
        tuple((each, sensitivity_scores.list_scores(database, each.id)) for each in others),
    )


def choose(seen: Seen, query: Mapping[str, str]) -> Chosen:
    """Return what the address selects; what it does not name or cannot have is the usual."""
    metric = query.get("score", "")
    metric = metric if metric in seen.metrics else next(iter(seen.metrics), "")
    found = _read(seen.run, seen.scores, metric, num_units=seen.num_units)
    wanted = query.get("width", "")
    measured = [bits for bits in found.widths if found.list_at(bits)]
    is_over = seen.run.state in TERMINAL_STATES
    widths = tuple(bits for bits in found.widths if bits in measured or not is_over)
    usual = min(measured, default=min(widths, default=0))
    bits = next((each for each in widths if str(each) == wanted), usual)
    own = Side(seen.run.id, name_method(seen.run), found)
    compared, sides = _compare(seen, own)
    chosen = next((each for each in sides if str(each.run_id) == query.get("with")), None)
    chosen = chosen or next(iter(sides), None)
    return Chosen(
        metric,
        bits,
        query.get("scale", "log") != "linear",
        query.get("span") == "all",
        widths,
        found,
        compared,
        None if chosen is None else chosen.run_id,
        None if chosen is None else read_pairs(own, chosen),
        seen.method,
    )


def count_pairs(services: Services, run: RunRecord) -> str:
    """Return a text that changes with every score of a run or of one it is compared with."""
    database = services.database
    count = len(sensitivity_scores.list_scores(database, run.id))
    others = sensitivity_scores.list_comparable(database, run)[:MOST_COMPARED] if count else ()
    return f"{run.state} {count} " + " ".join(
        f"{each.id}:{each.state}:{each.progress_done}" for each in others
    )


def list_maps_made(services: Services, run: RunRecord) -> tuple[MapMade, ...]:
    """Return the bit maps with a sensitivity run's scores; other runs have none."""
    if run.kind != SENSITIVITY:
        return ()
    found = bit_maps.list_maps(services.database, sensitivity=run.id, limit=MOST_COMPARED)
    return tuple(
        MapMade(each, bit_map_checks.list_checks(services.database, each.id)) for each in found
    )


def method_of(run: RunRecord) -> str:
    """Return how a sensitivity run scores units."""
    return str((run.spec.get("method") or {}).get("method", ""))


def name_method(run: RunRecord) -> str:
    """Return what a sensitivity run's method is called."""
    return text.METHODS.get(method_of(run), method_of(run))


def write_lead(seen: Seen, chosen: Chosen) -> str:
    """Say what the figure shows, and how much of it is there."""
    if not seen.scores:
        return ""
    start = seen.run.spec.get("start_bits", 16)
    mapped = bool(seen.run.spec.get("start_map"))
    lead = text.LEAD.format(
        unit=name_units(seen.unit, 1),
        start=text.START_MAP if mapped else text.START_WIDTH.format(bits=start),
        bits=chosen.bits,
        metric=chosen.found.title,
    )
    return " ".join(filter(None, (lead, _write_progress(seen, chosen), _write_below(chosen))))


def explain_empty(seen: Seen, chosen: Chosen) -> str:
    """Say why there is no figure."""
    if seen.scores:
        return text.NO_SCORES_AT.format(bits=chosen.bits)
    if seen.run.state == "failed":
        return text.EMPTY_FAILED
    return text.EMPTY_ENDED if seen.run.state in TERMINAL_STATES else text.EMPTY_WAITING


def _write_progress(seen: Seen, chosen: Chosen) -> str:
    """Say how many units are there where some lack; nothing of a run that is through."""
    done, count = len(chosen.found.list_at(chosen.bits)), seen.num_units
    if seen.run.state == "succeeded" or (count is not None and done >= count):
        return ""
    units = name_units(seen.unit, count or done)
    if count is None:
        return text.PARTIAL_UNCOUNTED.format(done=write_count(done), units=units, bits=chosen.bits)
    said = text.PARTIAL
    if seen.run.state in TERMINAL_STATES:
        said = text.PARTIAL_FAILED if seen.run.state == "failed" else text.PARTIAL_ENDED
    return said.format(
        done=write_count(done), count=write_count(count), units=units, bits=chosen.bits
    )


def _write_below(chosen: Chosen) -> str:
    """Say where scores are that have no logarithm, if any."""
    if not chosen.is_log or all(value > 0 for value in chosen.found.list_values(chosen.bits)):
        return ""
    return text.BELOW_SCALE if chosen.found.unit == "layer" else text.BELOW_AXIS


def _compare(seen: Seen, own: Side) -> tuple[tuple[Compared, ...], tuple[Side, ...]]:
    """Return how far each other run agrees, and its scores, where both have any in common."""
    compared, sides = [], []
    ordered = sorted(seen.others, key=lambda each: (is_same(each[0], seen), -len(each[1])))
    for run, scores in ordered:
        metric = _match_metric(own.found.metric, scores)
        found = _read(run, scores, metric)
        agreements = compare(_plain(own.found), _plain(found))
        if agreements:
            name = text.RUN_CHOICE.format(
                method=name_method(run), metric=name_score(metric), id=run.id
            )
            compared.append(Compared(run.id, method_of(run), name, agreements))
            sides.append(Side(run.id, name_method(run), found))
    return tuple(compared), tuple(sides)


def is_same(run: RunRecord, seen: Seen) -> bool:
    """Whether another run scored its units by the same method."""
    return method_of(run) == seen.method


def list_telling(chosen: Chosen) -> tuple[Compared, ...]:
    """Return the runs whose agreement is worth a sentence: those by another method, if any."""
    others = tuple(each for each in chosen.compared if each.method != chosen.method)
    return others or chosen.compared


def _match_metric(metric: str, scores: Sequence[SensitivityScoreRecord]) -> str:
    """Return the same metric of another run, or its first."""
    known = list_score_metrics(scores)
    return metric if metric in known else next(iter(known), "")


def _read(
    run: RunRecord, scores: Records, metric: str, *, num_units: int | None = None
) -> Sensitivity:
    spec = run.spec
    widths = tuple(spec.get("widths", ()))
    unit = str(spec.get("unit", "layer"))
    return read_sensitivity(scores, metric, unit=unit, widths=widths, num_units=num_units)


def _plain(found: Sensitivity) -> Scores:
    return {
        unit: {bits: score.value for bits, score in each.items()}
        for unit, each in found.scores.items()
    }
