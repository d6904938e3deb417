"""The width of each layer where bits are a fraction, before anything is rounded.

By the published rule from names alone, or by how much each layer's rounding matters on calibration
text. Who goes on from an earlier attempt takes its widths, who measures a finished run those of its
result. Start with `choose_widths`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from engine.allocation.fractions import Widths, mean_bits, spread_widths
from engine.allocation.mean_budget import Scores, check_layers, fit_budget
from engine.allocation.width_file import WIDTHS_FILE, WidthFile, find_widths, write_widths
from engine.data.windows import spread
from engine.errors import CheckpointError, ModelError
from engine.events import FileWritten, Logged
from engine.layers.swap import LayerPlan, Users, find_targets
from engine.result import read_widths
from engine.sensitivity.gradient import Question, Sensitivity, measure_sensitivity
from engine.session import Session, load_windows
from engine.specs import FloatQuantizer
from engine.specs.quantizer import BySensitivity, WeightQuantizer
from engine.stages.load import Loaded, LoadedHead
from engine.teacher.cache import make_key

STAGE = "sensitivity"
WIDTHS = tuple(range(2, 9))
"""Widths to choose from by sensitivity: all there are."""


def choose_widths(session: Session, loaded: Loaded | LoadedHead) -> Widths:
    """Choose a width for every layer that will be replaced, and write them down.

    Returns:
        Width by layer; empty where the bits are a whole number, which then is every layer's.

    Raises:
        SpecError: When the fraction is too small for so few blocks or layers.
        DataError: When the calibration text cannot be read.
        ModelError: When the model computes something that is not a number.
    """
    spec = session.spec.quantizer
    if isinstance(spec, FloatQuantizer) or not spec.is_mixed:
        return {}
    targets = _find_targets(session, loaded)
    if not targets:
        return {}
    sizes = {name: next(iter(users.values())).weight.numel() for name, users in targets.items()}
    key = make_key(
        {"quantizer": spec.model_dump(mode="json"), "model": loaded.key, "seed": session.spec.seed}
    )
    path = session.workspace.folder / WIDTHS_FILE
    found = find_widths(path, key=key)
    if found is None or set(found.layers) != set(sizes):
        found = _choose(session, loaded, targets, spec=spec, sizes=sizes, key=key)
        write_widths(path, found)
    session.listener(FileWritten("report", WIDTHS_FILE))
    session.listener(Logged("info", _describe(spec.bits, found)))
    return found.layers


def take_widths(session: Session, loaded: Loaded | LoadedHead, result: Path) -> Widths:
    """Return the widths that the result of a run of the same spec has; nothing is measured.

    Returns:
        Width by layer; empty where the bits are a whole number.

    Raises:
        CheckpointError: When the file is damaged, or lacks a layer.
    """
    spec = session.spec.quantizer
    if isinstance(spec, FloatQuantizer) or not spec.is_mixed:
        return {}
    widths = read_widths(result)
    for name in _find_targets(session, loaded):
        if name not in widths:
            raise CheckpointError(f"{result.name} lacks the width of {name}")
    return widths


def _find_targets(session: Session, loaded: Loaded | LoadedHead) -> dict[str, Users]:
    """Return the layers a run is going to replace, by name."""
    spec = session.spec
    plan = LayerPlan(spec.quantizer, spec.adapter, spec.seed)
    return find_targets(loaded.model.model, plan)


def _choose(
    session: Session,
    loaded: Loaded | LoadedHead,
    targets: Mapping[str, Users],
    *,
    spec: WeightQuantizer,
    sizes: Mapping[str, int],
    key: str,
) -> WidthFile:
    """Choose by the spec's rule."""
    if not isinstance(spec.mixing, BySensitivity):
        widths = spread_widths(sizes, spec.bits)
        average = mean_bits(widths, sizes)
        return WidthFile(rule="first-layers", key=key, average=average, layers=widths)
    check_layers(len(sizes), spec.bits)
    with session.stage(STAGE, spec.mixing.num_samples):
        measured = _measure(session, loaded, targets, spec=spec, mixing=spec.mixing)
        best = fit_budget(measured.scores, sizes, spec.bits)
    session.listener(Logged("info", f"expected divergence {best.score:.4g} nats per token"))
    return WidthFile(
        rule="sensitivity",
        key=key,
        average=best.average,
        layers=best.widths,
        scores=measured.scores,
        errors=measured.errors,
    )


def _measure(
    session: Session,
    loaded: Loaded | LoadedHead,
    targets: Mapping[str, Users],
    *,
    spec: WeightQuantizer,
    mixing: BySensitivity,
) -> Sensitivity:
    """Score every layer at every width on the calibration text."""
    if not isinstance(loaded, Loaded):
        raise TypeError("sensitivity is measured on a causal language model")
    windows = load_windows(
        session,
        mixing.data,
        loaded.model,
        field="quantizer.mixing.data",
        max_length=mixing.max_length,
    )
    question = Question(spec, WIDTHS, spread(windows, mixing.num_samples), session.spec.seed)
    measured = measure_sensitivity(
        loaded.split, targets, question, progress=session.progress(STAGE)
    )
    _check_finite(measured.scores)
    return measured


def _check_finite(scores: Scores) -> None:
    """Refuse scores that are no numbers, at the layer they begin with."""
    for name, of_layer in scores.items():
        if not all(map(isfinite, of_layer.values())):
            raise ModelError(
                f"the gradient of {name} is not a finite number in this format; choose float32 or "
                "bfloat16",
                field="model.dtype",
            )


def _describe(bits: float, widths: WidthFile) -> str:
    """Say how many layers have which width: "2.5 bits: 54 layers at 4, 156 at 2 (mean 2.46)"."""
    counts = sorted(Counter(widths.layers.values()).items(), reverse=True)
    (width, count), *others = counts
    listed = ", ".join([f"{count} layers at {width}", *(f"{n} at {w}" for w, n in others)])
    return f"{bits} bits: {listed} (mean {widths.average:.4g})"
