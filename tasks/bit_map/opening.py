"""Where maps come from: a sensitivity run, a run's layer map, a model, a file.

A map keeps a whole experiment's spec of its own, so that it can be measured and trained from when
the run it was made of is gone. Start with `open_map`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from engine.errors import SpecError
from engine.specs import ExperimentSpec, RunSpec, SensitivitySpec, load_spec, resolve
from tasks.bit_map.content import Content, write_content
from tasks.bit_map.files import FileWidths, place_map, read_file
from tasks.bit_map.ground import Ground, build_ground, write_shapes
from tasks.bit_map.numbers import MAX_NAME, read_name, read_text, read_whole
from tasks.desk import Desk
from tasks.layer_maps import get_layer_map
from tasks.map_subjects import build_subject, find_difference, show_value
from tasks.prediction import load_shapes
from tasks.score_tables import get_sensitivity, load_scores
from tasks.store.bit_map_records import BitMapRecord, NewBitMap
from tasks.store.bit_maps import create_map
from tasks.store.runs import get_run

KNOWN = ("name", "sensitivity", "metric", "run", "map", "model", "quantizer", "file")
ORIGINS = ("sensitivity", "run", "model")


@dataclass(frozen=True)
class Opened:
    """A new map, and what of its origin has no place in it."""

    record: BitMapRecord
    note: str = ""


@dataclass(frozen=True)
class _Origin:
    """What a map is made of: a spec, widths by layer, a name, scores, and what became otherwise."""

    spec: ExperimentSpec
    name: str
    run: tuple[int, str | None] | None = None
    scores: tuple[int, str] | None = None
    note: str = ""


def open_map(desk: Desk, values: Mapping[str, Any]) -> Opened:
    """Make a map and keep it.

    Args:
        desk: Where it is kept.
        values: `sensitivity`, the number of a run, with its `metric` where it is not the usual one;
            or `run`, of which the widths are taken (`map` where it measured several); or `model`
            and `quantizer`, as in a spec. Besides, `file`, the text of a layer map, and `name`.
            `run` goes with `sensitivity`, whose scores it then has.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When the run has no layer map, or not yet.
        SpecError: At the field that cannot be; at "sensitivity", when it scored another model, grid
            or start than the run's; at "file", when it is another model's map.
        ModelError: When the model cannot be found.
    """
    origin = _find_origin(desk, values)
    shapes = load_shapes(desk.settings, origin.spec)
    ground = build_ground(origin.spec.model_dump(mode="json"), write_shapes(shapes))
    content, note = _start(desk, values, origin, ground)
    name = read_name(values["name"], "name") if values.get("name") else origin.name
    run_id, metric = origin.scores or (None, None)
    new = NewBitMap(
        name=name[:MAX_NAME],
        spec=origin.spec.model_dump(mode="json"),
        shapes=write_shapes(shapes),
        content=write_content(content),
        sensitivity_run_id=run_id,
        metric=metric,
    )
    return Opened(create_map(desk.database, new), note)


def _find_origin(desk: Desk, values: Mapping[str, Any]) -> _Origin:
    unknown = next((name for name in values if name not in KNOWN), None)
    if unknown is not None:
        raise SpecError.at(str(unknown)[:60], f"there is no such field; known: {', '.join(KNOWN)}")
    given = [name for name in ORIGINS if values.get(name) is not None]
    if "model" in given and len(given) > 1:
        raise SpecError.at("model", f"is that of the {given[0]} run; leave one of the two out")
    if "quantizer" in values and "model" not in given:
        raise SpecError.at("quantizer", "goes with model; leave it out, or name a model")
    if not given:
        raise SpecError.at("sensitivity", "is missing; give a sensitivity run, a run, or a model")
    scores = _find_scores(desk, values)
    if "run" in given:
        return _from_run(desk, values, scores)
    if scores is not None:
        run_id = scores[0]
        spec = get_sensitivity(desk, run_id)[1]
        subject = build_subject(desk.settings, spec, spec)
        note = _explain_width(spec, subject)
        return _Origin(subject, f"map from sensitivity run {run_id}", None, scores, note)
    return _from_model(desk, values)


def _find_scores(desk: Desk, values: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return the sensitivity run that is asked for, and which of its metrics."""
    metric = values.get("metric")
    if values.get("sensitivity") is None:
        if metric is not None:
            raise SpecError.at("metric", "goes with sensitivity; leave it out, or name a run")
        return None
    run_id = read_whole(values["sensitivity"], "sensitivity", lowest=1)
    if metric is not None and not isinstance(metric, str):
        raise SpecError.at("metric", "must be a name, such as kl_divergence")
    table = load_scores(desk, run_id, metric)
    if not table.scores:
        raise SpecError.at("sensitivity", f"{table.note}; open it when some are there")
    return run_id, table.metric


def _from_run(desk: Desk, values: Mapping[str, Any], scores: tuple[int, str] | None) -> _Origin:
    run_id = read_whole(values["run"], "run", lowest=1)
    label = values.get("map")
    if label is not None and not isinstance(label, str):
        raise SpecError.at("map", "must be the name of a map, such as '4 bits'")
    spec = load_spec(get_run(desk.database, run_id).spec)
    if isinstance(spec, SensitivitySpec):
        raise SpecError.at("run", f"run {run_id} is a sensitivity run; give it as sensitivity")
    scored = None if scores is None else get_sensitivity(desk, scores[0])[1]
    if scores is not None and scored is not None:
        _refuse_others(scores[0], scored, spec)
    get_layer_map(desk, run_id, label=label)  # refused before anything is made of it
    subject = build_subject(desk.settings, spec, scored)
    return _Origin(subject, f"map of run {run_id}", (run_id, label), scores)


def _refuse_others(scored_id: int, scored: SensitivitySpec, spec: RunSpec) -> None:
    """Refuse scores of another model, grid or start than a run's."""
    found = find_difference(scored, spec)
    if found is None:
        return
    field, before, now = found
    if field == "model.source":
        raise SpecError.at(
            "sensitivity",
            f"run {scored_id} scored {before}, and the run's model is {now}; give one of the same "
            "model",
        )
    raise SpecError.at(
        "sensitivity",
        f"run {scored_id} scored with {field} {show_value(before)}, and the run has "
        f"{show_value(now)}; give one of the same model, grid and initialization",
    )


def _from_model(desk: Desk, values: Mapping[str, Any]) -> _Origin:
    """Read model and quantizer as a spec has them."""
    model = values["model"]
    if isinstance(model, str):
        model = {"source": model}
    asked: dict[str, Any] = {"preset": "rtn", "model": model}
    if values.get("quantizer") is not None:
        asked["quantizer"] = values["quantizer"]
    whole = resolve(asked).spec
    spec = build_subject(desk.settings, whole)
    source = spec.model.source.removeprefix("bundled:").rstrip("/")
    name = f"map of {PurePath(source).name or source}"
    return _Origin(spec, name, note=_explain_width(whole, spec))


def _explain_width(asked: RunSpec, subject: ExperimentSpec) -> str:
    """Say at which width layers begin where a fraction was asked for; a layer has a whole one."""
    if asked.bits == subject.bits:
        return ""
    return f"Every layer begins at {subject.bits:g} bits, as none can have {asked.bits:g}."


def _start(
    desk: Desk, values: Mapping[str, Any], origin: _Origin, ground: Ground
) -> tuple[Content, str]:
    """Return the first content: the quantizer's width, a run's widths, a file's over them."""
    widths = [int(ground.quantizer.bits)] * ground.num_layers
    notes = [origin.note] if origin.note else []
    found: list[FileWidths] = []
    if origin.run is not None:
        run_id, label = origin.run
        layer_map = get_layer_map(desk, run_id, label=label)
        found.append(place_map(layer_map, ground, name=f"the map of run {run_id}", field="run"))
    if values.get("file") is not None:
        text = read_text(values["file"], "file")
        found.append(read_file(text, ground, field="file"))
    for each in found:
        notes += [each.note] if each.note else []
        for place, bits in each.widths.items():
            widths[place] = bits
    return Content(tuple(widths)), " ".join(notes)
