"""Which layer of a run has which width, from its spec and what it recorded. No torch.

Start with `get_layer_map`.
"""

from __future__ import annotations

from engine.allocation.fractions import spread_widths
from engine.allocation.width_file import WIDTHS_FILE, read_width_file
from engine.errors import SpecError
from engine.estimates.selection import list_selected
from engine.layer_maps.layer_map import LayerMap
from engine.models.shapes import ModelShapes
from engine.spec_map import build_spec_map
from engine.specs import (
    ExperimentSpec,
    FloatQuantizer,
    LayerBitsMap,
    MapEvaluationSpec,
    RandomMap,
    RunSpec,
    UniformMap,
    load_spec,
)
from engine.specs.quantizer import BySensitivity, WeightQuantizer
from tasks.desk import Desk
from tasks.errors import WrongState
from tasks.prediction import load_shapes
from tasks.store.files import find_newest
from tasks.store.runs import get_run

FIELD = "map"


def get_layer_map(desk: Desk, run_id: int, *, label: str | None = None) -> LayerMap:
    """Return the widths of every quantized layer of a run.

    Args:
        desk: Where the run is.
        run_id: A run of any kind and state.
        label: Which map of an evaluation of maps; None where it has one.

    Raises:
        RunNotFound: When there is no such run.
        WrongState: When it quantizes nothing, or has not chosen its widths yet.
        SpecError: At "map", when it has no such map, or draws it anew for every forward pass.
        ModelError: When its model cannot be found.
        CheckpointError: When the widths it chose are of another model.
    """
    spec = load_spec(get_run(desk.database, run_id).spec)
    quantizer = spec.quantizer
    if isinstance(quantizer, FloatQuantizer):
        raise WrongState(
            f"run {run_id} leaves its model at 16 bits and has no layer map; name a run that "
            "rounds it"
        )
    wanted = _find_map(run_id, spec, label)
    shapes = load_shapes(desk.settings, spec)
    trained_id = run_id if isinstance(spec, ExperimentSpec) else spec.parent or run_id
    widths = _find_widths(desk, trained_id, spec, quantizer=quantizer, shapes=shapes)
    return build_spec_map(spec, quantizer, shapes, widths=widths, wanted=wanted)


def _find_map(run_id: int, spec: RunSpec, label: str | None) -> UniformMap | LayerBitsMap | None:
    """Return which map of an evaluation is meant; None for the run's own."""
    if not isinstance(spec, MapEvaluationSpec):
        if label is not None:
            raise SpecError.at(FIELD, f"run {run_id} has one layer map; leave the label out")
        return None
    listed = ", ".join(repr(each.label) for each in spec.maps)
    if label is None and len(spec.maps) > 1:
        raise SpecError.at(FIELD, f"run {run_id} measured several maps; name one of {listed}")
    wanted = next((each for each in spec.maps if label in (None, each.label)), None)
    if wanted is None:
        raise SpecError.at(FIELD, f"{str(label)[:80]!r} is no map of run {run_id}; name {listed}")
    if isinstance(wanted, RandomMap):
        raise SpecError.at(
            FIELD, f"{wanted.label!r} draws widths anew for every forward pass; there is no one map"
        )
    return wanted


def _find_widths(
    desk: Desk, run_id: int, spec: RunSpec, *, quantizer: WeightQuantizer, shapes: ModelShapes
) -> dict[str, int]:
    """Return the width of each layer where the bits are a fraction, as the training chose them.

    By the published rule they follow from the model alone, before there is a file.
    """
    if not quantizer.is_mixed:
        return {}
    path = find_newest(
        desk.database, run_id, "report", data_folder=desk.settings.data_folder, name=WIDTHS_FILE
    )
    found = None if path is None else read_width_file(path)
    if found is not None:
        return found.layers
    if isinstance(quantizer.mixing, BySensitivity):
        raise WrongState(
            f"run {run_id} gives layers widths by their sensitivity and has no {WIDTHS_FILE} that "
            "says which; it is written when the run has measured them"
        )
    sizes = {layer.name: layer.num_weights for layer in list_selected(spec, shapes)}
    return spread_widths(sizes, quantizer.bits)
