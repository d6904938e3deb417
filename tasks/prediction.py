"""What a request will need, before it runs, with the past runs of this store as the basis.

No arithmetic here: `engine.estimates` has it. Start with `predict`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from statistics import mean
from typing import Any, Literal

from engine.adapter_fit import check_adapter_folder
from engine.data.row_counting import count_tasks
from engine.data.task_check import check_data, check_measured
from engine.errors import Problem
from engine.estimates import (
    Estimate,
    PastRun,
    SpeedBasis,
    estimate,
    learn_scoring,
    learn_speed,
)
from engine.estimates.rank_space import count_groups
from engine.estimates.scoring import asks_tasks, count_calibration
from engine.evaluation.benchmark_names import check_benchmarks
from engine.layer_fit import check_fit
from engine.models.shapes import ModelShapes, read_shapes
from engine.search.heuristics import NAMED, NUM_LOWEST
from engine.search.strategies import count_evaluations
from engine.specs import (
    DataAware,
    DataSpec,
    ElasticLoraAdapter,
    ExperimentSpec,
    MapEvaluationSpec,
    QatTraining,
    RankEvaluationSpec,
    RankSearchSpec,
    SensitivitySpec,
    Subject,
    TaskData,
    load_spec,
)
from engine.specs.quantizer import find_measured_mixing
from tasks.settings import Settings
from tasks.store.candidates import list_known
from tasks.store.database import Database
from tasks.store.history import find_last_device, list_past_runs
from tasks.store.records import CandidateRecord
from tasks.store.runs import get_run

DeviceKind = Literal["cpu", "cuda"]
OF_ONE_SIZE = ("total_bytes", "original_bytes", "effective_bits", "size_parts")
ENDS = ("", "_low", "_high")
MOST_STARTS = len(NAMED) + 1 + NUM_LOWEST
STARTS = frozenset({*NAMED, "most-frequent", "lowest-loss"})


def load_shapes(settings: Settings, spec: Subject) -> ModelShapes:
    """Read the sizes of the layers of a spec's model.

    Raises:
        ModelError: When the model cannot be found or read.
    """
    return read_shapes(spec.model, data_folder=settings.data_folder)


def list_misfits(
    spec: ExperimentSpec | SensitivitySpec, shapes: ModelShapes
) -> tuple[Problem, ...]:
    """Return where a spec does not fit the layers of its model."""
    return (*check_fit(spec, shapes), *check_adapter_folder(spec, shapes))


def list_unknown(settings: Settings, spec: Subject) -> tuple[Problem, ...]:
    """Return which of a spec's data and benchmarks are not to be had."""
    folder, mirror = settings.data_folder, settings.data_mirror
    found = [
        check_data(data, data_folder=folder, mirror=mirror, field=field)
        for field, data in _iter_data(spec)
    ]
    if not _is_measured(spec):
        return tuple(chain.from_iterable(found))
    if spec.model.head == "causal-lm":
        unknown = check_benchmarks(spec.evaluation.benchmarks, data_folder=folder)
    else:  # other heads' tasks are not lm-eval's
        unknown = check_measured(spec.measured_tasks, mirror=mirror)
    return (*chain.from_iterable(found), *unknown)


def _iter_data(spec: Subject) -> Iterator[tuple[str, TaskData | DataSpec]]:
    """Yield the data a run reads, by field; a child neither trains nor chooses widths."""
    if isinstance(spec, ExperimentSpec):
        if isinstance(spec.training, QatTraining):
            yield "training.data", spec.training.data
        if (mixing := find_measured_mixing(spec.quantizer)) is not None:
            yield "quantizer.mixing.data", mixing.data
    if isinstance(spec, SensitivitySpec) and count_calibration(spec):
        yield "calibration.data", spec.calibration.data
    if isinstance(spec.initialization, DataAware):
        yield "initialization.data", spec.initialization.data
    if spec.model.head == "causal-lm" and _is_measured(spec):
        yield "evaluation.data", spec.evaluation.data


def _is_measured(spec: Subject) -> bool:
    """Whether a run is asked what its evaluation says; a sensitivity run may have its own text."""
    return not isinstance(spec, SensitivitySpec) or asks_tasks(spec)


def predict(
    database: Database, settings: Settings, spec: ExperimentSpec, *, shapes: ModelShapes
) -> Estimate:
    """Predict size, memory and time of a spec that fits its model."""
    return estimate(spec, shapes, speed=load_speed(database, settings, spec))


def predict_child(
    database: Database,
    settings: Settings,
    spec: RankSearchSpec | RankEvaluationSpec | MapEvaluationSpec | SensitivitySpec,
    *,
    shapes: ModelShapes,
) -> Estimate | None:
    """Predict what a run that trains nothing needs; None for a search nothing is known of yet.

    It loads and measures like an untrained run, at every map where there are many. What a search
    adds is its evaluations, as long as those of earlier searches on the same examples, without what
    it is going to be told by those.
    """
    speed = load_speed(database, settings, spec)
    if isinstance(spec, SensitivitySpec):
        speed = learn_scoring(spec, shapes, _list_scorings(database, spec, speed), speed=speed)
    base = estimate(spec, shapes, speed=speed)
    if not isinstance(spec, RankSearchSpec):
        return base
    known = list_known(database, spec.parent, spec.objective.model_dump(mode="json"))
    took = [each.seconds for each in known if each.seconds > 0]
    if not took:
        return None
    seconds = _count_new(database, spec, known, shapes=shapes) * mean(took)
    slower = {f"seconds{end}": getattr(base, f"seconds{end}") + seconds for end in ENDS}
    parts = {**base.seconds_parts, "search": seconds}
    return replace(base, seconds_parts=parts, **slower)


def load_speed(database: Database, settings: Settings, spec: Subject) -> SpeedBasis:
    """Take the speed from past runs of the same model on the device that ran it last.

    Tasks have as many examples as their files here, where there are any, in those runs as well.

    Without any, only the kind of device is known: that of the last run, else that of the queue.
    """
    past = list_past_runs(database, spec.model.source)
    runs = [PastRun(load_spec(run.spec), run.seconds_by_stage) for run in past]
    specs = [spec, *(run.spec for run in runs)]
    device = past[0].device if past else find_last_device(database, settings.queue)
    return learn_speed(
        runs,
        device=_device_kind(device or settings.queue),
        num_cores=os.cpu_count() or 1,
        rows=count_tasks(specs, data_folder=settings.data_folder, mirror=settings.data_mirror),
    )


def describe_estimate(spec: Subject, found: Estimate | None) -> dict[str, Any] | None:
    """Return an estimate as it is stored and told.

    An evaluation of maps, or a sensitivity run, has a size at every width and none of its own:
    those fields are left out.
    """
    if found is None:
        return None
    is_sized = not isinstance(spec, MapEvaluationSpec | SensitivitySpec)
    left_out = () if is_sized else OF_ONE_SIZE
    return {name: value for name, value in asdict(found).items() if name not in left_out}


def _list_scorings(
    database: Database, spec: SensitivitySpec, speed: SpeedBasis
) -> Iterator[PastRun]:
    """Yield the sensitivity runs of a model on the kind of device it will be on."""
    for run in list_past_runs(database, spec.model.source, kind="sensitivity"):
        if _device_kind(run.device) == speed.device:
            yield PastRun(load_spec(run.spec), run.seconds_by_stage)


def _count_new(
    database: Database,
    spec: RankSearchSpec,
    known: Sequence[CandidateRecord],
    *,
    shapes: ModelShapes,
) -> int:
    """Return how many configurations a search will have to evaluate itself.

    Known ones spare it work where it comes upon them: the named ones, which every search begins
    with, and those of a search that took the same course. A small space ends before the budget.
    """
    assert isinstance(spec.adapter, ElasticLoraAdapter)
    space = len(spec.adapter.rank_space) ** count_groups(spec, shapes)
    wanted = min(count_evaluations(spec.search, starts=MOST_STARTS), space)
    course = _course(spec.model_dump(mode="json"))
    searches = {each.run_id for each in known}
    alike = {each for each in searches if _course(get_run(database, each).spec) == course}
    told = sum(each.origin in STARTS or each.run_id in alike for each in known)
    return min(max(0, wanted - told), max(0, space - len(known)))


def _course(search: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what decides which configurations a stored search proposes, but for how many."""
    return search["seed"], {**search["search"], "num_evaluations": None}


def _device_kind(name: str) -> DeviceKind:
    return "cuda" if any(word in name.lower() for word in ("cuda", "gpu")) else "cpu"


__all__ = [
    "Estimate",
    "describe_estimate",
    "list_misfits",
    "list_unknown",
    "load_shapes",
    "load_speed",
    "predict",
    "predict_child",
]
