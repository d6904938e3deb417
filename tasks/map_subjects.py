"""What a layer map is about: a model without adapters, how it is rounded, and what is measured.

A map is measured by an untrained run. What scores it may be solved by, and which measured maps
teach it, is decided by what they have in common with that. Start with `build_subject`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.corpora import find_file
from engine.data.task_check import check_data
from engine.errors import SpecError
from engine.estimates.scoring import count_calibration
from engine.specs import EvaluationSpec, ExperimentSpec, FloatQuantizer, RunSpec, SensitivitySpec
from engine.specs.data import DataSpec
from engine.specs.initialization import (
    AdapterFolder,
    InitializationSpec,
    LoftQ,
    RoundToNearest,
)
from engine.specs.quantizer import WeightQuantizer
from engine.specs.start_rules import fills_adapters
from tasks.settings import Settings
from tasks.store.sensitivity_scores import NOT_ROUNDING

HELD_OUT = ("test", "validation")
WIDTH_FIELDS = ("bits", "layer_bits", "mixing")
"""Fields of a quantizer that a map's own widths stand for."""


def build_subject(
    settings: Settings, spec: RunSpec, scored: SensitivitySpec | None = None
) -> ExperimentSpec:
    """Return the untrained experiment that a map is about: its model, grid, start and measurement.

    Args:
        settings: Where data is looked for.
        spec: What the map is made of.
        scored: What its scores are of. An evaluation that was left at its default then measures
            held-out text of where they were taken, so that predicted and measured stand on one
            text; where none is known to be there, the default.

    Raises:
        SpecError: At "quantizer.grid", when nothing is rounded.
    """
    quantizer = spec.quantizer
    if isinstance(quantizer, FloatQuantizer):
        raise SpecError.at(
            "quantizer.grid", "float rounds nothing, so that there is no map; choose integer"
        )
    evaluation = spec.evaluation if scored is None else _follow(settings, spec.evaluation, scored)
    return ExperimentSpec(
        seed=spec.seed,
        model=spec.model,
        quantizer=_make_whole(quantizer),
        initialization=_keep_start(spec.initialization),
        evaluation=evaluation,
    )


def find_difference(first: RunSpec, second: RunSpec) -> tuple[str, Any, Any] | None:
    """Return the first field that makes scores of one useless to the other, with both values.

    Looked at are model, grid and start of what a map of each would be; widths, inputs and caches
    change no score.
    """
    for part in ("model", "quantizer", "initialization"):
        one, other = (_describe_part(spec, part) for spec in (first, second))
        for name in [*one, *(name for name in other if name not in one)]:
            if one.get(name) != other.get(name):
                return f"{part}.{name}", one.get(name), other.get(name)
    return None


def tell_apart(scored: SensitivitySpec, subject: RunSpec) -> str:
    """Say what was scored that a map does not measure; empty where it measures just that."""
    if scored.parent is not None:
        has_adapters = scored.adapter.kind != "none"
        what = "the adapters of" if has_adapters else "what was trained in"
        without = "them" if has_adapters else "it"
        return (
            f"Scored with {what} run {scored.parent}; bit maps measure the model without {without}"
        )
    if fills_adapters(scored):
        start = scored.initialization.method
        return f"Scored with adapters filled by {start}; bit maps measure the model without them"
    found = find_difference(scored, subject)
    if found is None:
        return ""
    field, before, now = found
    return f"Scored with {field} {show_value(before)}; this map has {show_value(now)}"


def describe_setting(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what measured maps must have in common for one to teach about another.

    Args:
        spec: A complete experiment's, as it is stored.
    """
    evaluation = spec["evaluation"]
    return {
        "model": spec["model"],
        "quantizer": _leave_out(spec["quantizer"], WIDTH_FIELDS),
        "initialization": spec["initialization"],
        "text": (evaluation["data"], evaluation["max_length"]),
    }


def describe_text(data: DataSpec, max_length: int) -> str:
    """Return a text in words: "ORG/NAME (wikitext-2, test), windows of 256 tokens"."""
    part = f"{data.config}, {data.split}" if data.config else data.split
    return f"{data.source} ({part}), windows of {max_length} tokens"


def describe_evaluation(spec: Mapping[str, Any]) -> str:
    """Return the text that a stored experiment is measured on, in words."""
    evaluation = EvaluationSpec.model_validate(spec["evaluation"])
    return describe_text(evaluation.data, evaluation.max_length)


def tell_text(scored: SensitivitySpec) -> str | None:
    """Return the text that scores are of, in words; None where they are of none."""
    if not count_calibration(scored):
        return None
    return describe_text(scored.calibration.data, scored.calibration.max_length)


def is_same_text(scored: SensitivitySpec, evaluation: EvaluationSpec) -> bool:
    """Whether both are windows of one length of one text; another split of it is the same."""
    data, other = scored.calibration.data, evaluation.data
    return (data.source, data.config, scored.calibration.max_length) == (
        other.source, other.config, evaluation.max_length,
    )  # fmt: skip


def show_value(value: Any) -> str:
    """Return a field's value as a sentence can hold it."""
    return "none" if value is None else str(value)[:80]


def _describe_part(spec: RunSpec, part: str) -> dict[str, Any]:
    if part == "initialization":
        return _keep_start(spec.initialization).model_dump(mode="json")
    values = getattr(spec, part).model_dump(mode="json")
    return _leave_out(values, (*NOT_ROUNDING, *WIDTH_FIELDS)) if part == "quantizer" else values


def _leave_out(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _make_whole(quantizer: WeightQuantizer) -> WeightQuantizer:
    """Return a quantizer of one whole width and no map of its own."""
    return quantizer.model_copy(update={"bits": round(quantizer.bits), "layer_bits": ()})


def _keep_start(start: InitializationSpec) -> InitializationSpec:
    """Return a start as it is without adapters, which nothing is put into."""
    return RoundToNearest() if isinstance(start, LoftQ | AdapterFolder) else start


def _follow(
    settings: Settings, evaluation: EvaluationSpec, scored: SensitivitySpec
) -> EvaluationSpec:
    """Return an evaluation on the text of the scores where none was chosen."""
    usual, calibration = EvaluationSpec(), scored.calibration
    is_usual = (evaluation.data, evaluation.max_length) == (usual.data, usual.max_length)
    has_text = is_usual and count_calibration(scored) > 0
    held_out = _find_held_out(settings, calibration.data) if has_text else None
    if held_out is None:
        return evaluation
    return evaluation.model_copy(update={"data": held_out, "max_length": calibration.max_length})


def _find_held_out(settings: Settings, data: DataSpec) -> DataSpec | None:
    """Return a split of a text besides the one it is; None where none is known to be there.

    A file has no splits, and what the hub has is known only where the mirror has it.
    """
    folder, mirror = settings.data_folder, settings.data_mirror
    if not data.source.startswith("bundled:"):
        is_mirrored = mirror is not None and (mirror / data.source).is_dir()
        if not is_mirrored or find_file(data.source, folder) is not None:
            return None
    for split in HELD_OUT:
        found = data.model_copy(update={"split": split})
        if split != data.split and not check_data(
            found, data_folder=folder, mirror=mirror, field="evaluation.data"
        ):
            return found
    return None
